"""The client for Google Cloud Storage that all threads use, as it is made ready."""

from __future__ import annotations

from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession
from google.cloud.storage import Client
from requests import Session
from storages.backends.gcloud import GoogleCloudStorage

from collectfasta.errors import CollectfastaError
from collectfasta.strategies.counting import Counter
from collectfasta.strategies.gcloud_client import prepare_client


class OwnSession(AuthorizedSession):
    """A session of the user's, whose methods may do more."""


def prepared(session_class: Any) -> Session:
    session: Session = session_class(AnonymousCredentials())
    storage = GoogleCloudStorage(bucket_name="bucket")
    storage._client = Client(project="p", credentials=AnonymousCredentials(), _http=session)
    prepare_client(storage, 32, Counter())
    return session


def test_there_is_a_connection_for_each_thread() -> None:
    adapter: Any = prepared(OwnSession).get_adapter("https://storage")
    assert adapter._pool_maxsize == 32


def test_the_sdks_session_sends_with_less_work() -> None:
    assert "send" in vars(prepared(AuthorizedSession))


def test_a_session_of_the_users_sends_as_it_did() -> None:
    assert "send" not in vars(prepared(OwnSession))


def test_a_storage_without_a_bucket_is_told_what_to_set() -> None:
    with pytest.raises(CollectfastaError, match="bucket_name"):
        prepare_client(GoogleCloudStorage(), 1, Counter())
