"""The one client for Google Cloud Storage that all threads use: the storage's own."""

from __future__ import annotations

from google.auth.transport.requests import AuthorizedSession
from storages.backends.gcloud import GoogleCloudStorage

from collectfasta.errors import CollectfastaError
from collectfasta.strategies.counting import Counter
from collectfasta.strategies.requests_session import mount_pool, shorten_way


def prepare_client(storage: GoogleCloudStorage, threads: int, counter: Counter) -> None:
    """Give a storage's client a connection for each thread.

    Args:
        storage: The storage.
        threads: How many will use it at a time.
        counter: Is told of each request.

    Raises:
        CollectfastaError: The settings name no bucket.
    """
    if not storage.bucket_name:
        raise CollectfastaError(
            "The storage names no bucket: set bucket_name in its OPTIONS, or GS_BUCKET_NAME."
        )
    client = storage.client
    # It would ask for the bucket's metadata, in a thread of its own, to decorate traces.
    client._bucket_metadata_cache = None
    mount_pool(client._http, threads, counter)
    if type(client._http) is AuthorizedSession:
        shorten_way(client._http)
