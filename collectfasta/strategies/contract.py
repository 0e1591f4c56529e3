"""The strategy contract: what a deploy asks about one kind of storage.

A strategy answers four questions about one storage: what is there, is this file there already,
put this file there, delete these. Each has an answer here that works for any Django storage, except
the second.
"""

from __future__ import annotations

import abc
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

from django.core.files.storage import Storage

from collectfasta.errors import CollectfastaError, StoreError, again, describe, redact
from collectfasta.patching import unwrapped
from collectfasta.remote import RemoteObject, StoredObject
from collectfasta.source import SourceFile
from collectfasta.stores.storage import StorageStore, save_exactly, walk
from collectfasta.stores.store import Store

logger = logging.getLogger("collectfasta")

S = TypeVar("S", bound=Storage)
Task = tuple[str, str, Storage]


class Strategy(abc.ABC, Generic[S]):
    """Decide which files a storage needs, and put them there.

    The hooks that take ``path``, ``prefixed_path`` and ``local_storage`` get a file's path in the
    storage that a finder found it in, where it goes relative to the remote storage's location,
    and that finder's storage. ``pre_should_copy_hook`` and ``should_copy_file`` are called from
    the threads that ``COLLECTFASTA_THREADS`` asks for, all other hooks from the main thread.

    Attributes:
        remote_storage: The storage to deploy to.
        delete_not_found_exception: What the storage raises for deleting what does not exist.
        dry_run: Set by the command before anything is asked: nothing may be written anywhere.
    """

    delete_not_found_exception: ClassVar[tuple[type[Exception], ...]] = ()
    dry_run: bool = False

    def __init__(self, remote_storage: S) -> None:
        self.remote_storage = remote_storage

    def wrap_storage(self, remote_storage: S) -> S:
        """Return the storage to use in place of the remote storage for this run."""
        return remote_storage

    @cached_property
    def target_storage(self) -> S:
        """The remote storage as wrapped for this run."""
        # Django provides a lazy object: asking it costs more than the answer.
        storage: S = unwrapped(self.wrap_storage(self.remote_storage))
        return storage

    @cached_property
    def store(self) -> Store:
        """What reads and writes the objects of the target storage."""
        return StorageStore(self.target_storage, self.delete_not_found_exception)

    @abc.abstractmethod
    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        """Return whether a file is missing or stale in the remote storage and has to be sent."""

    def pre_should_copy_hook(self) -> None:
        """Do what has to be done before each call of ``should_copy_file``."""

    def post_copy_hook(self, path: str, prefixed_path: str, local_storage: Storage) -> None:
        """Do what has to be done after a file was sent."""

    def on_skip_hook(self, path: str, prefixed_path: str, local_storage: Storage) -> None:
        """Do what has to be done for a file that did not have to be sent."""

    def second_pass_strategy(self) -> Strategy[S] | None:
        """Return the strategy that sends what this one has staged, None if this one sends."""
        return None

    def copy_args_hook(self, args: Task) -> Task:
        """Return path, prefixed path and local storage of a file, changed at will."""
        return args

    def object_key(self, name: str) -> str:
        """Return the key of the object of this name.

        Raises:
            ValueError, SuspiciousOperation: The remote can't have an object of this name.
        """
        return self.store.key(name)

    def list_remote(self, names: Sequence[str]) -> Iterable[RemoteObject] | None:
        """Return those of the named objects that exist, asked for in bulk.

        None: it can't, or ``should_copy_file`` decides, file by file.

        Raises:
            StoreError: ``denied`` where the credentials do not suffice; ``look_up`` may work then.
        """
        return None

    def look_up(self, name: str) -> RemoteObject | None:
        """Return what the remote says of one object, None if there is none."""
        return None

    def upload(self, source: SourceFile) -> RemoteObject | None:
        """Put a file into the storage, over what is there.

        Returns:
            What the remote now says of the object, None if it says nothing.
        """
        with self.store.translating(), source.open() as content:
            save_exactly(self.target_storage, source.name, content, is_made=source.is_made)
        return None

    def list_stored(self) -> Iterable[StoredObject] | None:
        """Return all objects under the location, for ``--clear`` and ``--prune``.

        None: there is no location, so what belongs to this project can't be known.
        """
        location: object = getattr(self.target_storage, "location", "")
        return map(StoredObject, walk(self.target_storage)) if location else None

    def delete_files(self, names: Sequence[str]) -> None:
        """Delete objects, as many at a time as the remote takes; missing ones are not errors."""
        self.store.delete(names)

    def explain_error(self, error: Exception) -> str | None:
        """Return in a line why the remote refuses permanently, and what to do.

        None: it does not refuse, or nothing is known about this error.
        """
        return error.advice if isinstance(error, StoreError) else None

    def is_passing(self, error: Exception) -> bool:
        """Return whether a request that failed by this error may succeed a little later."""
        if isinstance(error, StoreError):
            return error.transient
        return isinstance(error, (ConnectionError, TimeoutError))


def warn_of_denial(strategy: Strategy[Any], error: StoreError) -> None:
    """Warn that credentials may not list, which costs a request for each object."""
    reason = redact(strategy.explain_error(error) or str(error), strategy.store.secrets)
    logger.warning("%s Asking for each object instead, which is slower.", reason)


@contextmanager
def in_words(strategy: Strategy[Any], *, full: bool = False) -> Iterator[None]:
    """Explain what a target refuses, and what to do about it.

    Args:
        strategy: Knows the target.
        full: Add the traceback behind it.

    Raises:
        CollectfastaError: In place of an error of the target's.
    """
    try:
        yield
    except Exception as error:
        store = strategy.store
        failure = store.translate(error) or error
        if isinstance(failure, CollectfastaError) and not isinstance(failure, StoreError):
            raise
        reason, is_transient = strategy.explain_error(failure), strategy.is_passing(failure)
        if reason is None and (is_transient or isinstance(failure, StoreError)):
            reason = f"{store.url} can't be used: {describe(failure, store.secrets)}"
        if reason is None:
            raise
        if is_transient:
            reason = again(reason)
        if full:
            reason += "\n" + describe(error, store.secrets, full=True)
        # Without its cause, whose text may hold a signed URL.
        raise CollectfastaError(redact(reason, store.secrets)) from None
