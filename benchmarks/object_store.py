"""What an S3 server answers to a request, from buckets in memory.

It exists to measure clients: it knows the requests that deploys make, refuses all others with a
501, believes every signature and checksum, and has every bucket from the start, empty.
"""

from __future__ import annotations

import itertools
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from email.utils import formatdate
from typing import NamedTuple
from urllib.parse import quote
from xml.etree import ElementTree as ET

from benchmarks.buckets import Bucket, StoredObject, Upload, md5
from benchmarks.s3_answers import Answer, elements, error_answer, xml_answer

_PAGE = 1000

_PARAMETERS = frozenset(
    {
        "continuation-token",
        "delete",
        "encoding-type",
        "list-type",
        "marker",
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


class ObjectStore:
    """Buckets by name; one that is asked for exists."""

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}
        self._bodies: dict[str, bytes] = {}
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

    def bucket(self, name: str) -> Bucket:
        """Return the bucket with this name."""
        return self._buckets.setdefault(name, Bucket(self._bodies))

    def copy(self, source: str, target: str, age: float) -> None:
        """Let a bucket hold what another one holds, and be unasked.

        Args:
            source: The name of the bucket that is copied.
            target: The name of the bucket that is replaced.
            age: Seconds since when the objects have been there.
        """
        modified = time.time() - age
        objects = self.bucket(source).objects.items()
        copied = {key: each._replace(modified=modified) for key, each in objects}
        self._buckets[target] = Bucket(self._bodies, copied)

    def forget(self, name: str) -> None:
        """Free a bucket's memory: it is empty and unasked again."""
        self._buckets.pop(name, None)
        buckets = self._buckets.values()
        used = {each.etag for bucket in buckets for each in bucket.objects.values()}
        for etag in self._bodies.keys() - used:
            del self._bodies[etag]

    def answer(self, request: Request) -> Answer:
        """Do what a request asks for, and count it."""
        bucket = self.bucket(request.bucket)
        kind = request.kind
        bucket.requests[kind] += 1
        bucket.bytes_sent += len(request.body)
        handler = self._handlers.get(kind)
        if handler is None or _is_refused(request, kind):
            return error_answer(501, "NotImplemented", f"{request.method} {sorted(request.query)}")
        return handler(bucket, request)

    def _multipart(self, bucket: Bucket, request: Request) -> Answer:
        if "uploads" in request.query and request.method == "POST":
            return self._begin_upload(bucket, request)
        upload = bucket.uploads.get(request.query.get("uploadId", ""))
        if upload is None or upload.key != request.key:
            return error_answer(404, "NoSuchUpload", request.key)
        if request.method == "PUT":
            upload.parts[int(request.query["partNumber"])] = request.body
            return Answer(200, headers={"ETag": f'"{md5(request.body)}"'})
        if request.method == "POST":
            return _complete(bucket, upload, request)
        if request.method == "DELETE":
            del bucket.uploads[request.query["uploadId"]]
            return Answer(204)
        return error_answer(501, "NotImplemented", "listing parts")

    def _begin_upload(self, bucket: Bucket, request: Request) -> Answer:
        identity = f"upload-{next(self._upload_numbers)}"
        bucket.uploads[identity] = Upload(request.key, _kept(request.headers))
        names = {"Bucket": request.bucket, "Key": request.key, "UploadId": identity}
        return xml_answer("InitiateMultipartUploadResult", elements(names))


def _is_refused(request: Request, kind: str) -> bool:
    if not request.key and kind not in ("LIST", "DELETE_BATCH"):
        return True
    if kind == "LIST" and request.query.get("list-type", "2") != "2":
        return True
    unknown = request.query.keys() - _PARAMETERS
    return bool(unknown) or any(name in request.headers for name in _REFUSED_HEADERS)


def _put(bucket: Bucket, request: Request) -> Answer:
    etag = f'"{md5(request.body)}"'
    stored = StoredObject(request.body, etag, _kept(request.headers), time.time())
    bucket.put(request.key, stored)
    return Answer(200, headers={"ETag": etag})


def _get(bucket: Bucket, request: Request) -> Answer:
    stored = bucket.objects.get(request.key)
    if stored is None:
        return error_answer(404, "NoSuchKey", request.key)
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
        return xml_answer("DeleteResult", "")
    deleted = (f"<Deleted>{elements({'Key': key})}</Deleted>" for key in keys)
    return xml_answer("DeleteResult", "".join(deleted))


def _complete(bucket: Bucket, upload: Upload, request: Request) -> Answer:
    tree = ET.fromstring(request.body)
    numbers = [int(each.text or "") for each in tree.iterfind("{*}Part/{*}PartNumber")]
    if not numbers or any(number not in upload.parts for number in numbers):
        return error_answer(400, "InvalidPart", request.key)
    parts = [upload.parts[number] for number in numbers]
    digests = b"".join(bytes.fromhex(md5(part)) for part in parts)
    etag = f'"{md5(digests)}-{len(parts)}"'
    bucket.put(upload.key, StoredObject(b"".join(parts), etag, upload.headers, time.time()))
    del bucket.uploads[request.query["uploadId"]]
    names = {"Bucket": request.bucket, "Key": request.key, "ETag": etag}
    return xml_answer("CompleteMultipartUploadResult", elements(names))


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
    if facts["IsTruncated"] == "true" and "list-type" in query:
        facts["NextContinuationToken"] = urlsafe_b64encode(page[-1].encode()).decode()
    contents = "".join(_content(encode(key), bucket.objects[key]) for key in page)
    return xml_answer("ListBucketResult", elements(facts) + contents)


def _start(query: Mapping[str, str]) -> str:
    if "list-type" not in query:
        # The listing's first version, where the last key of a page is its marker.
        return query.get("marker", "")
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
    return f"<Contents>{elements(facts)}</Contents>"


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
