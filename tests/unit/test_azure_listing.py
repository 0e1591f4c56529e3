"""Listings of Azure Blob Storage as the service writes them, which Azurite does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from azure.storage.blob import ContainerClient

from collectfasta.strategies.azure_listing import BlobListing, ListedBlob

# With a byte order mark, percent-encoded names where XML can't have a character
# (https://learn.microsoft.com/rest/api/storageservices/list-blobs), and more than is read.
ANSWER = """\ufeff<?xml version="1.0" encoding="utf-8"?>
<EnumerationResults ServiceEndpoint="http://x/" ContainerName="c"><Prefix>css/</Prefix><Blobs>
<Blob><Name Encoded="true">css/%EF%BF%BE%20.css</Name><Properties><Etag>0x8D1</Etag>
<Content-Length>3</Content-Length><Content-MD5>rL0Y20zC+Fzt72VPzMSk2A==</Content-MD5>
</Properties><OrMetadata /></Blob>
<Blob><Name>css/a%20&amp;\u00fc.css</Name><Properties><Etag>"0x8D2"</Etag>
<Content-Length>0</Content-Length><Content-MD5 /></Properties><OrMetadata /></Blob>
<Blob><Name>css/theirs.css</Name><Properties><Etag>0x8D3</Etag><Content-Length>1</Content-Length>
</Properties></Blob>
</Blobs><NextMarker /></EnumerationResults>"""


class Service(BaseHTTPRequestHandler):
    """Gives the answer to whatever it is asked."""

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.end_headers()
        self.wfile.write(ANSWER.encode())


@pytest.fixture
def container() -> Iterator[ContainerClient]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        with ContainerClient(f"http://127.0.0.1:{server.server_port}/account", "c") as client:
            yield client
        server.shutdown()
        thread.join()


def test_blobs_are_read_as_the_service_writes_them(container: ContainerClient) -> None:
    names = {"css/\ufffe .css", "css/a%20&\u00fc.css"}

    found = list(BlobListing(container, timeout=20, threads=0).find(names, "css/"))

    assert found == [
        ListedBlob("css/\ufffe .css", "0x8D1", 3, "acbd18db4cc2f85cedef654fccc4a4d8"),
        ListedBlob("css/a%20&\u00fc.css", "0x8D2", 0, None),
    ]
