"""How hypothesis runs here: as it would, but a machine that is busy fails no test."""

from __future__ import annotations

from hypothesis import settings

# Its own choice for where it is: it makes no random examples in CI.
_CHOSEN = settings.get_profile(settings.get_current_profile_name())
settings.register_profile("unit", _CHOSEN, deadline=None)
settings.load_profile("unit")
