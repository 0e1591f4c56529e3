"""Bounded memory of manifest deploys: files are read where they are, also while they are staged."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import fast_s3
from benchmarks.fast_s3 import FastS3Server
from tests.conftest import StaticTree

MEGABYTE = 1024 * 1024
BUCKET = "memory"

DEPLOY = r"""
import pickle, re, sys
from django.conf import settings
from django.core.management import call_command
import django

settings.configure(**pickle.load(open(sys.argv[1], "rb")))
django.setup()
call_command("collectstatic", interactive=False, verbosity=0)
# getrusage() would count what the process was before exec(), that is a copy of the tests.
print(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1])
"""


@pytest.fixture(scope="module")
def server() -> Iterator[FastS3Server]:
    """An S3 server that takes hundreds of megabytes in seconds."""
    with fast_s3.serve(latency=0) as server:
        yield server


def peak_memory(server: FastS3Server, tree: StaticTree, path: Path, stage: str) -> float:
    """Deploy in a process of its own and return its peak memory in megabytes."""
    storage = {
        "BACKEND": "storages.backends.s3.S3ManifestStaticStorage",
        "OPTIONS": {
            "endpoint_url": server.endpoint,
            "bucket_name": BUCKET,
            "region_name": "us-east-1",
            "access_key": "testing",
            "secret_key": "testing",
        },
    }
    all_settings = {
        "INSTALLED_APPS": ["collectfasta", "django.contrib.staticfiles"],
        "STATIC_URL": "/static/",
        "STATICFILES_DIRS": [str(tree.root)],
        "STORAGES": {"staticfiles": storage},
        "COLLECTFASTA_THREADS": 8,
        "COLLECTFASTA_STRATEGY": f"collectfasta.strategies.boto3.Boto3Manifest{stage}Strategy",
    }
    pickled = path / "settings.pickle"
    pickled.write_bytes(pickle.dumps(all_settings))
    done = subprocess.run(
        [sys.executable, "-c", DEPLOY, str(pickled)],
        env={**os.environ, "TMPDIR": str(path)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(done.stdout) / 1024


@pytest.mark.parametrize("stage", ["Memory", "FileSystem"])
def test_60_files_of_5_megabytes_take_less_than_150_megabytes(
    server: FastS3Server, static_tree: StaticTree, tmp_path: Path, stage: str
) -> None:
    server.forget(BUCKET)
    for number in range(60):
        static_tree.write(f"{number}.bin", os.urandom(5 * MEGABYTE))

    peak = peak_memory(server, static_tree, tmp_path, stage)

    assert server.look_at(BUCKET).requests["PUT"] == 2 * 60 + 1
    assert peak < 150


def test_text_that_is_not_rewritten_is_not_held(
    server: FastS3Server, static_tree: StaticTree, tmp_path: Path
) -> None:
    server.forget(BUCKET)
    for number in range(24):
        static_tree.write(f"{number}.js", b"let it%02d;\n" % number * (4 * MEGABYTE // 10))

    peak = peak_memory(server, static_tree, tmp_path, "Memory")

    assert server.look_at(BUCKET).requests["PUT"] == 2 * 24 + 1
    assert peak < 150
