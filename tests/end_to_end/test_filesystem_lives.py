"""Sites in directories: plain, and with a manifest that is made in place."""

from __future__ import annotations

from .lives import ManifestSite, PlainSite


class TestPlain(PlainSite):
    """Django's own storage."""

    place = "filesystem"


class TestPlainWithAStrategyThatRemembers(PlainSite):
    """The same, with checksums of what is there in the cache."""

    place = "filesystem"
    defaults = {"strategy": "collectfasta.strategies.filesystem.CachingFileSystemStrategy"}  # noqa: RUF012


class TestManifest(ManifestSite):
    """Django's own manifest storage."""

    place = "filesystem"
