"""S3 by keys: list, head, put, delete. The border behind which an engine makes the requests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import IO, TYPE_CHECKING, Any, Protocol

from s3transfer.utils import ChunksizeAdjuster

from collectfasta.remote import Page
from collectfasta.source import SourceFile

if TYPE_CHECKING:
    from boto3.s3.transfer import TransferConfig

_VALUE = re.compile(r"[!-~]+( [!-~]+)*")
_METADATA_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*", re.IGNORECASE)


@dataclass(frozen=True)
class S3Object:
    """What S3 says of an object.

    Attributes:
        etag: Its ETag without quotes.
        size: Its size in bytes.
        is_certain: The key that it was listed under is its key, letter by letter.
        age: How long ago it was written, where the engine tells it.
    """

    etag: str
    size: int
    is_certain: bool = True
    age: timedelta | None = None


class UnsupportedError(Exception):
    """A request that an engine can't make exactly as the storage would; nothing was sent.

    Args:
        reason: What it can't do, in a few words.
        lasting: It can do nothing else for this storage either.
    """

    def __init__(self, reason: str, *, lasting: bool = False) -> None:
        super().__init__(reason)
        self.lasting = lasting


class S3Sender(Protocol):
    """What sends small files to one bucket; safe to be used by several threads.

    Each method raises what boto3 would: ``ClientError`` for a refusal, ``BotoCoreError`` for a
    request that can't be made.
    """

    @property
    def name(self) -> str:
        """How messages call it."""

    @property
    def requests(self) -> int:
        """How many requests were made so far."""

    def put(
        self, key: str, body: bytes | IO[bytes], size: int, parameters: Mapping[str, Any]
    ) -> str:
        """Store ``size`` bytes in one request and return the ETag."""


class S3Engine(S3Sender, Protocol):
    """What makes all requests to one bucket."""

    def list_page(self, prefix: str, start_after: str) -> Page[S3Object]:
        """List up to 1,000 objects under a prefix, after a key.

        Raises:
            ListingDeniedError: The credentials may not list.
        """

    def head(self, key: str, parameters: Mapping[str, Any]) -> S3Object | None:
        """Return what S3 says of an object, None if there is none."""

    def get(self, key: str, parameters: Mapping[str, Any]) -> bytes:
        """Return an object's content.

        Raises:
            FileNotFoundError: There is no such object.
        """

    def put_parts(
        self, key: str, body: SourceFile | IO[bytes], size: int, parameters: Mapping[str, Any]
    ) -> str:
        """Store a large file, named by its path or open, in parts and return the ETag."""

    def abort(self) -> None:
        """Abort the uploads in parts that are under way; their callers get an error."""

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; missing ones are no error."""


def part_size(config: TransferConfig, size: int) -> int:
    """Return the size of the parts that boto3 would send a file in, in bytes.

    Args:
        config: The storage's.
        size: Of the file, in bytes.
    """
    return int(ChunksizeAdjuster().adjust_chunksize(config.multipart_chunksize, size))


def is_plain(key: str) -> bool:
    """Tell whether a key is a path: no empty or dotted segments, no control characters."""
    segments = key.split("/")
    return not {"", ".", ".."} & {*segments} and key.isprintable()


def checked_value(name: str, value: object) -> str:
    """Return a parameter's value if it means the same to every engine.

    That is text which needs no encoding, and which signing does not fold: no spaces at its ends or
    in a row.

    Raises:
        UnsupportedError: It is none.
    """
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise UnsupportedError(f"the value of {name}")
    return value


def metadata(values: Mapping[str, object]) -> dict[str, str]:
    """Return the metadata of an object if it means the same to every engine.

    Raises:
        UnsupportedError: It does not.
    """
    for name in values:
        if not _METADATA_NAME.fullmatch(name):
            raise UnsupportedError("a name in Metadata")
    return {name: checked_value("Metadata", value) for name, value in values.items()}


def just_before(key: str) -> str:
    """Return a text that sorts before a key and after nearly all that sorts before it.

    ``StartAfter`` leaves out the key that it names
    (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html). Printable ASCII
    only, and a plain path: not every service, and no engine, takes every character there.
    """
    before = chr(ord(key[-1]) - 1) if key else ""
    text = key[:-1] + before + "~" if " " <= before < "~" else key[:-1]
    while text and not is_plain(text):
        text = text.rpartition("/")[0]
    return text
