"""Measure what the clients of Google Cloud Storage and Azure work for each small file.

Run it from the top of the checkout: ``python -m benchmarks.clouds``; ``--help`` tells the options.
For each of the two it runs a fast server in memory, and against it, each in a process of its own,
by turns and each time under a new location: what django-storages and the SDK do by themselves
(``storage.save()`` in threads, ``list_blobs()``), and the strategy. Only the client's CPU is
measured, without start-up. There is no TLS.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from email.utils import formatdate
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from urllib.request import urlopen
from xml.sax.saxutils import escape

from tests.servers.fake_gcs import FakeGoogle
from tests.servers.process import HOST, running

_CHECKOUT = Path(__file__).resolve().parent.parent
_BUCKET = "bucket"
_FILE_SIZE = 10_000
_PAGE = 5000
_BOUNDARY = re.compile(r'boundary="?([^";]+)')
_SIDE_PATH = "/-/requests"
_PACKAGES = ("django-storages", "google-cloud-storage", "azure-storage-blob", "requests")
_WAYS = ("the storage and the SDK", "the strategy")
_ACCOUNT = "devstoreaccount1"
_KEY = base64.b64encode(b"key").decode()

Headers = Mapping[str, str]
Answer = tuple[int, Headers, bytes]


class GoogleServer:
    """Answer uploads in one request, and listings."""

    def __init__(self) -> None:
        self._fake = FakeGoogle()
        self._fake.create_bucket(_BUCKET)

    def answer(
        self, method: str, path: str, query: Headers, headers: Headers, body: bytes
    ) -> Answer:
        """Return what the service says."""
        if method == "POST":
            boundary = _BOUNDARY.findall(headers["content-type"])[0].encode()
            metadata, content = body.split(b"--" + boundary)[1:3]
            name = json.loads(metadata.partition(b"\r\n\r\n")[2])["name"]
            content = content.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
            found = self._fake.put(_BUCKET, name, content)
        elif path.endswith("/o"):
            found = self._fake.list_objects(_BUCKET, dict(query))
        else:
            return 404, {}, b"{}"
        return 200, {"Content-Type": "application/json"}, json.dumps(found).encode()


class AzureServer:
    """Answer Put Blob, and listings."""

    def __init__(self) -> None:
        self._blobs: dict[str, str] = {}

    def answer(
        self, method: str, path: str, query: Headers, headers: Headers, body: bytes
    ) -> Answer:
        """Return what the service says."""
        common = {"x-ms-version": headers.get("x-ms-version", ""), "x-ms-request-id": "1"}
        if method == "PUT":
            name, now = path.split("/", 3)[3], formatdate(usegmt=True)
            etag = f'"0x{len(self._blobs):016X}"'
            self._blobs[name] = _blob(name, etag, now, headers, body)
            answer = {"ETag": etag, "Last-Modified": now, "x-ms-request-server-encrypted": "true"}
            return 201, {**common, **answer}, b""
        if query.get("comp") == "list":
            return 200, {**common, "Content-Type": "application/xml"}, self._list(query)
        return 404, {**common, "x-ms-error-code": "BlobNotFound"}, b""

    def _list(self, query: Headers) -> bytes:
        begin, prefix = query.get("marker", ""), query.get("prefix", "")
        names = sorted(name for name in self._blobs if name.startswith(prefix) and name >= begin)
        page, rest = names[:_PAGE], names[_PAGE:]
        blobs = "".join(self._blobs[name] for name in page)
        marker = escape(rest[0]) if rest else ""
        return (
            f'\ufeff<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="x">'
            f"<Prefix>{escape(prefix)}</Prefix><Blobs>{blobs}</Blobs>"
            f"<NextMarker>{marker}</NextMarker></EnumerationResults>"
        ).encode()


def _blob(name: str, etag: str, now: str, headers: Headers, body: bytes) -> str:
    """Return a blob as https://learn.microsoft.com/rest/api/storageservices/list-blobs has it."""
    digest = base64.b64encode(hashlib.md5(body).digest()).decode()
    values = {
        "Creation-Time": now,
        "Last-Modified": now,
        "Etag": etag.strip('"'),
        "Content-Length": str(len(body)),
        "Content-Type": headers.get("x-ms-blob-content-type", ""),
        "Content-Encoding": "",
        "Content-Language": "",
        "Content-MD5": digest,
        "Cache-Control": "",
        "BlobType": "BlockBlob",
        "AccessTier": "Hot",
        "LeaseStatus": "unlocked",
        "LeaseState": "available",
    }
    lines = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in values.items())
    return f"<Blob><Name>{escape(name)}</Name><Properties>{lines}</Properties><OrMetadata /></Blob>"


