"""Keys with every kind of character, and keys that nobody's file has."""

from __future__ import annotations

import unicodedata
from collections import Counter

import pytest
from django.core.management import CommandError

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.s3 import S3Cloud

NAMES = [
    unicodedata.normalize("NFC", "é.css"),
    unicodedata.normalize("NFD", "é.css"),
    "日本/語.js",
    "\U0001f600.png",
    "with space/a b  c.css",
    " leading.css",
    "plus+plus.css",
    "percent%2Fencoded%20.css",
    "hash#hash.css",
    "tilde~tilde.css",
    "question?question.css",
    "quotes'\".css",
    "ampersand&<tag>.css",
    "brackets[](){}.css",
    "comma,semi;colon:at@=$.css",
    "!*^|`.css",
    "-rf",
]


def bodies(cloud: S3Cloud) -> dict[str, bytes]:
    return {key: stored.body for key, stored in cloud.objects().items()}


def long_name(size: int) -> str:
    """Return a name of so many bytes, in parts that a file system takes."""
    return "/".join("x" * 99 for _ in range(20))[: size - 4] + ".css"


@pytest.mark.parametrize("location", ["", "a b/+%2F~ü"], ids=["root", "location"])
def test_every_character_reaches_the_key_as_it_is(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic, location: str
) -> None:
    for name in NAMES:
        static_tree.write(name, name.encode())

    collectstatic(s3, options={"location": location})

    prefix = f"{location}/" if location else ""
    assert bodies(s3) == {f"{prefix}{name}": name.encode() for name in NAMES}


@pytest.mark.parametrize("location", ["", "a b/+%2F~ü"], ids=["root", "location"])
def test_every_character_is_found_in_the_listing(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic, location: str
) -> None:
    for name in NAMES:
        static_tree.write(name, name.encode())
    options = {"location": location}
    collectstatic(s3, options=options, disable_collectfasta=True)
    s3.clear_requests()

    collectstatic(s3, options=options)

    assert s3.counts() == {"LIST": 1}


@pytest.mark.parametrize("end", [" ", "!", "~", "\x7f", "\u0301"])
def test_listing_begins_at_the_first_key_whatever_its_last_character(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic, end: str
) -> None:
    static_tree.write(f"a{end}", b"a")
    s3.put(f"a{end}", b"a")

    # By default it passes over names that end in "~".
    run = collectstatic(s3, use_default_ignore_patterns=False)

    assert "0 static files copied, 1 unmodified" in run.stdout


def test_longest_key_is_deployed(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic
) -> None:
    name = long_name(1024 - len("static/"))
    static_tree.write(name, b"x")

    collectstatic(s3, options={"location": "static"})

    assert s3.keys() == [f"static/{name}"]


@pytest.mark.parametrize("location", ["", "static"])
def test_longer_key_is_refused_by_name_before_the_first_request(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic, location: str
) -> None:
    name = long_name(1025 - len(f"{location}/" if location else ""))
    static_tree.write(name, b"x")
    static_tree.write("fine.css", b"x")

    with pytest.raises(CommandError) as caught:
        collectstatic(s3, options={"location": location})

    assert repr(name) in str(caught.value)
    assert "'fine.css'" not in str(caught.value)
    assert s3.counts() == {}


def test_key_is_measured_in_bytes(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic
) -> None:
    name = "/".join("ü" * 99 for _ in range(6))
    static_tree.write(name, b"x")
    assert len(name) < 1024 < len(name.encode())

    with pytest.raises(CommandError, match="longer than 1024 bytes"):
        collectstatic(s3)


@pytest.mark.parametrize("threads", [0, 8])
def test_empty_file_is_stored_and_recognised(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    static_tree.write("empty.css", b"")
    static_tree.write("empty", b"")

    collectstatic(s3, threads=threads)
    assert bodies(s3) == {"empty": b"", "empty.css": b""}
    s3.clear_requests()
    run = collectstatic(s3, threads=threads)

    # Of an empty object without an extension the listing may mean a folder's marker.
    assert s3.counts() - Counter(HEAD=1) == {"LIST": 1}
    assert "2 unmodified" in run.stdout


MARKERS = {"css/": b"", "css/a.css/": b"", "static/": b"", "static/css/": b"", "static//": b""}


@pytest.mark.parametrize("location", ["", "static"])
@pytest.mark.parametrize("clear", [False, True], ids=["deploy", "clear"])
def test_folder_markers_are_no_files_and_stay(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic, location: str, clear: bool
) -> None:
    for marker in MARKERS:
        s3.put(marker, b"")
    static_tree.write("css/a.css", b"a")
    static_tree.write("css/empty", b"")

    collectstatic(s3, options={"location": location}, clear=clear)

    prefix = f"{location}/" if location else ""
    ours = {f"{prefix}css/a.css": b"a", f"{prefix}css/empty": b""}
    assert bodies(s3) == {**MARKERS, **ours}
