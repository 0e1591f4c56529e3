"""Check what a deploy left in a bucket, byte for byte."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Set
from pathlib import Path

from benchmarks.side_path import FastS3Server
from benchmarks.static_tree import replace_references

_LOCATION = "static/"
_MANIFEST = f"{_LOCATION}staticfiles.json"


class ContentError(Exception):
    """A bucket is not what it should be."""


def check_nothing(server: FastS3Server, bucket: str) -> None:
    """Check that a bucket is empty.

    Raises:
        ContentError: It is not.
    """
    _compare(server.look_at(bucket).objects, {}, frozenset())


def check_plain(server: FastS3Server, bucket: str, checksums: Mapping[str, str]) -> None:
    """Check that a bucket holds the files of a tree and nothing else.

    Args:
        server: The server that has the bucket.
        bucket: The bucket's name.
        checksums: The MD5 of each file in hexadecimal, by its path.

    Raises:
        ContentError: Objects are missing, wrong or too many.
    """
    expected = {_LOCATION + name: checksum for name, checksum in checksums.items()}
    _compare(server.look_at(bucket).objects, expected, frozenset())


def check_manifest(
    server: FastS3Server,
    bucket: str,
    tree: Path,
    checksums: Mapping[str, str],
    earlier: Set[str],
) -> None:
    """Check that a bucket holds the files of a tree under both names, and the manifest.

    What each file under its hashed name has to be is worked out here, from the tree and the names
    that the manifest gives.

    Args:
        server: The server that has the bucket.
        bucket: The bucket's name.
        tree: The directory of the tree.
        checksums: The MD5 of each file in hexadecimal, by its path.
        earlier: The keys that were there before, which may still be.

    Raises:
        ContentError: The manifest does not name the tree's files, or objects are missing, wrong
            or too many.
    """
    objects = server.look_at(bucket).objects
    hashed_names = _hashed_names(server.read(bucket, _MANIFEST), checksums.keys())
    expected = {_LOCATION + name: checksum for name, checksum in checksums.items()}
    for name, hashed_name in hashed_names.items():
        checksum = checksums[name]
        if name.endswith(".css"):
            checksum = _checksum_of_css(tree / name, hashed_names)
        if checksum[:12] not in hashed_name:
            raise ContentError(f"{hashed_name} is no name for what {name} is.")
        expected[_LOCATION + hashed_name] = checksum
    expected[_MANIFEST] = objects.get(_MANIFEST, "")
    _compare(objects, expected, earlier)


def _hashed_names(manifest: bytes, names: Set[str]) -> Mapping[str, str]:
    hashed_names: dict[str, str] = json.loads(manifest or "{}").get("paths", {})
    if hashed_names.keys() != names:
        wrong = hashed_names.keys() ^ names
        raise ContentError(f"The manifest misses or adds {len(wrong)} names, as {min(wrong)!r}.")
    return hashed_names


def _checksum_of_css(path: Path, hashed_names: Mapping[str, str]) -> str:
    content = replace_references(path.read_text(encoding="ascii"), hashed_names)
    return hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()


def _compare(objects: Mapping[str, str], expected: Mapping[str, str], earlier: Set[str]) -> None:
    wrong = {key for key, checksum in expected.items() if objects.get(key) != checksum}
    wrong |= objects.keys() - expected.keys() - earlier
    if wrong:
        raise ContentError(
            f"{len(wrong)} objects are missing, wrong or too many, such as {min(wrong)!r}."
        )
