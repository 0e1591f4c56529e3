"""Sites on Azure: plain, with a manifest, and staged by WhiteNoise's storage."""

from __future__ import annotations

import pytest

from .lives import ManifestBucket, PlainBucket, WhiteNoiseManifestBucket


class TestPlain(PlainBucket):
    """A plain storage."""

    place = "azure"


@pytest.mark.staging
class TestManifest(ManifestBucket):
    """A manifest storage, mixed by hand as django-storages has none."""

    place = "azure"


@pytest.mark.staging
class TestWhiteNoise(WhiteNoiseManifestBucket):
    """A manifest storage that WhiteNoise's storage stages."""

    place = "azure"
