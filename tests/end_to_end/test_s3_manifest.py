"""A manifest storage on S3."""

from __future__ import annotations

import pytest

from .lives import ManifestBucket

pytestmark = [pytest.mark.s3, pytest.mark.staging]


class TestStagedInMemory(ManifestBucket):
    """By default."""

    place = "s3"


class TestStagedInADirectory(ManifestBucket):
    """By a strategy that is asked for by name."""

    place = "s3"
    defaults = {"strategy": "collectfasta.strategies.boto3.Boto3ManifestFileSystemStrategy"}  # noqa: RUF012
