"""A fake of Google Cloud Storage's JSON API, for what the emulator can't do.

It answers listings as https://cloud.google.com/storage/docs/json_api/v1/objects/list says: in the
order of the names' UTF-8, from ``startOffset`` on, in pages, with only the ``fields`` asked for;
and it can hold composite objects, which have no MD5
(https://cloud.google.com/storage/docs/composite-objects). Besides that there are buckets, uploads
in one request, and deletions.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import google_crc32c

from .process import HOST

Resource = dict[str, Any]

# What the service says of each object besides, the same of all here
# (https://cloud.google.com/storage/docs/json_api/v1/objects#resource).
_OTHER_FIELDS = {
    "kind": "storage#object",
    "metageneration": "1",
    "contentType": "application/octet-stream",
    "storageClass": "STANDARD",
    "etag": "CJjB6Y2QhYwDEAE=",
    "timeCreated": "2026-11-21T12:00:00.000Z",
    "updated": "2026-11-21T12:00:00.000Z",
    "timeStorageClassUpdated": "2026-11-21T12:00:00.000Z",
}

_BOUNDARY = re.compile(r'boundary="?([^";]+)')
_ITEM_FIELDS = re.compile(r"items\(([^)]*)\)")


class FakeGoogle:
    """The buckets, and how listings are paged.

    Attributes:
        page_limit: The most objects in a page; a client may ask for fewer.
        has_empty_pages: Each listing begins with a page that is empty and not the last one, as the
            API allows.
    """

    def __init__(self) -> None:
        self.page_limit = 1000
        self.has_empty_pages = False
        self._buckets: dict[str, dict[str, Resource]] = {}
        self._generations = itertools.count(1)

    def put(self, bucket: str, name: str, body: bytes, *, composite: bool = False) -> Resource:
        """Store an object and return its resource. A composite one has no MD5."""
        generation = str(next(self._generations))
        resource = {
            **_OTHER_FIELDS,
            "id": f"{bucket}/{name}/{generation}",
            "name": name,
            "bucket": bucket,
            "generation": generation,
            "size": str(len(body)),
            "crc32c": _base64(google_crc32c.value(body).to_bytes(4, "big")),
        }
        if not composite:
            resource["md5Hash"] = _base64(hashlib.md5(body).digest())
        self._buckets[bucket][name] = resource
        return resource

    def create_bucket(self, name: str) -> Resource:
        """Make an empty bucket, also of one that was there, and return its resource."""
        self._buckets[name] = {}
        return {"name": name}

    def delete(self, bucket: str, name: str = "") -> None:
        """Remove an object or, without a name, the bucket.

        Raises:
            KeyError: There is none.
        """
        if name:
            del self._buckets[bucket][name]
        else:
            del self._buckets[bucket]

    def list_objects(self, bucket: str, query: dict[str, str]) -> Resource:
        """Return one page.

        Raises:
            KeyError: There is no such bucket.
        """
        objects = self._buckets[bucket]
        token = query.get("pageToken", "")
        if self.has_empty_pages and not token:
            return {"nextPageToken": "from "}
        begin = max(token.removeprefix("from "), query.get("startOffset", ""))
        prefix = query.get("prefix", "")
        names = sorted(each for each in objects if each.startswith(prefix) and each >= begin)
        limit = min(self.page_limit, int(query.get("maxResults", self.page_limit)))
        fields = _item_fields(query.get("fields"))
        page = {"items": [_pick(objects[each], fields) for each in names[:limit]]}
        return page | ({"nextPageToken": f"from {names[limit]}"} if names[limit:] else {})


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _item_fields(fields: str | None) -> set[str] | None:
    found = _ITEM_FIELDS.search(fields or "")
    return set(found[1].split(",")) if found else None


def _pick(resource: Resource, fields: set[str] | None) -> Resource:
    return {key: value for key, value in resource.items() if fields is None or key in fields}


@contextmanager
def serve(fake: FakeGoogle) -> Iterator[str]:
    """Answer requests from the buckets until the block ends.

    Yields:
        The server's URL, without a path.
    """
    with _Server(fake) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://{HOST}:{server.server_port}"
        server.shutdown()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, fake: FakeGoogle) -> None:
        self.fake = fake
        self.lock = threading.Lock()
        super().__init__((HOST, 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            with self.server.lock:
                status, answer = 200, self._answer(body)
        except KeyError as error:
            status, answer = 404, {"error": {"code": 404, "message": f"Not found: {error}"}}
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_DELETE = do_GET = do_POST = _serve

    def _answer(self, body: bytes) -> Resource:
        """Do what the request asks for: `/storage/v1/b[/bucket[/o[/object]]]`."""
        fake, url = self.server.fake, urlsplit(self.path)
        bucket, _, name = url.path.partition("/v1/b")[2].strip("/").partition("/o")
        if self.command == "DELETE":
            fake.delete(bucket, unquote(name.removeprefix("/")))
            return {}
        if self.command == "GET":
            return fake.list_objects(bucket, dict(parse_qsl(url.query)))
        if not bucket:
            return fake.create_bucket(json.loads(body)["name"])
        metadata, content = self._parts(body)
        return fake.put(bucket, json.loads(metadata)["name"], content)

    def _parts(self, body: bytes) -> tuple[bytes, bytes]:
        """Return the metadata and the content of a multipart upload."""
        boundary = _BOUNDARY.findall(self.headers["Content-Type"])[0].encode()
        _, *parts, _ = body.split(b"--" + boundary)
        metadata, content = (part.partition(b"\r\n\r\n")[2] for part in parts)
        return metadata, content.removesuffix(b"\r\n")
