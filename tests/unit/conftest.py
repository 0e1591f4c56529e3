"""Fixtures of the unit tests, and how hypothesis runs them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import caches
from django.test import override_settings
from hypothesis import settings

from tests.unit.caches import caches_of

# What hypothesis chooses for where it is (no random examples in CI), but a machine that is busy
# fails no test.
_CHOSEN = settings.get_profile(settings.get_current_profile_name())
settings.register_profile("unit", _CHOSEN, deadline=None)
settings.load_profile("unit")


@pytest.fixture
def counting() -> Iterator[Any]:
    """A cache that counts its round trips, as the default one."""
    with override_settings(CACHES=caches_of("CountingCache")):
        yield caches["default"]
