"""List blobs by the SDK's lightest way.

``ContainerClient.list_blobs()`` makes objects of all that the service says of a blob. A deploy
compares four properties: they are read from the answer to ``list_blob_names()``, which makes no
objects and passes it to a ``raw_response_hook``, in a sixth of the CPU time
(``python -m benchmarks.clouds``).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import unquote

from azure.core.exceptions import ServiceResponseError
from azure.core.pipeline.policies import ContentDecodePolicy
from azure.storage.blob import ContainerClient

from collectfasta.executor import Executor
from collectfasta.remote import next_marker, reading_listing
from collectfasta.strategies.patience import ATTEMPTS

# The most blobs that the service gives in an answer.
_PAGE = 5000

# A location of "" may share its container with much else: then only the folders in use are
# listed, unless they are so many that one listing of all is likely less.
_MOST_FOLDERS = 50


@dataclass(frozen=True)
class ListedBlob:
    """What a listing says of a blob.

    Attributes:
        key: Its name.
        etag: Its ETag, without quotation marks.
        size: Its size in bytes.
        md5: Its MD5 in hexadecimal, None where the container keeps none.
        modified: When it was last written, as HTTP has it.
    """

    key: str
    etag: str
    size: int
    md5: str | None
    modified: str | None = None


class _Page(NamedTuple):
    blobs: Sequence[ListedBlob]
    # Where the next page begins; None: there is none.
    marker: str | None


@dataclass(frozen=True)
class BlobListing:
    """A container's blobs, as many in a request as the service gives.

    Attributes:
        container: The SDK's client.
        timeout: Seconds that the service may take for a request.
        threads: How many folders are listed at a time.
    """

    container: ContainerClient
    timeout: int
    threads: int

    def find(self, keys: AbstractSet[str], prefix: str) -> Iterator[ListedBlob]:
        """Yield those of the blobs that exist.

        Without a prefix, the container may have much else. If one request does not tell all, only
        the top-level folders (and files) are listed in which something is still to be found.

        Args:
            keys: The names of the blobs.
            prefix: What all of them begin with.
        """
        page = self._page(prefix)
        found = [blob for blob in page.blobs if blob.key in keys]
        yield from found
        if page.marker is None:
            return
        missing = keys - {blob.key for blob in found}
        folders = {folder + slash for folder, slash, _ in (key.partition("/") for key in missing)}
        if prefix or len(folders) > _MOST_FOLDERS:
            rest = self.all(prefix, page.marker)
        else:
            rest = self._all_of_folders(folders)
        yield from (blob for blob in rest if blob.key in missing)

    def all(self, prefix: str, marker: str | None = None) -> Iterator[ListedBlob]:
        """Yield all blobs.

        Args:
            prefix: What all of them begin with.
            marker: Where to go on, as an answer has told.
        """
        while True:
            page = self._page(prefix, marker)
            yield from page.blobs
            marker = next_marker(marker, page.marker)
            if marker is None:
                return

    def _all_of_folders(self, folders: AbstractSet[str]) -> Iterator[ListedBlob]:
        with closing(Executor(self.threads).run(self._all_of_folder, folders)) as lists:
            for _, blobs, error in lists:
                if error:
                    raise error
                yield from blobs

    def _all_of_folder(self, folder: str) -> list[ListedBlob]:
        blobs = self.all(folder)
        if folder.endswith("/"):
            return [*blobs]
        # It is a file, which comes before all whose names begin with its own.
        return [blob for blob in islice(blobs, 1) if blob.key == folder]

    def _page(self, prefix: str, marker: str | None = None) -> _Page:
        for _ in range(ATTEMPTS):
            page = self._answered_page(prefix, marker)
            if page is not None:
                return page
        raise ServiceResponseError("no answer to a listing came whole")

    def _answered_page(self, prefix: str, marker: str | None) -> _Page | None:
        """Ask for a page; None if the SDK does not show the answer.

        It forgets its hook with an attempt that brings none (azure-storage-blob 12.31), so the
        answer to the next attempt is not seen.
        """
        roots: list[Any] = []
        names = self.container.list_blob_names(
            name_starts_with=prefix or None,
            results_per_page=_PAGE,
            timeout=self.timeout,
            raw_response_hook=lambda response: roots.append(_parse(response.http_response)),
        )
        pages: Any = names.by_page(marker)
        with reading_listing():
            next(pages)
            # What was answered before a retry is an error's.
            if not roots or roots[-1] is None:
                return None
            blobs = [*map(_describe, roots[-1].iter("Blob"))]
        return _Page(blobs, pages.continuation_token or None)


def _parse(response: Any) -> Any:
    if response.status_code != 200:
        return None
    return ContentDecodePolicy.deserialize_from_http_generics(response, "utf-8")


def _describe(blob: Any) -> ListedBlob:
    """Read a ``Blob`` element.

    https://learn.microsoft.com/rest/api/storageservices/list-blobs#response-body
    """
    name, properties = blob.find("Name"), blob.find("Properties")
    # Names with characters that XML can't have are percent-encoded.
    key = unquote(name.text) if name.get("Encoded") == "true" else name.text
    md5 = properties.findtext("Content-MD5")
    return ListedBlob(
        key,
        properties.findtext("Etag").strip('"'),
        int(properties.findtext("Content-Length")),
        base64.b64decode(md5).hex() if md5 else None,
        properties.findtext("Last-Modified"),
    )
