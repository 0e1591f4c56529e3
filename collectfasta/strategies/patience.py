"""How often a request is tried where its user has said nothing, and how long it may wait."""

from __future__ import annotations

from collections.abc import Mapping

# The first attempt included: as many as botocore's "legacy" mode makes.
ATTEMPTS = 5

# To connect, and without a word from the server.
CONNECT_SECONDS = 20
READ_SECONDS = 60

# What a server asks for beyond this is not waited for within a request.
_LONGEST = 30.0


def seconds_to_wait(headers: Mapping[str, str]) -> float:
    """Return the seconds of an answer's ``Retry-After``, 0 where it names none.

    It may name a date too (https://www.rfc-editor.org/rfc/rfc9110#name-retry-after), which none of
    the object stores does.

    Args:
        headers: The answer's, whatever the case of their names.
    """
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    return min(float(value), _LONGEST) if value.isascii() and value.isdigit() else 0.0
