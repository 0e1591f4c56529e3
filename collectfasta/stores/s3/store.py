"""A bucket on S3: obstore where it sends exactly what boto3 would, boto3 for the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from typing_extensions import override

from collectfasta import settings
from collectfasta.errors import StoreError
from collectfasta.remote import Listed
from collectfasta.source import Body
from collectfasta.stores.s3.base import BucketStore
from collectfasta.stores.s3.boto3 import Boto3Store
from collectfasta.stores.s3.connection import SLOW_LINE, UnsupportedError, share_credentials
from collectfasta.stores.s3.errors import check_configuration
from collectfasta.stores.store import Page

if TYPE_CHECKING:
    from collectfasta.stores.s3.obstore import ObstoreStore

T = TypeVar("T")

# What all threads can send over a slow line at a time. Python has one time-out for all the bytes of
# a body, and 64 of these are 4 MB.
_SMALL = 64 * 1024


class S3Store(BucketStore):
    """Make each request by obstore, if it is installed, or else by boto3.

    A boto3 client takes more time to make than obstore needs to send a few hundred files, so it is
    made when the first request needs it.
    """

    def __init__(self, storage: Any) -> None:
        super().__init__(storage)
        self._exact = Boto3Store(storage)
        # In the order in which they were met; a dict, because several threads may add to it.
        self._reasons: dict[str, None] = {}
        self._is_given_up = False
        self._one_large = threading.Lock()
        share_credentials(storage)

    @override
    def prepare(self, threads: int) -> None:
        super().prepare(threads)
        self._exact.prepare(threads)

    @cached_property
    def _made_fast(self) -> ObstoreStore | None:
        check_configuration(self.storage)
        reason = "COLLECTFASTA_S3_ENGINE"
        try:
            if settings.s3_engine != "boto3":
                from collectfasta.stores.s3.obstore import ObstoreStore

                return ObstoreStore(self.storage)
        except ImportError:
            reason = "obstore is not installed"
        except UnsupportedError as error:
            reason = str(error)
        self._reasons[reason] = None
        return None

    @property
    def _fast(self) -> ObstoreStore | None:
        with self._lock:
            return None if self._is_given_up else self._made_fast

    @property
    def _made(self) -> list[BucketStore]:
        fast: ObstoreStore | None = vars(self).get("_made_fast")
        return [fast, self._exact] if fast else [self._exact]

    @property
    @override
    def sender(self) -> str | None:
        """What made the requests, and why it was not obstore alone."""
        names = [each.sender or "" for each in self._made if each.requests]
        reasons = f" ({'; '.join(self._reasons)})" if "boto3" in names and self._reasons else ""
        return " and ".join(names) + reasons

    @property
    @override
    def requests(self) -> int | None:
        return sum(each.requests or 0 for each in self._made)

    @property
    @override
    def secrets(self) -> list[str]:
        return [text for each in self._made for text in each.secrets]

    def _do(self, request: Callable[[BucketStore], T]) -> T:
        with self.translating():
            fast = self._fast
        if fast is not None:
            try:
                return request(fast)
            except UnsupportedError as error:
                self._reasons[str(error)] = None
                self._is_given_up = self._is_given_up or error.permanent
        return request(self._exact)

    @override
    def page(self, prefix: str, begin: str, token: str) -> Page:
        return self._do(lambda store: store.page(prefix, begin, token))

    @override
    def head(self, key: str) -> Listed | None:
        try:
            return self._do(lambda store: store.head(key))
        except StoreError as error:
            raise self._reason_of(error) from None

    @override
    def translate(self, error: Exception) -> StoreError | None:
        translated = super().translate(error)
        return translated and self._reason_of(translated)

    def _reason_of(self, error: StoreError) -> StoreError:
        """Ask for a listing, whose refusal has a reason: an answer to HEAD has no body."""
        if error.kind == "400":
            try:
                self.page(self.prefix, "", "")
            except StoreError as reason:
                return reason
        return error

    @override
    def get(self, key: str) -> bytes:
        return self._do(lambda store: store.get(key))

    @override
    def put_whole(self, key: str, body: bytes | Body, size: int, headers: Mapping[str, Any]) -> str:
        def put(store: BucketStore) -> str:
            is_slow = store is self._exact and SLOW_LINE in self._reasons
            with self._one_large if is_slow and size > _SMALL else nullcontext():
                return store.put_whole(key, body, size, headers)

        return self._do(put)

    @override
    def put_parts(self, key: str, body: Body, size: int, headers: Mapping[str, Any]) -> str:
        return self._do(lambda store: store.put_parts(key, body, size, headers))

    @override
    def delete(self, keys: Sequence[str]) -> None:
        self._do(lambda store: store.delete(keys))

    @override
    def abort(self) -> None:
        self._exact.abort()
