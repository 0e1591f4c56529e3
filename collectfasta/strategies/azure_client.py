"""The one client for Azure that all threads use."""

from __future__ import annotations

import copy

import requests
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobServiceClient, ContainerClient
from storages.backends.azure_storage import AzureStorage

from collectfasta.errors import CollectfastaError
from collectfasta.shadowing import is_overridden
from collectfasta.strategies.azure_retry import retry_options
from collectfasta.strategies.counting import Counter
from collectfasta.strategies.patience import CONNECT_SECONDS, READ_SECONDS
from collectfasta.strategies.requests_session import mount_pool, shorten_way

# https://github.com/Azure/azure-sdk-for-python/tree/main/sdk/storage/azure-storage-blob#other-client--per-operation-configuration
_TIMEOUTS = {"connection_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS}


def make_client(storage: AzureStorage, threads: int, counter: Counter) -> ContainerClient:
    """Make one client from the storage's settings, with a connection for each thread.

    Args:
        storage: Where its account, credentials and options come from.
        threads: How many will use it at a time.
        counter: Is told of each request.

    Raises:
        CollectfastaError: The settings name no account or no container.
    """
    if not storage.azure_container:
        raise CollectfastaError(
            "The storage names no container: set azure_container in its OPTIONS, or "
            "AZURE_CONTAINER."
        )
    session = requests.Session()
    mount_pool(session, threads, counter)
    shorten_way(session)
    # The SDK gives them to a transport of its own making only.
    given = storage.client_options if storage.connection_string is None else {}
    options = {**_TIMEOUTS, **given}
    transport = RequestsTransport(session=session, session_owner=False, **options)
    ours = {"transport": transport, **retry_options(given)}
    if is_overridden(storage.__class__, "_get_service_client", outside=("storages.",)):
        service = storage._get_service_client()
    elif storage.connection_string is not None:
        service = BlobServiceClient.from_connection_string(storage.connection_string, **ours)
    elif not storage.account_name:
        # The SDK would ask for the account "none".
        raise CollectfastaError(
            "The storage names no account: set account_name or connection_string in its OPTIONS, "
            "or AZURE_ACCOUNT_NAME or AZURE_CONNECTION_STRING."
        )
    else:
        settings = copy.copy(storage)
        settings.client_options = {**ours, **given}
        service = settings._get_service_client()
    container: ContainerClient = service.get_container_client(storage.azure_container)
    return container
