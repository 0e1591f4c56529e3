"""Answers that a server would give, or should not, in each cloud's form."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape

from tests.contract.conftest import Target


def listing(
    target: Target,
    *keys: str,
    size: str = "1",
    etag: str = "7",
    marker: str = "",
    doctype: str = "",
) -> bytes:
    """Return the answer to a listing.

    Args:
        target: Whose.
        keys: The keys, of which those that begin with "&" are entities of XML.
        size: The size of each object, as it is.
        etag: The ETag of each, or its generation.
        marker: Where the next page begins; empty on the last one.
        doctype: The document type of XML.
    """
    if target.kind == "gcs":
        items = [{"name": key, "size": size, "generation": etag} for key in keys]
        return json.dumps({"items": items, "nextPageToken": marker or None}).encode()
    names = [key if key.startswith("&") else escape(key) for key in keys]
    if target.kind == "azure":
        properties = f"<Etag>{etag}</Etag><Content-Length>{size}</Content-Length>"
        blobs = "".join(
            f"<Blob><Name>{key}</Name><Properties>{properties}</Properties></Blob>" for key in names
        )
        text = (
            f"<EnumerationResults><Blobs>{blobs}</Blobs>"
            f"<NextMarker>{marker}</NextMarker></EnumerationResults>"
        )
    else:
        contents = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size></Contents>"
            for key in names
        )
        following = f"<NextContinuationToken>{marker}</NextContinuationToken>" if marker else ""
        text = (
            f"<ListBucketResult><IsTruncated>{str(bool(marker)).lower()}</IsTruncated>"
            f"{following}{contents}</ListBucketResult>"
        )
    return f'<?xml version="1.0" encoding="UTF-8"?>{doctype}{text}'.encode()


def refusal_body(target: Target, code: str, message: str = "Not &lt;so&gt;.") -> bytes:
    """Return the body of a refusal."""
    if target.kind == "gcs":
        error = {"message": message, "errors": [{"reason": code, "message": message}]}
        return json.dumps({"error": error}).encode()
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


def answer(
    target: Target,
    match: Callable[[object], bool],
    body: bytes,
    status: int = 200,
    code: str = "",
    times: int | None = None,
) -> None:
    """Answer matching requests in the place of the server.

    Args:
        target: Whose requests.
        match: Which of them.
        body: The answer's.
        status: Its status.
        code: What Azure's header says of a refusal.
        times: How many requests to answer; None means all.
    """
    kind = "application/json" if target.kind == "gcs" else "application/xml"
    headers = {"Content-Type": f"{kind}; charset=utf-8"}
    if code and target.kind == "azure":
        headers["x-ms-error-code"] = code
    target.recorded.recorder.fail(match, status, body, headers, times)


def refuse(
    target: Target,
    match: Callable[[object], bool],
    status: int,
    code: str,
    message: str = "Not &lt;so&gt;.",
    times: int | None = None,
) -> None:
    """Refuse matching requests as the service would."""
    answer(target, match, refusal_body(target, code, message), status, code, times)
