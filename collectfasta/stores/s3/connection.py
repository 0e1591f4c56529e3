"""How an S3Storage's boto3 client would reach its bucket, in plain values.

obstore may stand in for boto3 only where it would do the same. What botocore can be given in its
client configuration, its configuration files and its environment is more than these values hold;
whatever is not known to make no difference is refused.

botocore's private names stand here: what a client signs with and who listens to its events, a
session's profile and credentials, ``Config``'s options, and how it finds certificates and proxies.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore import handlers
from botocore.config import Config
from botocore.httpsession import ProxyConfiguration, get_cert_path
from botocore.utils import get_environ_proxies

from collectfasta.patching import is_overridden
from collectfasta.stores.django_storages import (
    S3_CLIENT_METHODS,
    s3_connection_so_far,
    s3_session,
    share_s3_sessions,
)
from collectfasta.stores.http import ATTEMPTS

if TYPE_CHECKING:
    from botocore.credentials import Credentials

# Attributes of botocore's credentials, with an underscore those of credentials that expire.
_SECRETS = ("secret_key", "token", "_secret_key", "_token")

# obstore follows redirects, to any host, with the session token. So all hosts but the bucket's own
# are behind a proxy that nothing can be: nobody can listen on port 0.
NOWHERE = "127.0.0.1:0"

# Not aliases of access points, directory buckets or ARNs, whose addresses botocore works out:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"[a-z0-9](?!.*--)[a-z0-9.-]{1,61}[a-z0-9](?<!-s3alias)")
# The regions whose hosts are s3.REGION.amazonaws.com; in China and in isolated ones they are not.
_REGION = re.compile(r"(?!cn-|us-iso|eu-iso)[a-z]{2}(-[a-z]+)+-\d+")

# What requests can be signed for: pseudo regions stand for another.
_REGION_NAME = re.compile(r"(?!.*(fips|global))[a-z0-9-]+", re.IGNORECASE)

# Options of botocore's Config that leave the requests as they are, or that are taken from it here.
_CONFIG_OPTIONS = re.compile(
    r"connect_timeout|inject_host_prefix|max_pool_connections|parameter_validation|read_timeout"
    r"|region_name|response_checksum_validation|retries|s3\.addressing_style|tcp_keepalive"
    r"|user_agent|user_agent_appid|user_agent_extra"
)
_CONFIG_VALUES: dict[str, tuple[object, ...]] = {
    "request_checksum_calculation": ("when_required",),
    "signature_version": ("s3v4",),
}
# What a profile in ~/.aws/config may say that is about credentials, or only about other programs.
_PROFILE_OPTIONS = re.compile(
    r"aws_\w+|cli_\w+|credential_\w+|duration_seconds|external_id|max_attempts|mfa_serial|output"
    r"|region|retry_mode|role_\w+|source_profile|sso_\w+|web_identity_token_file"
)
# Environment variables that change what botocore sends, or what obstore does (S3Config in
# https://developmentseed.org/obstore/latest/api/store/aws/).
_VARIABLES = re.compile(
    r"AWS_(AUTH_SCHEME_PREFERENCE|CHECKSUM_ALGORITHM|DATA_PATH|DEFAULTS_MODE|ENDPOINT\w*|REQUEST_CHECKSUM_CALCULATION"
    r"|S3_DISABLE_\w+|S3_EXPRESS|S3_US_EAST_1_REGIONAL_ENDPOINT|S3_USE_ARN_REGION"
    r"|SERVER_SIDE_ENCRYPTION|SIGV4A_SIGNING_REGION_SET|SSE_\w+|USE_DUALSTACK_ENDPOINT"
    r"|USE_FIPS_ENDPOINT)"
)


# What botocore lets others change requests by, and the requests
# (https://docs.aws.amazon.com/boto3/latest/guide/events.html).
_EVENTS = (
    "provide-client-params",
    "before-parameter-build",
    "before-call",
    "request-created",
    "choose-signer",
    "before-sign",
    "before-send",
    "response-received",
    "after-call",
)
_OPERATIONS = ("ListObjectsV2", "HeadObject", "PutObject", "UploadPart", "DeleteObjects")

# Why boto3 takes over what has had no time to be sent.
SLOW_LINE = "a slow line"


class UnsupportedError(Exception):
    """A request that obstore can't make exactly as boto3 would; nothing was sent.

    Args:
        reason: What it can't do, in a few words.
        permanent: It can do nothing else for this storage either.
    """

    def __init__(self, reason: str, *, permanent: bool = False) -> None:
        super().__init__(reason)
        self.permanent = permanent


@dataclass(frozen=True)
class S3Connection:
    """Where a bucket is and how it is asked.

    Attributes:
        bucket: The bucket's name.
        url: The server; with the bucket's name in it for ``is_virtual_hosted``.
        region: What requests are signed for.
        is_virtual_hosted: The host names the bucket, not the path.
        attempts: How often a request is tried, the first time included.
        connect_timeout: Seconds.
        read_timeout: Seconds without a word from the server.
        ca_bundle: The file of the certificates that botocore trusts.
        proxy: The URL of the HTTP proxy; it may have a password in it.
        credentials: botocore's, refreshed by it.
    """

    bucket: str
    url: str
    region: str
    is_virtual_hosted: bool
    attempts: int
    connect_timeout: float
    read_timeout: float
    ca_bundle: str
    proxy: str | None = field(repr=False)
    credentials: Credentials = field(repr=False)


def scoped_config(session: Any) -> dict[str, Any]:
    """Return what the profile of a boto3 session says in ~/.aws/config."""
    profile: dict[str, Any] = session._session.get_scoped_config()
    return profile


def share_credentials(storage: Any) -> None:
    """Let all sessions of a storage sign with what is found first: it may have asked a person.

    Args:
        storage: An S3Storage. Keys among its options stay.
    """
    made, lock = s3_connection_so_far(storage), threading.Lock()
    found = [credentials_of(made.meta.client)] if made else []

    def share(session: Any) -> None:
        with lock:
            if found:
                resolver = session._session.get_component("credential_provider")
                resolver.providers[:] = [_Found(found[0])]
            elif (credentials := session.get_credentials()) is not None:
                found.append(credentials)

    share_s3_sessions(storage, share)


class _Found:
    """A provider, as botocore has them, of credentials that were found."""

    METHOD = CANONICAL_NAME = "found"

    def __init__(self, credentials: Any) -> None:
        self._found = credentials

    def load(self) -> Any:
        return self._found


def overrides(storage: Any, name: str) -> bool:
    """Return whether a class reaches its bucket by a property or method of its own."""
    return is_overridden(type(storage), name, outside=("storages.",))


def client_with_handlers(storage: Any) -> Any:
    """Return the client that a storage has made, if somebody listens to its events; else None."""
    made = s3_connection_so_far(storage)
    if made is None:
        return None
    listeners = made.meta.client.meta.events._emitter._handlers
    for event, operation in product(_EVENTS, _OPERATIONS):
        for handler in listeners.prefix_search(f"{event}.s3.{operation}"):
            module = getattr(handler, "func", handler).__module__
            if not module.startswith(("botocore.", "boto3.")):
                return made.meta.client
    return None


def see_answers(client: Any, see: Callable[..., None]) -> None:
    """Call a function with each answer before botocore takes what is not XML for a 500."""
    events, event = client.meta.events, "before-parse.s3.*"
    theirs = getattr(handlers, "_handle_200_error", None)
    if theirs is not None:
        events.unregister(event, theirs)
    events.register_first(event, see)
    if theirs is not None:
        events.register_first(event, theirs)


def credentials_of(client: Any) -> Any:
    """Return what a client signs with, botocore's; None if it does not."""
    return getattr(client, "_get_credentials", lambda: None)()


