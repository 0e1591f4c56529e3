"""Listings of a bucket by one signed request for each page, which need no client of boto3.

obstore's own can't be relied on: it takes any XML for an empty listing, shows keys as paths, and
does not say whether a page is the last one, nor in which order the server lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.httpsession import URLLib3Session

from collectfasta.stores.s3.connection import S3Connection
from collectfasta.stores.store import NoListingError

ROOT = "ListBucketResult"

# Begins the token of a page that ends at a key, which it names: the first version of listings,
# which some servers know alone, has no other.
MARKER = "\0"


class ListedObject(NamedTuple):
    """An object as a listing names it."""

    key: str
    etag: str
    size: int
    written: datetime | None


class ListedPage(NamedTuple):
    """A page of a listing, and where the next one begins."""

    objects: list[ListedObject]
    token: str | None


def parameters_of(prefix: str, begin: str, token: str) -> dict[str, str]:
    """Return what a page is asked for with, as the parameters of boto3's methods.

    Args:
        prefix: What all keys begin with.
        begin: A key that the page comes after, "" for the first.
        token: Where the page before says that this one begins, or "".
    """
    if token.startswith(MARKER):
        return {"Prefix": prefix, "Marker": token.removeprefix(MARKER)}
    goes_on = {"ContinuationToken": token} if token else {"StartAfter": begin} if begin else {}
    return {"Prefix": prefix, **goes_on}


def token_of(answer: Mapping[str, Any], last: str) -> str | None:
    """Return where the listing goes on, by the elements of an answer; None after the last page.

    Raises:
        NoListingError: It goes on, but the answer does not say where.
    """
    if answer.get("IsTruncated") not in (True, "true"):
        return None
    following = answer.get("NextContinuationToken")
    if following:
        return str(following)
    # Without a delimiter, the first version goes on after the last key:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html
    marker = answer.get("NextMarker") or last
    if not marker:
        raise NoListingError("The listing does not say where it goes on.")
    return MARKER + marker


_NAMES = {
    "Prefix": "prefix",
    "Marker": "marker",
    "StartAfter": "start-after",
    "ContinuationToken": "continuation-token",
}


class Lister:
    """Ask for pages as boto3 would, by botocore's connections, from any number of threads.

    Args:
        connection: How the bucket is reached.
        threads: How many ask at a time.
    """

    def __init__(self, connection: S3Connection, threads: int) -> None:
        bucket = "" if connection.is_virtual_hosted else connection.bucket
        self._url, self._region = f"{connection.url}/{bucket}", connection.region
        proxies = {scheme: connection.proxy for scheme in ("http", "https") if connection.proxy}
        options: Any = {
            "verify": connection.ca_bundle,
            "proxies": proxies,
            "timeout": (connection.connect_timeout, connection.read_timeout),
        }
        self._session = URLLib3Session(max_pool_connections=threads, **options)

    def ask(self, credentials: Any, parameters: Mapping[str, str]) -> Any:
        """Return the answer to a listing, botocore's: ``status_code``, ``headers``, ``content``.

        Args:
            credentials: What the request is signed with, botocore's.
            parameters: As ``parameters_of()`` has them.

        Raises:
            botocore.exceptions.HTTPClientError, ConnectionError: There was none.
        """
        query = {_NAMES[name]: value for name, value in parameters.items()}
        query["encoding-type"] = "url"
        if "Marker" not in parameters:
            query["list-type"] = "2"
        request = AWSRequest("GET", self._url, params=query)
        S3SigV4Auth(credentials, "s3", self._region).add_auth(request)
        return self._session.send(request.prepare())


def read_page(content: bytes) -> ListedPage:
    """Return what the XML of an answer says.

    Raises:
        ET.ParseError: It is cut off, or no XML.
        LookupError, NoListingError, ValueError: It is not a listing.
    """
    # Python's expat has limits on entities since 2.4.1; botocore relies on them as well.
    root = ET.fromstring(content)  # noqa: S314
    if _name_of(root) != ROOT:
        raise NoListingError(f"The answer to a listing is no listing ({_name_of(root)}).")
    fields = {_name_of(each): each.text or "" for each in root}
    contents = [each for each in root if _name_of(each) == "Contents"]
    is_encoded = fields.get("EncodingType") == "url"
    objects = [_object_of(each, is_encoded=is_encoded) for each in contents]
    if is_encoded and "NextMarker" in fields:
        fields["NextMarker"] = unquote_plus(fields["NextMarker"])
    return ListedPage(objects, token_of(fields, objects[-1].key if objects else ""))


def _object_of(element: ET.Element, *, is_encoded: bool) -> ListedObject:
    fields = {_name_of(each): each.text or "" for each in element}
    key = unquote_plus(fields["Key"]) if is_encoded else fields["Key"]
    # Python 3.10 reads no "Z".
    written = fields.get("LastModified", "").replace("Z", "+00:00")
    try:
        time = datetime.fromisoformat(written)
    except ValueError:
        time = None
    return ListedObject(key, fields["ETag"], int(fields["Size"]), time)


def _name_of(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]
