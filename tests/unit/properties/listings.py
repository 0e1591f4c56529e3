"""A bucket that answers listings as S3, Google Cloud Storage and Azure do, page by page.

The SDKs ask it over a socket, so that what they make of keys and pages is real. Real servers can't
be made to answer small or empty pages.
"""

from __future__ import annotations

import hashlib
import json
import threading
from base64 import b64encode
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape


class ListedBucket:
    """The keys that listings have, and how they show them.

    Attributes:
        url: Where it is asked.
        keys: All keys.
        page_size: The most keys in a page.
        has_empty_pages: Before each page comes one that is empty and not the last.
        requests: How many listings were asked for.
        heads: How many objects were asked for by themselves.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.reset((), 1000)
        self._lock = threading.Lock()

    def reset(
        self, keys: Sequence[str], page_size: int, *, has_empty_pages: bool = False
    ) -> ListedBucket:
        """Hold other keys from now on."""
        self.keys = sorted(keys, key=str.encode)
        self.page_size = page_size
        self.has_empty_pages = has_empty_pages
        self.requests = self.heads = 0
        return self

    def plain_requests(self, prefix: str) -> int:
        """Return how many requests a plain listing of a prefix takes."""
        pages = max(1, -(-len(self._under(prefix)) // self.page_size))
        return 2 * pages if self.has_empty_pages else pages

    def _under(self, prefix: str) -> list[str]:
        return [key for key in self.keys if key.startswith(prefix)]

    def answer(self, query: dict[str, str]) -> tuple[str, str]:
        """Return the content type and the body of an answer to whichever SDK asks."""
        with self._lock:
            self.requests += 1
        if "list-type" in query:
            return "application/xml", self._as_s3(query)
        if "comp" in query:
            return "application/xml", self._as_azure(query)
        return "application/json", self._as_google(query)

    def _as_s3(self, query: dict[str, str]) -> str:
        keys = self._under(query.get("prefix", ""))
        token = query.get("continuation-token")
        after = bytes.fromhex(token) if token else query.get("start-after", "").encode()
        start = bisect_right([key.encode() for key in keys], after)
        page, rest = keys[start : start + self.page_size], keys[start + self.page_size :]
        show: Callable[[str], str] = quote if query.get("encoding-type") == "url" else _as_xml
        contents = "".join(
            f"<Contents><Key>{show(key)}</Key><Size>{size_of(key)}</Size>"
            f"<ETag>&quot;{md5_of(key)}&quot;</ETag><StorageClass>STANDARD</StorageClass>"
            "<LastModified>2026-11-27T00:00:00.000Z</LastModified></Contents>"
            for key in page
        )
        # S3's own mean nothing to anybody else either.
        following = page[-1].encode().hex() if rest else ""
        token = f"<NextContinuationToken>{following}</NextContinuationToken>" if rest else ""
        encoding = "<EncodingType>url</EncodingType>" if show is quote else ""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name>'
            f"{encoding}<Prefix></Prefix><KeyCount>{len(page)}</KeyCount><MaxKeys>1000</MaxKeys>"
            f"<IsTruncated>{'true' if rest else 'false'}</IsTruncated>{contents}{token}"
            "</ListBucketResult>"
        )

    def _paged(self, keys: list[str], start: int, token: str) -> tuple[list[str], str]:
        """Return a page and the token of the next; a token is a position, after "e" or "f"."""
        kind, position = (token[:1], int(token[1:])) if token else ("e", start)
        if self.has_empty_pages and kind == "e":
            return [], f"f{position}"
        end = position + self.page_size
        return keys[position:end], f"e{end}" if end < len(keys) else ""

    def _as_google(self, query: dict[str, str]) -> str:
        keys = self._under(query.get("prefix", ""))
        start = bisect_left([key.encode() for key in keys], query.get("startOffset", "").encode())
        page, token = self._paged(keys, start, query.get("pageToken", ""))
        items = [
            {
                "name": key,
                "size": str(size_of(key)),
                "generation": "1",
                "md5Hash": b64encode(bytes.fromhex(md5_of(key))).decode(),
            }
            for key in page
        ]
        return json.dumps({"items": items, **({"nextPageToken": token} if token else {})})

    def _as_azure(self, query: dict[str, str]) -> str:
        keys = self._under(query.get("prefix", ""))
        page, token = self._paged(keys, 0, query.get("marker", ""))
        blobs = "".join(
            f"<Blob>{_azure_name(key)}<Properties><Etag>{md5_of(key)}</Etag>"
            f"<Content-Length>{size_of(key)}</Content-Length>"
            f"<Content-MD5>{b64encode(bytes.fromhex(md5_of(key))).decode()}</Content-MD5>"
            "</Properties></Blob>"
            for key in page
        )
        return (
            '<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="c">'
            f"<Blobs>{blobs}</Blobs><NextMarker>{token}</NextMarker></EnumerationResults>"
        )


def md5_of(key: str) -> str:
    """Return the MD5, and ETag, of an object, which no other has."""
    return hashlib.md5(key.encode()).hexdigest()


def size_of(key: str) -> int:
    """Return the size of an object: folders' markers are empty."""
    return 0 if key.endswith("/") else len(key.encode())


def _as_xml(key: str) -> str:
    # As S3 does, though XML 1.0 has not all of them.
    return "".join(f"&#x{ord(c):x};" if c < " " or c == "\x7f" else escape(c) for c in key)


def _azure_name(key: str) -> str:
    is_encoded = any(c < " " or c in "\x7f\ufffe\uffff" for c in key)
    if is_encoded:
        return f'<Name Encoded="true">{quote(key, safe="")}</Name>'
    return f"<Name>{escape(key)}</Name>"


@contextmanager
def serving() -> Iterator[ListedBucket]:
    """Serve a bucket on loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def log_message(self, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            """Answer a store that makes sure of a missing key."""
            bucket.heads += 1
            key = unquote(urlsplit(self.path).path).removeprefix("/bucket/")
            self.send_response(200 if key in bucket.keys else 404)
            self.send_header("Content-Length", "0" if key not in bucket.keys else str(size_of(key)))
            self.send_header("ETag", f'"{md5_of(key)}"')
            self.send_header("Last-Modified", "Fri, 27 Nov 2026 00:00:00 GMT")
            self.end_headers()

        def do_GET(self) -> None:
            query = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
            kind, text = bucket.answer(query)
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Clients end connections that they have kept open."""

    with Server(("127.0.0.1", 0), Handler) as server:
        bucket = ListedBucket(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield bucket
        finally:
            server.shutdown()
            thread.join()