def secrets_of(credentials: Any) -> list[str]:
    """Return the keys and tokens in credentials of botocore's, as they are now."""
    # Asked for by their properties they might be refreshed.
    known = vars(credentials) if credentials else {}
    return [known[name] for name in _SECRETS if known.get(name)]


def connection_of(storage: Any) -> S3Connection:
    """Return how a storage's boto3 client would reach its bucket.

    Args:
        storage: An S3Storage.

    Raises:
        UnsupportedError: It would do something that can't be said in these values.
    """
    for reason in _obstacles(storage):
        raise UnsupportedError(reason)
    session = s3_session(storage)
    profile = scoped_config(session)
    for name in profile:
        if not _PROFILE_OPTIONS.fullmatch(name):
            raise UnsupportedError(f"{name} in the AWS configuration file")
    credentials = session.get_credentials()
    if credentials is None:
        raise UnsupportedError("no credentials")
    config = storage.client_config
    region = storage.region_name or config.region_name or session.region_name
    if region and not _REGION_NAME.fullmatch(region):
        raise UnsupportedError("the name of the region")
    scheme, host, is_virtual_hosted = _address(storage, region)
    bucket = f"{storage.bucket_name}." if is_virtual_hosted else ""
    server = f"{scheme}://{host}"
    bundles = os.environ.get("AWS_CA_BUNDLE"), os.environ.get("REQUESTS_CA_BUNDLE")
    return S3Connection(
        bucket=storage.bucket_name,
        url=f"{scheme}://{bucket}{host}",
        region=region or "us-east-1",
        is_virtual_hosted=is_virtual_hosted,
        attempts=_attempts(config, profile),
        connect_timeout=config.connect_timeout,
        read_timeout=config.read_timeout,
        ca_bundle=next(filter(None, bundles), None) or str(get_cert_path(True)),
        proxy=ProxyConfiguration(get_environ_proxies(server)).proxy_url_for(server),
        credentials=credentials,
    )


