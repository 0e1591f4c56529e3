"""Deploy the example project with Django's own collectstatic and with Collectfasta.

Run it from the top of the checkout: ``python -m example.demo``. It starts an S3 server of its own
on the loopback interface, deploys to two empty buckets, changes one file, deploys again, does the
same with a storage that hashes its files, prints what each deploy took, and compares the buckets.
It stops what it started.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

from tests.servers import s3
from tests.servers.process import HOST, ServerError
from tests.servers.recorder import Recorder, Request

from .buckets import differences, keys

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PROJECT = Path(__file__).resolve().parent
CHECKOUT = PROJECT.parent
CHANGED_FILE = "website/site.css"

# Settings of the user's own shell that would lead a deploy elsewhere or make it another one.
_FOREIGN_PREFIXES = ("AWS_", "COLLECTFASTA_", "DJANGO_", "EXAMPLE_")
_KINDS = ("PUT", "LIST", "HEAD", "GET", "DELETE", "POST")


class DemoError(Exception):
    """A deploy failed, or the buckets are not what they should be."""


@dataclass(frozen=True)
class Tool:
    """A way to deploy."""

    name: str
    options: tuple[str, ...] = ()


TOOLS = (Tool("Django", ("--disable-collectfasta",)), Tool("Collectfasta"))

STORAGES = {
    "plain": "storages.backends.s3.S3StaticStorage",
    "manifest": "storages.backends.s3.S3ManifestStaticStorage",
}


@dataclass(frozen=True)
class Deploy:
    """What one deploy took.

    Attributes:
        run: What was deployed, and to which kind of storage.
        seconds: From the start of the process to its end.
        cpu_seconds: Of the process and its children, user and system.
        requests: How many requests of each kind arrived at the server.
        bytes_sent: The bodies of these requests.
        objects: How many objects the bucket holds afterwards.
    """

    run: str
    tool: Tool
    seconds: float
    cpu_seconds: float
    requests: Mapping[str, int]
    bytes_sent: int
    objects: int


class Demo:
    """Deploys with each tool, through a recorder, to a bucket of the tool's own.

    Args:
        kind: The kind of storage, of ``STORAGES``.
        server: The S3 server.
        recorder: Stands in front of the server and counts what the deploys ask of it.
        static_directory: Stands in for the example project's own static files.
    """

    def __init__(
        self, kind: str, server: s3.S3Server, recorder: Recorder, static_directory: Path
    ) -> None:
        self._kind = kind
        self.client = _client(server)
        self._server = server
        self._recorder = recorder
        self._static_directory = static_directory

    def make_buckets(self) -> None:
        """Make an empty bucket for each tool."""
        for tool in TOOLS:
            self.client.create_bucket(Bucket=self._bucket(tool))

    def _bucket(self, tool: Tool) -> str:
        return f"{tool.name.lower()}-{self._kind}"

    def deploy_with_all(self, run: str) -> Iterator[Deploy]:
        """Deploy the project with one tool after the other.

        Raises:
            DemoError: A deploy failed.
        """
        for tool in TOOLS:
            label = f"{self._kind}, {run}"
            _tell(f"{label}: {tool.name} ...")
            yield self._deploy(label, tool)

    def change_one_file(self) -> None:
        """Edit a style sheet of the project."""
        with Path(self._static_directory, CHANGED_FILE).open("a", encoding="utf-8") as file:
            file.write("\nh1 {\n    color: #092e20;\n}\n")

    def check_that_buckets_are_equal(self) -> None:
        """Compare bytes and headers of all objects.

        Raises:
            DemoError: They differ; it names each difference.
        """
        one, other = (self._bucket(tool) for tool in TOOLS)
        found = list(differences(self.client, one, other))
        if found:
            raise DemoError("\n".join([f"The buckets {one} and {other} differ:", *found]))

    def _deploy(self, run: str, tool: Tool) -> Deploy:
        self._recorder.clear()
        cpu_before, before = _cpu_seconds_of_children(), time.perf_counter()
        self._collectstatic(tool)
        seconds = time.perf_counter() - before
        cpu_seconds = _cpu_seconds_of_children() - cpu_before
        requests = self._recorder.requests
        return Deploy(
            run,
            tool,
            seconds,
            cpu_seconds,
            Counter(map(_kind, requests)),
            sum(each.body_size for each in requests),
            len(keys(self.client, self._bucket(tool))),
        )

    def _collectstatic(self, tool: Tool) -> None:
        ended = subprocess.run(
            [sys.executable, PROJECT / "manage.py", "collectstatic", "--noinput", *tool.options],
            cwd=CHECKOUT,
            env=os.environ | self._environment(tool),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if ended.returncode != 0:
            raise DemoError(f"{tool.name} ended with {ended.returncode}:\n{ended.stdout}")
        for line in ended.stdout.splitlines():
            if line:
                _tell(f"    {line}")

    def _environment(self, tool: Tool) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": self._server.access_key,
            "AWS_SECRET_ACCESS_KEY": self._server.secret_key,
            "AWS_DEFAULT_REGION": self._server.region,
            "EXAMPLE_BUCKET": self._bucket(tool),
            "EXAMPLE_S3_ENDPOINT": self._recorder.url,
            "EXAMPLE_STATIC_DIRECTORY": str(self._static_directory),
            "EXAMPLE_STATIC_STORAGE": STORAGES[self._kind],
        }


def main() -> int:
    """Run the demo and return its exit status."""
    # Like Ctrl-C, so that whatever ends the demo, it stops what it started.
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Ignored: started by nohup.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    _isolate_environment()
    try:
        with _started() as demos:
            _run(demos)
    except (DemoError, ServerError) as error:
        _tell(str(error))
        return 1
    except KeyboardInterrupt:
        _tell("Interrupted.")
        return 130
    return 0


def _run(demos: Sequence[Demo]) -> None:
    deploys: list[Deploy] = []
    for demo in demos:
        demo.make_buckets()
        deploys += demo.deploy_with_all("first deploy")
        demo.change_one_file()
        deploys += demo.deploy_with_all("one file changed")
    print(f"\n{_versions()}\n\n{_table(deploys)}\n", flush=True)
    _tell("Comparing the buckets ...")
    for demo in demos:
        demo.check_that_buckets_are_equal()
    print("Both tools' buckets hold the same objects: same bytes, same headers.")


@contextmanager
def _started() -> Iterator[list[Demo]]:
    _tell("Starting an S3 server ...")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="demo-")))
        server = stack.enter_context(s3.serve())
        recorder = stack.enter_context(Recorder(server.endpoint))
        # Entered last, so it ends first: a second Ctrl-C does not keep the server from stopping.
        stack.callback(signal.signal, signal.SIGINT, signal.SIG_IGN)
        static_directory = directory / "static"
        # With its modification times, which Django's command decides by.
        shutil.copytree(PROJECT / "static", static_directory)
        yield [Demo(kind, server, recorder, static_directory) for kind in STORAGES]


def _isolate_environment() -> None:
    for name in list(os.environ):
        if name.startswith(_FOREIGN_PREFIXES):
            del os.environ[name]
    os.environ |= {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        # No proxy for the loopback interface.
        "NO_PROXY": HOST,
        "no_proxy": HOST,
        # This checkout's Collectfasta, whichever is installed.
        "PYTHONPATH": os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")])),
    }


def _client(server: s3.S3Server) -> S3Client:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name=server.region,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
    )


def _cpu_seconds_of_children() -> float:
    # Counts the children that have ended: the deploys, not the server that still runs.
    times = os.times()
    return times.children_user + times.children_system


def _kind(request: Request) -> str:
    is_of_bucket = "/" not in request.path.strip("/")
    return "LIST" if request.method == "GET" and is_of_bucket else request.method


def _versions() -> str:
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("Django", "django-storages", "boto3")
    )
    return (
        f"Python {platform.python_version()}, {packages}, {os.cpu_count()} CPUs.\n"
        "The S3 server runs on this machine: there is no network to wait for."
    )


def _table(deploys: Sequence[Deploy]) -> str:
    kinds = [kind for kind in _KINDS if any(each.requests.get(kind) for each in deploys)]
    rows = [["", "", "seconds", "CPU s", *kinds, "bytes sent", "objects"]]
    rows += [
        [
            each.run,
            each.tool.name,
            f"{each.seconds:.1f}",
            f"{each.cpu_seconds:.1f}",
            *(f"{each.requests.get(kind, 0):,}" for kind in kinds),
            f"{each.bytes_sent:,}",
            f"{each.objects:,}",
        ]
        for each in deploys
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        # Words to the left, numbers to the right.
        cell.ljust(width) if number < 2 else cell.rjust(width)
        for number, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
