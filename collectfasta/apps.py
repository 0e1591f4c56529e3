"""The Django app: registers the system checks."""

from django.apps import AppConfig
from django.core import checks

from collectfasta.checks import ALL_CHECKS


class CollectfastaConfig(AppConfig):
    """Override ``collectstatic`` and check the project's settings for it."""

    name = "collectfasta"
    verbose_name = "Collectfasta"

    def ready(self) -> None:
        """Register the checks under Django's own tag, so that its ``collectstatic`` runs them too.

        Django's command is the one that runs where this app is listed too late.
        """
        for check in ALL_CHECKS:
            checks.register(check, checks.Tags.staticfiles)