def _obstacles(storage: Any) -> Iterator[str]:
    for name in S3_CLIENT_METHODS:
        if overrides(storage, name):
            yield f"{type(storage).__name__} has a {name} of its own"
    if client_with_handlers(storage) is not None:
        yield "the events of the storage's client"
    if not _BUCKET.fullmatch(storage.bucket_name or ""):
        yield "the kind of bucket"
    if storage.verify is not None:
        yield "verify"
    for name, value in _changed_options(storage.client_config):
        is_harmless = _CONFIG_OPTIONS.fullmatch(name) and value is not None
        if not is_harmless and value not in _CONFIG_VALUES.get(name, ()):
            yield f"{name} in the client's configuration"
    for name in os.environ:
        if _VARIABLES.fullmatch(name):
            yield f"{name} in the environment"


def _changed_options(config: Any) -> Iterator[tuple[str, object]]:
    for name, default in Config.OPTION_DEFAULTS.items():
        value = getattr(config, name, default)
        if name == "s3":
            yield from ((f"s3.{key}", each) for key, each in (value or {}).items() if each)
        elif value != default:
            yield name, value


def _address(storage: Any, region: str | None) -> tuple[str, str, bool]:
    """Return the server's scheme and host, and whether botocore would put the bucket before it."""
    style = (storage.client_config.s3 or {}).get("addressing_style") or "auto"
    bucket = storage.bucket_name
    if storage.endpoint_url:
        url = urlsplit(storage.endpoint_url)
        if url.scheme not in ("http", "https") or not url.hostname or url.path.strip("/"):
            raise UnsupportedError("the kind of endpoint")
        has_more = url.username or url.query or url.fragment
        if has_more or url.hostname.startswith("s3-accelerate."):
            raise UnsupportedError("the kind of endpoint")
        if style != "virtual":
            return url.scheme, url.netloc, False
        # It puts no bucket before an IP address, and dotted ones only where there is no TLS.
        if "." in bucket or ":" in url.hostname or url.hostname.replace(".", "").isdigit():
            raise UnsupportedError("the addressing style")
        return url.scheme, url.netloc, True
    if not storage.use_ssl:
        raise UnsupportedError("use_ssl")
    if region and not _REGION.fullmatch(region):
        raise UnsupportedError(f"the region {region}")
    # As us_east_1_regional_endpoint has it where nobody has set that.
    is_global = region in (None, "us-east-1")
    host = "s3.amazonaws.com" if is_global else f"s3.{region}.amazonaws.com"
    # TLS certificates have one wildcard, for one label.
    return "https", host, style != "path" and "." not in bucket


def _attempts(config: Any, profile: dict[str, Any]) -> int:
    """Return how often a request is tried, the first time included, as botocore counts it."""
    retries = config.retries or {}
    if "total_max_attempts" in retries:
        return int(retries["total_max_attempts"])
    if "max_attempts" in retries:
        return int(retries["max_attempts"]) + 1
    return int(os.environ.get("AWS_MAX_ATTEMPTS") or profile.get("max_attempts") or ATTEMPTS)