class Service:
    """Speak HTTP for a server, and count the requests by their method, and listings."""

    def __init__(self, server: GoogleServer | AzureServer) -> None:
        self._server = server
        self._requests: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what arrives on a connection until the client closes it."""
        with closing(writer):
            try:
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                    first, *lines = head.split("\r\n")[:-2]
                    pairs = (line.partition(": ")[::2] for line in lines)
                    headers = {name.lower(): value for name, value in pairs}
                    body = await reader.readexactly(int(headers.get("content-length", 0)))
                    status, more, content = self._answer(first, headers, body)
                    more = {**more, "Content-Length": str(len(content))}
                    text = "".join(f"{name}: {value}\r\n" for name, value in more.items())
                    writer.write(f"HTTP/1.1 {status} X\r\n{text}\r\n".encode() + content)
            except (asyncio.IncompleteReadError, ConnectionError):
                pass

    def _answer(self, first: str, headers: Headers, body: bytes) -> Answer:
        method, target, _ = first.split(" ")
        url = urlsplit(target)
        if url.path == _SIDE_PATH:
            told = json.dumps(self._requests).encode()
            self._requests.clear()
            return 200, {}, told
        query = dict(parse_qsl(url.query))
        is_listing = query.get("comp") == "list" or (method == "GET" and url.path.endswith("/o"))
        self._requests["LIST" if is_listing else method] += 1
        return self._server.answer(method, unquote(url.path), query, headers, body)


def listen(cloud: str, port: int) -> None:
    """Serve on a loopback port until the process is ended."""

    async def run() -> None:
        service = Service(GoogleServer() if cloud == "google" else AzureServer())
        server = await asyncio.start_server(service.serve, HOST, port, backlog=1024)
        await server.serve_forever()

    asyncio.run(run())


def work(cloud: str, url: str, root: str, location: str, way: str, threads: int) -> None:
    """Send all files of a directory, list them, and print the CPU seconds of both."""
    from django.conf import settings
    from django.core.files.storage import FileSystemStorage

    settings.configure()
    from collectfasta.executor import Executor
    from collectfasta.source import SourceFile

    storage, strategy = _client(cloud, url, location)
    names, source = sorted(os.listdir(root)), FileSystemStorage(root)
    files = [SourceFile(name, name, source) for name in names]
    strategy.store.prepare(threads)

    def save(file: SourceFile) -> None:
        with file.open() as content:
            storage.save(file.name, content)

    is_ours = way == _WAYS[1]
    start = time.process_time()
    outcomes = Executor(threads).run(strategy.upload if is_ours else save, files)
    errors = [error for _, _, error in outcomes if error]
    if errors:
        raise errors[0]
    sent = time.process_time()
    found = strategy.list_remote(names) if is_ours else _list_by_sdk(cloud, storage, location)
    number = sum(1 for _ in found)
    listed = time.process_time()
    if number != len(names):
        raise RuntimeError(f"{number} of {len(names)} files are listed")
    print(json.dumps([sent - start, listed - sent]))


def _client(cloud: str, url: str, location: str) -> tuple[Any, Any]:
    if cloud == "google":
        from google.oauth2.credentials import Credentials
        from storages.backends.gcloud import GoogleCloudStorage

        from collectfasta.strategies.gcloud import GoogleCloudStrategy

        options = {"credentials": Credentials("token"), "project_id": "p", "bucket_name": _BUCKET}
        storage = GoogleCloudStorage(location=location, **options)
        return storage, GoogleCloudStrategy(storage)
    from storages.backends.azure_storage import AzureStorage

    from collectfasta.strategies.azure import AzureBlobStrategy

    login = f"AccountName={_ACCOUNT};AccountKey={_KEY};BlobEndpoint={url}/{_ACCOUNT}"
    storage = AzureStorage(connection_string=login, azure_container=_BUCKET, location=location)
    return storage, AzureBlobStrategy(storage)


def _list_by_sdk(cloud: str, storage: Any, location: str) -> Any:
    if cloud == "google":
        return storage.client.list_blobs(_BUCKET, prefix=f"{location}/")
    return storage.client.list_blobs(name_starts_with=f"{location}/")


def _measure(cloud: str, options: argparse.Namespace, root: str) -> Iterator[list[str]]:
    """Yield a row of the table for each way."""
    seconds: dict[str, list[list[float]]] = {way: [] for way in _WAYS}
    requests: dict[str, Counter[str]] = {}
    with running(cloud, lambda port: _python(listen, cloud, port), _environment()) as url:
        for repeat in range(options.repeats):
            for way in _WAYS if repeat % 2 == 0 else reversed(_WAYS):
                urlopen(url + _SIDE_PATH).close()
                location = f"{_WAYS.index(way)}-{repeat}"
                command = _python(work, cloud, url, root, location, way, options.threads)
                environment = {**_environment(), "STORAGE_EMULATOR_HOST": url}
                output = subprocess.check_output(command, env=environment)
                seconds[way].append(json.loads(output))
                with urlopen(url + _SIDE_PATH) as answer:
                    requests[way] = Counter(json.load(answer))
    for way in _WAYS:
        sending, listing = ([each[i] for each in seconds[way]] for i in (0, 1))
        told = ", ".join(f"{number:,} {kind}" for kind, number in sorted(requests[way].items()))
        cells = [_spread(sending, options.files, 1), _spread(listing, options.files, 1000)]
        yield [cloud, way, *cells, told]


def _python(function: Callable[..., None], *arguments: object) -> list[str]:
    call = f"from benchmarks.clouds import {function.__name__} as f; f{arguments!r}"
    return [sys.executable, "-W", "ignore", "-c", call]


def _environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if "PROXY" not in name.upper()}
    return {**own, "PYTHONPATH": str(_CHECKOUT)}


def _spread(seconds: Sequence[float], files: int, per: int) -> str:
    values = [each * 1000 * per / files for each in seconds]
    return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print a table in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clouds", description=__doc__)
    parser.add_argument("--files", type=int, default=2000, metavar="N", help="10 kB each (2000)")
    parser.add_argument("--threads", type=int, default=32, metavar="N", help="uploads at once (32)")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="of each (5)")
    options = parser.parse_args(arguments)
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    print(f"{options.files:,} files, Python {platform.python_version()}, {packages}\n")
    print("| cloud | client | CPU ms/file sent | CPU ms/1,000 listed | requests |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="benchmark-") as root:
        for number in range(options.files):
            suffix = ("css", "js", "png", "svg", "woff2")[number % 5]
            content = random.Random(number).randbytes(_FILE_SIZE)
            Path(root, f"{number}.{suffix}").write_bytes(content)
        for cloud in ("google", "azure"):
            for row in _measure(cloud, options, root):
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
