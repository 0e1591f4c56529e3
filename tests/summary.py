"""What the summary of a deploy says, by the Django that runs."""

from __future__ import annotations

import django


def deleted(count: int) -> str:
    """Return how a summary begins that counts what was deleted, as it does from Django 6.0 on."""
    if django.VERSION < (6, 0):
        return ""
    return f"{count} static file{'' if count == 1 else 's'} deleted, "
