"""Bounded memory: what a deploy holds does not grow with the files that it sends."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks import fast_s3
from benchmarks.fast_s3 import FastS3Server
from tests.contract.conftest import KINDS, Target

pytestmark = pytest.mark.slow

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


def peak_memory(
    tree: Path, temporary: Path, environment: Mapping[str, str], **settings: Any
) -> float:
    """Deploy in a process of its own and return its peak memory in megabytes."""
    path = temporary / "settings.pickle"
    path.write_bytes(
        pickle.dumps(
            {
                "INSTALLED_APPS": ["collectfasta", "django.contrib.staticfiles"],
                "STATIC_URL": "/static/",
                "STATICFILES_DIRS": [str(tree)],
                **settings,
            }
        )
    )
    done = subprocess.run(
        [sys.executable, "-c", DEPLOY, str(path)],
        env={**os.environ, **environment, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(done.stdout) / 1024


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An empty directory of source files."""
    tree = tmp_path / "source"
    tree.mkdir()
    return tree


@pytest.mark.parametrize("threads", [0, 4])
@pytest.mark.parametrize("target", [each for each in KINDS if each != "memory"], indirect=True)
def test_memory_does_not_grow_with_the_size_of_the_files(
    target: Target, tree: Path, tmp_path: Path, threads: int
) -> None:
    settings: dict[str, Any] = {
        "STORAGES": target.cloud.storages(),
        "COLLECTFASTA_THREADS": threads,
        **({"COLLECTFASTA_S3_ENGINE": "boto3"} if target.kind == "boto3" else {}),
    }
    environment = target.cloud.environment
    (tree / "small.bin").write_bytes(b"x")
    small = peak_memory(tree, tmp_path, environment, **settings)
    sizes = [7, 7, 7, 7, 7, 7, 40]
    for number, size in enumerate(sizes):
        (tree / f"{number}.bin").write_bytes(os.urandom(size * MEGABYTE))

    large = peak_memory(tree, tmp_path, environment, **settings)

    assert len(target.cloud.keys()) == len(sizes) + 1
    assert large - small < (threads + 4) * 8 < sum(sizes)


@pytest.fixture(scope="module")
def server() -> Iterator[FastS3Server]:
    """An S3 server that takes hundreds of megabytes in seconds."""
    with fast_s3.serve(latency=0) as server:
        yield server


class TestFastServer:
    """Hundreds of megabytes, which emulators take minutes for."""

    @staticmethod
    def deploy(
        server: FastS3Server, tree: Path, temporary: Path, backend: str, **settings: Any
    ) -> float:
        """Deploy to it and return the peak memory in megabytes."""
        options = {
            "endpoint_url": server.endpoint,
            "bucket_name": BUCKET,
            "region_name": "us-east-1",
            "access_key": "testing",
            "secret_key": "testing",
        }
        storage = {"BACKEND": f"storages.backends.s3.{backend}", "OPTIONS": options}
        server.forget(BUCKET)
        return peak_memory(tree, temporary, {}, STORAGES={"staticfiles": storage}, **settings)

    def test_it_is_bounded_whatever_the_number_of_threads(
        self, server: FastS3Server, tree: Path, tmp_path: Path
    ) -> None:
        (tree / "small.bin").write_bytes(b"x")
        small = self.deploy(server, tree, tmp_path, "S3StaticStorage", COLLECTFASTA_THREADS=64)
        for number in range(40):
            (tree / f"{number}.bin").write_bytes(os.urandom(5 * MEGABYTE))
        (tree / "large.bin").write_bytes(os.urandom(100 * MEGABYTE))

        large = self.deploy(server, tree, tmp_path, "S3StaticStorage", COLLECTFASTA_THREADS=64)

        assert len(server.look_at(BUCKET).objects) == 42
        assert large - small < 128

    @pytest.mark.parametrize("stage", ["Memory", "FileSystem"])
    def test_60_files_of_5_megabytes_with_a_manifest_take_less_than_150(
        self, server: FastS3Server, tree: Path, tmp_path: Path, stage: str
    ) -> None:
        for number in range(60):
            (tree / f"{number}.bin").write_bytes(os.urandom(5 * MEGABYTE))

        peak = self.deploy(
            server,
            tree,
            tmp_path,
            "S3ManifestStaticStorage",
            COLLECTFASTA_THREADS=8,
            COLLECTFASTA_STRATEGY=f"collectfasta.strategies.boto3.Boto3Manifest{stage}Strategy",
        )

        assert server.look_at(BUCKET).requests["PUT"] == 2 * 60 + 1
        assert peak < 150

    def test_text_that_is_not_rewritten_is_not_held(
        self, server: FastS3Server, tree: Path, tmp_path: Path
    ) -> None:
        for number in range(24):
            content = b"let it%02d;\n" % number * (4 * MEGABYTE // 10)
            (tree / f"{number}.js").write_bytes(content)

        peak = self.deploy(
            server, tree, tmp_path, "S3ManifestStaticStorage", COLLECTFASTA_THREADS=8
        )

        assert server.look_at(BUCKET).requests["PUT"] == 2 * 24 + 1
        assert peak < 150
