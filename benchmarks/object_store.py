"""What an S3 server answers to a request, from buckets in memory.

It exists to measure clients: it knows the requests that deploys make, refuses all others with a
501, believes every signature and checksum, and has every bucket from the start, empty.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import formatdate
from typing import NamedTuple
from urllib.parse import quote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_XML = {"Content-Type": "application/xml"}
_PAGE = 1000

_PARAMETERS = frozenset(
    {
        "continuation-token",
        "delete",
        "encoding-type",
        "list-type",
        "max-keys",
        "partNumber",
        "prefix",
        "start-after",
        "uploadId",
        "uploads",
        "x-id",  # names the operation for people who read logs
    }
)
_REFUSED_HEADERS = ("x-amz-copy-source", "transfer-encoding")
_KEPT_HEADERS = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
    }
)


class Request(NamedTuple):
    """A request with its path taken apart and its headers' names in lower case."""

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        """Its kind, as the tests' buckets count them."""
        if "uploads" in self.query or "uploadId" in self.query:
            return "MULTIPART"
        if self.method == "POST" and "delete" in self.query:
            return "DELETE_BATCH"
        if self.method == "GET" and not self.key:
            return "LIST"
        return self.method


class Answer(NamedTuple):
    """A status, a body and headers; of the body of an answer to HEAD only the length is sent."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


class StoredObject(NamedTuple):
    """An object and the headers that it was written with."""

    body: bytes
    etag: str
    headers: Mapping[str, str]
    modified: float

    @property
    def md5(self) -> str:
        """The MD5 of its bytes, which the ETag of a multipart upload is not."""
        return _md5(self.body)


@dataclass
class Upload:
    """A multipart upload that is not complete."""

    key: str
    headers: Mapping[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass
class Bucket:
    """The objects of a bucket, and how many requests of each kind were made to it."""

    objects: dict[str, StoredObject] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    _sorted_keys: list[str] | None = None

    def put(self, key: str, stored: StoredObject) -> None:
        """Store an object, over what is there."""
        if key not in self.objects:
            self._sorted_keys = None
        self.objects[key] = stored

    def delete(self, key: str) -> None:
        """Delete an object; a missing one is no error."""
        if self.objects.pop(key, None):
            self._sorted_keys = None

    @property
    def sorted_keys(self) -> list[str]:
        """The keys in the order of their UTF-8, which is that of their code points."""
        if self._sorted_keys is None:
            self._sorted_keys = sorted(self.objects)
        return self._sorted_keys


class ObjectStore:
    """Buckets by name; one that is asked for exists."""

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}
        self._upload_numbers = itertools.count(1)
        self._handlers: dict[str, Callable[[Bucket, Request], Answer]] = {
            "LIST": _list,
            "PUT": _put,
            "GET": _get,
            "HEAD": _get,
            "DELETE": _delete,
            "DELETE_BATCH": _delete_batch,
            "MULTIPART": self._multipart,
        }

    def answer(self, request: Request) -> Answer:
        """Do what a request asks for, and count it."""
        bucket = self.buckets.setdefault(request.bucket, Bucket())
        kind = request.kind
        bucket.requests[kind] += 1
        handler = self._handlers.get(kind)
        if handler is None or _is_refused(request, kind):
            return _error(501, "NotImplemented", f"{request.method} {sorted(request.query)}")
        return handler(bucket, request)

    def _multipart(self, bucket: Bucket, request: Request) -> Answer:
        if "uploads" in request.query and request.method == "POST":
            return self._begin_upload(bucket, request)
        upload = bucket.uploads.get(request.query.get("uploadId", ""))
        if upload is None or upload.key != request.key:
            return _error(404, "NoSuchUpload", request.key)
        if request.method == "PUT":
            upload.parts[int(request.query["partNumber"])] = request.body
            return Answer(200, headers={"ETag": f'"{_md5(request.body)}"'})
        if request.method == "POST":
            return _complete(bucket, upload, request)
        if request.method == "DELETE":
            del bucket.uploads[request.query["uploadId"]]
            return Answer(204)
        return _error(501, "NotImplemented", "listing parts")

    def _begin_upload(self, bucket: Bucket, request: Request) -> Answer:
        identity = f"upload-{next(self._upload_numbers)}"
        bucket.uploads[identity] = Upload(request.key, _kept(request.headers))
        names = {"Bucket": request.bucket, "Key": request.key, "UploadId": identity}
        return _xml("InitiateMultipartUploadResult", _elements(names))


def _is_refused(request: Request, kind: str) -> bool:
    if not request.key and kind not in ("LIST", "DELETE_BATCH"):
        return True
    if kind == "LIST" and request.query.get("list-type") != "2":
        return True
    unknown = request.query.keys() - _PARAMETERS
    return bool(unknown) or any(name in request.headers for name in _REFUSED_HEADERS)


def _put(bucket: Bucket, request: Request) -> Answer:
    etag = f'"{_md5(request.body)}"'
    stored = StoredObject(request.body, etag, _kept(request.headers), time.time())
    bucket.put(request.key, stored)
    return Answer(200, headers={"ETag": etag})


def _get(bucket: Bucket, request: Request) -> Answer:
    stored = bucket.objects.get(request.key)
    if stored is None:
        return _error(404, "NoSuchKey", request.key)
    modified = formatdate(stored.modified, usegmt=True)
    headers = {**stored.headers, "ETag": stored.etag, "Last-Modified": modified}
    return Answer(200, stored.body, headers)


def _delete(bucket: Bucket, request: Request) -> Answer:
    bucket.delete(request.key)
    return Answer(204)


def _delete_batch(bucket: Bucket, request: Request) -> Answer:
    tree = ET.fromstring(request.body)
    keys = [each.text or "" for each in tree.iterfind("{*}Object/{*}Key")]
    for key in keys:
        bucket.delete(key)
    if tree.findtext("{*}Quiet") == "true":
        return _xml("DeleteResult", "")
    deleted = (f"<Deleted>{_elements({'Key': key})}</Deleted>" for key in keys)
    return _xml("DeleteResult", "".join(deleted))


def _complete(bucket: Bucket, upload: Upload, request: Request) -> Answer:
    tree = ET.fromstring(request.body)
    numbers = [int(each.text or "") for each in tree.iterfind("{*}Part/{*}PartNumber")]
    if not numbers or any(number not in upload.parts for number in numbers):
        return _error(400, "InvalidPart", request.key)
    parts = [upload.parts[number] for number in numbers]
    digests = b"".join(bytes.fromhex(_md5(part)) for part in parts)
    etag = f'"{_md5(digests)}-{len(parts)}"'
    bucket.put(upload.key, StoredObject(b"".join(parts), etag, upload.headers, time.time()))
    del bucket.uploads[request.query["uploadId"]]
    names = {"Bucket": request.bucket, "Key": request.key, "ETag": etag}
    return _xml("CompleteMultipartUploadResult", _elements(names))


def _list(bucket: Bucket, request: Request) -> Answer:
    query = request.query
    encode = quote if query.get("encoding-type") == "url" else str
    prefix, limit = query.get("prefix", ""), min(int(query.get("max-keys", _PAGE)), _PAGE)
    keys = bucket.sorted_keys
    first = max(bisect_left(keys, prefix), bisect_right(keys, _start(query)))
    end = bisect_left(keys, True, lo=first, key=lambda key: not key.startswith(prefix))
    page = keys[first : min(first + limit, end)]
    facts = {
        "Name": request.bucket,
        "Prefix": encode(prefix),
        "KeyCount": len(page),
        "MaxKeys": limit,
        "IsTruncated": "true" if page and first + limit < end else "false",
    }
    if "encoding-type" in query:
        facts["EncodingType"] = query["encoding-type"]
    if facts["IsTruncated"] == "true":
        facts["NextContinuationToken"] = urlsafe_b64encode(page[-1].encode()).decode()
    contents = "".join(_content(encode(key), bucket.objects[key]) for key in page)
    return _xml("ListBucketResult", _elements(facts) + contents)


def _start(query: Mapping[str, str]) -> str:
    token = query.get("continuation-token")
    return urlsafe_b64decode(token).decode() if token else query.get("start-after", "")


def _content(key: str, stored: StoredObject) -> str:
    modified = datetime.fromtimestamp(stored.modified, timezone.utc)
    facts = {
        "Key": key,
        "LastModified": f"{modified:%Y-%m-%dT%H:%M:%S.000Z}",
        "ETag": stored.etag,
        "Size": len(stored.body),
        "StorageClass": "STANDARD",
    }
    return f"<Contents>{_elements(facts)}</Contents>"


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    kept = {"content-type": "binary/octet-stream"} | {
        name: value
        for name, value in headers.items()
        if name in _KEPT_HEADERS or name.startswith("x-amz-meta-")
    }
    # The framing of a signed stream, not an encoding of the object.
    encodings = [each.strip() for each in kept.pop("content-encoding", "").split(",")]
    encoding = ",".join(each for each in encodings if each and each != "aws-chunked")
    return {**kept, "content-encoding": encoding} if encoding else kept


def _error(status: int, code: str, message: str) -> Answer:
    facts = _elements({"Code": code, "Message": message})
    return Answer(status, f"<Error>{facts}</Error>".encode(), _XML)


def _xml(name: str, content: str) -> Answer:
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} xmlns="{_NAMESPACE}">{content}</{name}>'
    )
    return Answer(200, text.encode(), _XML)


def _elements(facts: Mapping[str, object]) -> str:
    return "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in facts.items())


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
