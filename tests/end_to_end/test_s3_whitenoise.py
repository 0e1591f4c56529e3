"""Storages on S3 that WhiteNoise's storage stages."""

from __future__ import annotations

import pytest

from .lives import WhiteNoiseBucket, WhiteNoiseManifestBucket

pytestmark = [pytest.mark.s3, pytest.mark.staging]


class TestManifest(WhiteNoiseManifestBucket):
    """A manifest storage."""

    place = "s3"


class TestPlain(WhiteNoiseBucket):
    """A plain storage, which publishes no manifest of its own: WhiteNoise's is one file of all."""

    place = "s3"
    is_plain = True
