"""A page of an Azure listing, read from the answer's XML.

``ContainerClient.list_blobs()`` makes objects of all that the service says of a blob, in 0.2 ms
each: an unchanged deploy of 3,000 files took 1.7 times the CPU time with it (2.2 times the wall
time of the whole process, with 20 ms a request). A deploy compares four properties: they are read
from the answer to ``list_blob_names()``, which makes no objects and shows the answer to a
``raw_response_hook``.
"""

from __future__ import annotations

import base64
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote

from azure.core.exceptions import DecodeError, IncompleteReadError, ServiceResponseError
from azure.core.pipeline.policies import ContentDecodePolicy
from azure.storage.blob import ContainerClient

from collectfasta.checksums import Checksum
from collectfasta.remote import Listed, on_our_clock
from collectfasta.stores.http import ATTEMPTS, Counter
from collectfasta.stores.store import Entry, Page, reading_listing


def read_page(
    container: ContainerClient, counter: Counter, *, is_dated: bool, token: str, **options: Any
) -> Page:
    """Return a page of a listing.

    Args:
        container: The SDK's client.
        counter: Knows the service's clock.
        is_dated: Read when blobs were written, which takes as long as all the rest.
        token: Where the page begins, "" for the first one.
        options: For the request.

    Raises:
        AzureError: The service refuses or does not answer.
        NoListingError: The answer is not a listing.
    """
    for _ in range(ATTEMPTS):
        answers: list[Any] = []
        pages: Any = container.list_blob_names(raw_response_hook=answers.append, **options).by_page(
            token or None
        )
        with reading_listing():
            try:
                next(pages)
            except IncompleteReadError:
                raise
            except DecodeError as error:
                raise ValueError(error.message) from error
            # What was answered before a retry is an error's. And the SDK forgets its hook with an
            # attempt that brings no answer (azure-storage-blob 12.31): then the page is unseen.
            if answers and answers[-1].http_response.status_code == 200:
                answer = answers[-1].http_response
                root = ContentDecodePolicy.deserialize_from_http_generics(answer, "utf-8")
                if root.tag != "EnumerationResults":
                    raise ValueError(root.tag)
                entries = [
                    _entry(blob, counter.date, is_dated)
                    for blob in root.find("Blobs").iter("Blob")
                    if not _is_directory(blob)
                ]
                return Page(entries, pages.continuation_token or None)
    raise ServiceResponseError("no answer to a listing came whole")


def _is_directory(blob: Any) -> bool:
    """Return whether it is a directory of an account with a hierarchical namespace."""
    kind = blob.findtext("Properties/ResourceType")
    return bool(kind == "directory" or blob.findtext("Metadata/hdi_isfolder") == "true")


def _entry(blob: Any, date: str | None, is_dated: bool) -> Entry:
    """Read a ``Blob`` element.

    https://learn.microsoft.com/rest/api/storageservices/list-blobs#response-body
    """
    name, properties = blob.find("Name"), blob.find("Properties")
    # Names with characters that XML can't have are percent-encoded.
    key = unquote(name.text) if name.get("Encoded") == "true" else name.text
    md5 = properties.findtext("Content-MD5")
    written = properties.findtext("Last-Modified") if is_dated else None
    listed = Listed(
        properties.findtext("Etag").strip('"'),
        int(properties.findtext("Content-Length")),
        Checksum("md5", base64.b64decode(md5).hex()) if md5 else None,
        on_our_clock(parsedate_to_datetime(written), date) if written else None,
    )
    return Entry(key, listed)
