"""A plain storage on S3."""

from __future__ import annotations

import pytest

from .lives import PlainBucket

pytestmark = pytest.mark.s3


class TestByDefault(PlainBucket):
    """By obstore."""

    place = "s3"


class TestByBoto3(PlainBucket):
    """By boto3 alone."""

    place = "s3-boto3"
