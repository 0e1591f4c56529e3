"""Measure this checkout beside another one of the project: the same deploys, in turn, in one run.

Both use the environment that runs this, so that only the package differs::

    git clone . /tmp/before && git -C /tmp/before checkout 838dcf6
    .venv/bin/python -m benchmarks.before_after /tmp/before --files 3000 --rounds 3

Each deploy is a whole process. What is compared is the least of each state's rounds: CPU seconds
and peak memory of the process, wall seconds, and the requests that the server has counted.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fast_s3 import serve
from benchmarks.side_path import FastS3Server
from benchmarks.static_tree import change_tree, write_tree

_CHECKOUT = Path(__file__).resolve().parent.parent
_KINDS = {
    "plain": "storages.backends.s3.S3StaticStorage",
    "manifest": "storages.backends.s3.S3ManifestStaticStorage",
}
_STATES = ("first", "unchanged", "1 % changed")

_SETTINGS = """
SECRET_KEY = "benchmark"
INSTALLED_APPS = ["collectfasta", "django.contrib.staticfiles"]
STATIC_URL = "/static/"
STATICFILES_DIRS = [{tree!r}]
CACHES = {{
    "default": {{
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": {cache!r},
    }}
}}
STORAGES = {{
    "default": {{"BACKEND": "django.core.files.storage.InMemoryStorage"}},
    "staticfiles": {{
        "BACKEND": {backend!r},
        "OPTIONS": {{
            "bucket_name": {bucket!r},
            "location": "static",
            "endpoint_url": {endpoint!r},
            "access_key": "benchmark",
            "secret_key": "benchmark",
            "region_name": "us-east-1",
            "querystring_auth": False,
        }},
    }},
}}
"""


@dataclass(frozen=True)
class Figures:
    """What one deploy took: seconds, megabytes, requests."""

    wall: float
    cpu: float
    peak: float
    requests: int


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path, help="the other checkout")
    parser.add_argument("--files", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.02, help="seconds per request")
    parser.add_argument("--kinds", nargs="+", choices=_KINDS, default=[*_KINDS])
    options = parser.parse_args()
    checkouts = {"before": options.before, "after": _CHECKOUT}
    found: dict[tuple[str, str, str], list[Figures]] = defaultdict(list)
    with serve(options.latency) as server:
        for number in range(options.rounds):
            for kind in options.kinds:
                # Which of the two goes first changes from round to round.
                for name in sorted(checkouts, reverse=number % 2 == 0):
                    bucket = f"{name}-{kind}-{number}"
                    states = measure(server, checkouts[name], kind, bucket, options.files)
                    for state, figures in states:
                        found[kind, state, name].append(figures)
    print_table(found, options.kinds)


def measure(
    server: FastS3Server, checkout: Path, kind: str, bucket: str, files: int
) -> Iterator[tuple[str, Figures]]:
    """Deploy three times: to an empty bucket, again, and with one percent of the files changed."""
    root = Path(tempfile.mkdtemp(prefix="collectfasta-benchmark-"))
    try:
        tree = root / "tree"
        tree.mkdir()
        write_tree(tree, files)
        settings = _SETTINGS.format(
            tree=str(tree),
            cache=str(root / "cache"),
            backend=_KINDS[kind],
            bucket=bucket,
            endpoint=server.endpoint,
        )
        (root / "settings.py").write_text(settings)
        for state in _STATES:
            if state == "1 % changed":
                change_tree(tree, files)
            before = sum(server.look_at(bucket).requests.values())
            wall, cpu, peak = deploy(root, checkout)
            requests = sum(server.look_at(bucket).requests.values()) - before
            yield state, Figures(wall, cpu, peak, requests)
    finally:
        shutil.rmtree(root)


def deploy(root: Path, checkout: Path) -> tuple[float, float, float]:
    """Run the command, and return wall seconds, CPU seconds and peak megabytes."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "settings",
        "PYTHONPATH": os.pathsep.join([str(checkout), str(root)]),
    }
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "django", "collectstatic", "--noinput"],
        cwd=root,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"collectstatic of {checkout} ended with status {process.returncode}")
    return wall, _cpu(usage), usage.ru_maxrss / 1024


def _cpu(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


def print_table(found: dict[tuple[str, str, str], list[Figures]], kinds: list[str]) -> None:
    """Print the least of each figure, before and after, and their ratio."""
    print(f"{'':24}{'wall s':>22}{'CPU s':>22}{'peak MB':>22}{'requests':>20}")
    for kind in kinds:
        for state in _STATES:
            cells = [f"{kind}, {state}".ljust(24)]
            for name in ("wall", "cpu", "peak", "requests"):
                before, after = (
                    min(getattr(each, name) for each in found[kind, state, side])
                    for side in ("before", "after")
                )
                numbers = f"{before}/{after}" if name == "requests" else f"{before:.2f}/{after:.2f}"
                cells.append(f"{numbers} {after / before:.2f}".rjust(22))
            print("".join(cells))


if __name__ == "__main__":
    main()
