"""The form on the example project's page."""

from django import forms
from django_ace import AceWidget


class StyleForm(forms.Form):
    """A style sheet to edit, in an editor that loads its parts from the static files."""

    style = forms.CharField(
        initial="body {\n    color: rebeccapurple;\n}\n",
        widget=AceWidget(mode="css", theme="chrome", width="100%", height="12em"),
    )
