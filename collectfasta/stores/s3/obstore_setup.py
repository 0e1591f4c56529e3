"""How obstore is set up to reach a bucket as the storage's boto3 client would."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.credentials import RefreshableCredentials
from obstore.exceptions import BaseError
from obstore.store import S3Store

from collectfasta.stores.s3.connection import NOWHERE, S3Connection, UnsupportedError
from collectfasta.stores.s3.errors import check_keys

if TYPE_CHECKING:
    from botocore.credentials import Credentials

# For a whole request. The largest bodies that are sent at the same time take it at 2.2 Mbit/s.
_TIMEOUT = timedelta(minutes=3)
# No attempt is begun later than this after the first.
_RETRY_TIMEOUT = timedelta(minutes=3)

_BACKOFF = {
    "init_backoff": timedelta(milliseconds=100),
    "max_backoff": timedelta(seconds=20),
    "base": 2,
}

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
    is_secure = connection.url.startswith("https:")
    options: Any = {
        "allow_http": not is_secure,
        "connect_timeout": timedelta(seconds=connection.connect_timeout),
        "timeout": _TIMEOUT,
        # Or else it takes one from the environment, by other rules than botocore's.
        "proxy_url": connection.proxy or f"http://{NOWHERE}",
        "proxy_excludes": "" if connection.proxy else urlsplit(connection.url).hostname,
    }
    if not sends_bodies:
        options["read_timeout"] = timedelta(seconds=connection.read_timeout)
    if is_secure:
        # Those that botocore trusts: a slim system may have none.
        try:
            options["root_certificate"] = Path(connection.ca_bundle).read_bytes()
        except OSError:
            raise UnsupportedError("the certificates can't be read") from None
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
        frozen = self.frozen()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": self._ask_again(),
        }

    def frozen(self) -> Any:
        """Return botocore's credentials as they are now; there may be none for seconds."""
        if self.error is not None and time.monotonic() - self._failed_at < _REFUSED_SECONDS:
            raise self.error
        try:
            frozen = self._credentials.get_frozen_credentials()
            check_keys(frozen, self._credentials.method)
        except Exception as error:
            self.error, self._failed_at = error, time.monotonic()
            raise
        self.error = None
        return frozen

    @property
    def have_token(self) -> bool:
        """Whether a session token comes with them; known without asking for them."""
        known = self._credentials
        return isinstance(known, RefreshableCredentials) or bool(known.token)

    def _ask_again(self) -> datetime | None:
        """Return when obstore takes them for expired; it asks again 5 minutes before."""
        if not isinstance(self._credentials, RefreshableCredentials):
            return None
        is_fresh = not self._credentials.refresh_needed(refresh_in=_LONGEST.seconds)
        return datetime.now(timezone.utc) + (_LONGEST if is_fresh else timedelta(0))
