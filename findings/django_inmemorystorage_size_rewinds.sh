#!/usr/bin/env bash
# Django 6.1.3: InMemoryStorage.size() moves the position of everybody who reads the same file.
#
# Guess: storage.open(name) returns a file of its own, so asking storage.size(name) while it is read
# changes nothing for the reader, as with FileSystemStorage.
# Seen: all open() calls and size() share one object: after size() a reader goes on from the
# beginning, and a loop that asks for the size after each piece never ends.
# What to do: note the position before asking, and seek back.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.13 -m venv "$folder/venv" 2>/dev/null || "$HOME/.pyenv/versions/3.13.0/bin/python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check Django==6.1.3
cat >"$folder/run.py" <<'PYTHON'
import tempfile

from django.conf import settings

settings.configure()

from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage

for storage in (FileSystemStorage(tempfile.mkdtemp()), InMemoryStorage()):
    storage.save("name", ContentFile(b"abcdef"))
    with storage.open("name") as content:
        first = content.read(3)
        size = storage.size("name")
        print(type(storage).__name__, first, size, content.read(3))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/run.py")
echo "$seen"
[ "$seen" = "FileSystemStorage b'abc' 6 b'def'
InMemoryStorage b'abc' 6 b'abc'" ]
