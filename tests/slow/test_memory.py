"""Bounded memory: what a deploy holds does not grow with the files that it sends."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import StaticTree
from tests.servers.clouds import Cloud

MEGABYTE = 1024 * 1024

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


def peak_memory(cloud: Cloud, tree: StaticTree, tmp_path: Path, threads: int) -> int:
    """Deploy in a process of its own and return its peak memory in bytes."""
    settings = {
        "INSTALLED_APPS": ["collectfasta", "django.contrib.staticfiles"],
        "STATIC_URL": "/static/",
        "STATICFILES_DIRS": [str(tree.root)],
        "STORAGES": cloud.storages(),
        **cloud.settings,
        "COLLECTFASTA_THREADS": threads,
    }
    path = tmp_path / "settings.pickle"
    path.write_bytes(pickle.dumps(settings))
    done = subprocess.run(
        [sys.executable, "-c", DEPLOY, str(path)],
        env={**os.environ, **cloud.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(json.loads(done.stdout)) * 1024


@pytest.mark.parametrize("threads", [0, 4])
def test_memory_does_not_grow_with_the_size_of_the_files(
    cloud: Cloud, static_tree: StaticTree, tmp_path: Path, threads: int
) -> None:
    static_tree.write("small.bin", b"x")
    small = peak_memory(cloud, static_tree, tmp_path, threads)
    sizes = [7, 7, 7, 7, 7, 7, 40]
    for number, size in enumerate(sizes):
        static_tree.write(f"{number}.bin", os.urandom(size * MEGABYTE))

    large = peak_memory(cloud, static_tree, tmp_path, threads)

    assert len(cloud.keys()) == len(sizes) + 1
    assert large - small < (threads + 4) * 8 * MEGABYTE < sum(sizes) * MEGABYTE
