"""How obstore is set up to reach a bucket as the storage's boto3 client would."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.credentials import RefreshableCredentials
from obstore.exceptions import BaseError
from obstore.store import S3Store

from collectfasta.stores.s3.connection import S3Connection, UnsupportedError
from collectfasta.stores.s3.errors import CODE, NOT_DELETED, STATUS, WRONG_REGION

if TYPE_CHECKING:
    from botocore.credentials import Credentials

# For a whole request. The largest bodies that are sent at the same time take it at 2.2 Mbit/s.
_TIMEOUT = timedelta(minutes=3)
# No attempt is begun later than this after the first.
_RETRY_TIMEOUT = timedelta(minutes=3)

# obstore follows redirects, to any host, with the session token. So all hosts but the bucket's own
# are behind a proxy that nothing can be: nobody can listen on port 0.
NOWHERE = "127.0.0.1:0"
_BACKOFF = {
    "init_backoff": timedelta(milliseconds=100),
    "max_backoff": timedelta(seconds=20),
    "base": 2,
}

# What obstore does not ask for again, unlike botocore: an answer whose end is missing, and, of a
# request that is neither PUT nor GET, one whose beginning is (RetryConfig in
# https://developmentseed.org/obstore/latest/api/store/config/).
_CUT_OFF = re.compile(r"response body error")
_INTERRUPTED = re.compile(r"kind: (Interrupted|Timeout)")
_ELSEWHERE = re.compile(
    rf"Received redirect without LOCATION|status code: 30[1278]\b|\b{re.escape(NOWHERE)}\b"
)

# Credentials that expire are botocore's to refresh: nobody else holds them for longer than this.
_LONGEST = timedelta(minutes=10)

# Where there are none to be had, botocore asks for seconds, and for one request after the other: so
# long its last word stands for all.
_REFUSED_SECONDS = 10.0


def make_store(
    connection: S3Connection, credentials: CredentialProvider, *, sends_bodies: bool
) -> Any:
    """Make a store that leaves nothing to obstore's defaults and environment variables.

    Args:
        connection: How the bucket is reached.
        credentials: What requests are signed with.
        sends_bodies: It is for uploads. They have no other time-out than that of a whole request,
            because obstore's read timeout runs while a body is sent, which botocore's does not.

    Raises:
        UnsupportedError: It can't be made here.
    """
    # Through a proxy a redirect could lead anywhere.
    if connection.proxy and credentials.have_token:
        raise UnsupportedError("a session token behind a proxy")
    options: Any = {
        "allow_http": not connection.is_secure,
        "connect_timeout": timedelta(seconds=connection.connect_timeout),
        "timeout": _TIMEOUT,
        # Or else it takes one from the environment, by other rules than botocore's.
        "proxy_url": connection.proxy or f"http://{NOWHERE}",
        "proxy_excludes": "" if connection.proxy else urlsplit(connection.url).hostname,
    }
    if not sends_bodies:
        options["read_timeout"] = timedelta(seconds=connection.read_timeout)
    if connection.is_secure:
        options["root_certificate"] = _read(connection.ca_bundle)
    retries: Any = {
        "max_retries": connection.attempts - 1,
        "backoff": _BACKOFF,
        "retry_timeout": _RETRY_TIMEOUT,
    }
    try:
        return S3Store(
            connection.bucket,
            client_options=options,
            retry_config=retries,
            credential_provider=credentials,
            endpoint=connection.url,
            region=connection.region,
            virtual_hosted_style_request=connection.is_virtual_hosted,
            request_payer=False,
            skip_signature=False,
            unsigned_payload=False,
        )
    except (BaseError, ValueError):
        # Its text may have the proxy's password.
        raise UnsupportedError("obstore can't be set up") from None


def _read(ca_bundle: str) -> bytes:
    """Return the certificates that botocore trusts: a slim system may have none of its own."""
    try:
        with open(ca_bundle, "rb") as certificates:
            return certificates.read()
    except OSError:
        raise UnsupportedError("the certificates can't be read") from None


class CredentialProvider:
    """Give obstore botocore's credentials, which botocore refreshes.

    Attributes:
        error: Why there were none when they were last asked for.
    """

    def __init__(self, credentials: Credentials) -> None:
        self.error: Exception | None = None
        self._failed_at = 0.0
        self._credentials = credentials

    def __call__(self) -> Any:
        """Return credentials as obstore wants them."""
        if self.error is not None and time.monotonic() - self._failed_at < _REFUSED_SECONDS:
            raise self.error
        try:
            frozen = self._credentials.get_frozen_credentials()
        except Exception as error:
            self.error, self._failed_at = error, time.monotonic()
            raise
        self.error = None
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": self._ask_again(),
        }

    @property
    def have_token(self) -> bool:
        """Whether a session token comes with them, told without asking for them."""
        known = self._credentials
        return isinstance(known, RefreshableCredentials) or bool(known.token)

    def _ask_again(self) -> datetime | None:
        """Return when obstore takes them for expired; it asks again 5 minutes before."""
        if not isinstance(self._credentials, RefreshableCredentials):
            return None
        is_fresh = not self._credentials.refresh_needed(refresh_in=_LONGEST.seconds)
        return datetime.now(timezone.utc) + (_LONGEST if is_fresh else timedelta(0))


def raise_unsupported(text: str, operation: str) -> None:
    """Refuse what boto3 can do better.

    Args:
        text: That of an error of obstore.
        operation: What was asked for, as boto3 calls it.

    Raises:
        UnsupportedError: boto3 finds the bucket in another region, reads listings that obstore does
            not, and asks again where obstore does not.
    """
    if "Got invalid list response" in text:
        raise UnsupportedError("the server's listings", permanent=True)
    code = CODE.search(text)
    if _ELSEWHERE.search(text) or (code and code.group(1) in WRONG_REGION):
        raise UnsupportedError("the bucket is in another region", permanent=True)
    if STATUS.search(text) or NOT_DELETED.search(text):
        return
    if _CUT_OFF.search(text) or (operation == "DeleteObjects" and _INTERRUPTED.search(text)):
        raise UnsupportedError("an answer was cut off")
