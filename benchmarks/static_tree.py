"""A tree of small static files, the same on every machine."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

# 37 kB on average: 300 files are 11 MB and 3,000 are 111 MB.
_SIZES = tuple(kibibytes * 1024 for kibibytes in (1, 4, 8, 16, 32, 64, 128))
# As many as have no divisor in common with the sizes, so that each type comes in each size.
_IMAGE = ".png"
_SUFFIXES = ("png", "js", "png", "css", "png", "js", "png", "css", "png", "js")
_FILES_IN_A_DIRECTORY = 50
# One reference in each so many bytes of CSS, at least one.
_BYTES_A_REFERENCE = 4096
# In steps of a prime number, so that one percent has files of each type.
_CHANGED_STEP = 101

_REFERENCE = re.compile(r'url\("\.\./([^"]+)"\)')


def write_tree(root: Path, files: int, scale: int = 1) -> dict[str, str]:
    """Write a tree of images, scripts, and style sheets that refer to images.

    Args:
        root: An existing directory.
        files: How many files.
        scale: How many times as large as usual each image is.

    Returns:
        The MD5 of each file in hexadecimal, by its path relative to the root.
    """
    return _write(root, files, range(files), scale, "")


def change_tree(root: Path, files: int, scale: int = 1) -> dict[str, str]:
    """Write other content to one percent of the files of a tree.

    Args:
        root: The tree's directory. Its files are replaced, so other links to them stay as they are.
        files: How many files the tree has.
        scale: As the tree was written with.

    Returns:
        The MD5 of each changed file in hexadecimal, by its path relative to the root.
    """
    return _write(root, files, range(0, files, _CHANGED_STEP), scale, "changed")


def replace_references(css: str, names: Mapping[str, str]) -> str:
    """Return CSS of the tree that refers to files by other names.

    Args:
        css: The content of a file of CSS of the tree.
        names: The new paths by the old ones, relative to the root.
    """
    return _REFERENCE.sub(lambda match: f'url("../{names[match[1]]}")', css)


def _write(
    root: Path, files: int, numbers: Iterable[int], scale: int, version: str
) -> dict[str, str]:
    checksums = {}
    for number in numbers:
        name = _name(number)
        size = _SIZES[number % len(_SIZES)] * (scale if name.endswith(_IMAGE) else 1)
        content = _content(number, files, size, version)
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        checksums[name] = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return checksums


def _name(number: int) -> str:
    suffix = _SUFFIXES[number % len(_SUFFIXES)]
    return f"app-{number // _FILES_IN_A_DIRECTORY}/file-{number}.{suffix}"


def _content(number: int, files: int, size: int, version: str) -> bytes:
    source = random.Random(f"{number} {version}")
    if _name(number).endswith(_IMAGE):
        return source.randbytes(size)
    if _name(number).endswith(".css"):
        head = "".join(_reference(source, files) for _ in range(0, size, _BYTES_A_REFERENCE))
        code = source.randbytes(size).hex(" ", 4)
    else:
        head = ""
        # As many strings as minified scripts have: manifest storages look for them.
        code = source.randbytes(size).hex('"', 8)
    return f"{head}{code[: max(0, size - len(head))]}".encode("ascii")


def _reference(source: random.Random, files: int) -> str:
    # Images have the even numbers.
    image = _name(source.randrange((files + 1) // 2) * 2)
    return f'.image {{ background: url("../{image}") }}\n'
