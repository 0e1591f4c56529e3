"""How long ago something was written, by the clock of whom has written it down."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

from django.utils.timezone import get_default_timezone, is_naive


def age_of(written: datetime, date: str | None = None) -> timedelta:
    """Return how long ago something was written.

    Args:
        written: When; in Django's time zone where it names none, as storages tell it without
            ``USE_TZ``.
        date: The ``Date`` header of an answer of the service that tells when: its own clock
            (RFC 9110, 6.6.1). Without one this machine's clock is taken.
    """
    if is_naive(written):
        written = written.replace(tzinfo=get_default_timezone())
    return _time_of(date) - written


def _time_of(date: str | None) -> datetime:
    try:
        # Without a header, as with one that can't be read.
        told = parsedate_to_datetime(date or "")
    except ValueError:
        return datetime.now(timezone.utc)
    return told.replace(tzinfo=timezone.utc) if is_naive(told) else told
