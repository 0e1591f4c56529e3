"""The strategy contract: what a deploy asks of whoever knows a kind of storage.

A strategy answers four questions about one storage: what is there, is this file there already,
put this file there, delete these. Each has an answer here that works for any Django storage, except
the second.
"""

from __future__ import annotations

import abc
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

from django.core.files.storage import InMemoryStorage, Storage

from collectfasta.remote import RemoteObject, StoredObject
from collectfasta.shadowing import saving_under_exact_names, unwrapped
from collectfasta.source import Payload, SourceFile
from collectfasta.staging import LocalStage, Stage, walk
from collectfasta.strategies.clock import age_of

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
        delete_not_found_exception: What the storage raises for the deletion of what is not there.
        storage_class: Dotted path of the storage class that it is made for, None for any.
        default_threads: Files sent at a time where ``COLLECTFASTA_THREADS`` is unset.
        remote_errors: What the storage's SDK raises for a failed request.
        secret_attributes: Attributes of the storage that must not appear in any output.
        secret_variables: Environment variables that the storage's SDK takes secrets from.
        dry_run: Set by the command before anything is asked: nothing may be written anywhere.
    """

    delete_not_found_exception: ClassVar[tuple[type[Exception], ...]] = ()
    storage_class: ClassVar[str | None] = None
    default_threads: ClassVar[int] = 0
    remote_errors: ClassVar[tuple[type[Exception], ...]] = ()
    secret_attributes: ClassVar[tuple[str, ...]] = ()
    secret_variables: ClassVar[tuple[str, ...]] = ()
    dry_run: bool = False

    def __init__(self, remote_storage: S) -> None:
        self.remote_storage = remote_storage

    def wrap_storage(self, remote_storage: S) -> S:
        """Return the storage to be used in the place of the remote storage for this run."""
        return remote_storage

    @cached_property
    def target_storage(self) -> S:
        """The remote storage as wrapped for this run."""
        # What Django gives is a lazy object: it costs more to ask than it takes to answer.
        storage: S = unwrapped(self.wrap_storage(self.remote_storage))
        return storage

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

    def stage(self, sources: Sequence[SourceFile]) -> AbstractContextManager[Stage]:
        """Make the stage whose outcome ``second_pass_strategy()`` sends: the wrapped storage."""
        stage = LocalStage(self.remote_storage, sources, self.target_storage, is_fresh=False)
        return nullcontext(stage)

    def copy_args_hook(self, args: Task) -> Task:
        """Return path, prefixed path and local storage of a file, changed at will."""
        return args

    def place(self, source: SourceFile) -> SourceFile:
        """Return a file where ``copy_args_hook`` wants it."""
        args = source.path, source.prefixed_path, source.storage
        placed = self.copy_args_hook(args)
        return source if placed == args else SourceFile(*placed)

    # What is there, put this there, delete these: in bulk where the storage can.

    @property
    def is_asked_per_file(self) -> bool:
        """Whether ``should_copy_file`` decides, not a comparison with what is listed."""
        return True

    @property
    def target_id(self) -> str | None:
        """What tells this target from all others: backend, endpoint, bucket and location.

        Checksums are remembered under it; None remembers nothing. Holds no secret.
        """
        return None

    @property
    def target_name(self) -> str:
        """How messages call the target."""
        return self.target_storage.__class__.__name__

    @property
    def requests_made(self) -> int | None:
        """How many requests were made so far, None if they are not counted."""
        return None

    @property
    def engine_name(self) -> str | None:
        """What makes the requests, where a strategy has more than one way of making them."""
        return None

    def prepare(self, threads: int) -> None:
        """Make ready for being used by that many threads; called once, in the main thread."""

    def object_key(self, name: str) -> str:
        """Return what the remote calls the object of this name.

        Raises:
            ValueError, SuspiciousOperation: The remote can't have an object of this name.
        """
        return name

    def list_remote(self, names: Sequence[str]) -> Iterable[RemoteObject] | None:
        """Return those of the named objects that exist, asked for in bulk; None: it can't.

        Raises:
            ListingDeniedError: The credentials don't suffice, but ``look_up`` may work.
        """
        return None

    def look_up(self, name: str) -> RemoteObject | None:
        """Return what the remote says of one object, None if there is none."""
        return None

    def open_payload(self, source: SourceFile) -> AbstractContextManager[Payload]:
        """Open a file for reading as it would be stored, and name what would go with it."""
        return _plain_payload(source)

    def exact_names(self) -> AbstractContextManager[None]:
        """Make the storage save under the very name it is given while files are sent.

        A storage that does not overwrite would take another name for a file that exists, and
        deleting the file first would leave the live site without it.
        """
        return saving_under_exact_names(self.target_storage)

    def upload(self, source: SourceFile) -> RemoteObject | None:
        """Put a file into the storage, over what is there.

        Returns:
            What the remote now says of the object, None if it says nothing.
        """
        storage = self.target_storage
        if isinstance(storage, InMemoryStorage) and storage.exists(source.name):
            # It writes over a file's beginning and leaves the rest; nothing live is in it.
            storage.delete(source.name)
        with source.open() as content:
            saved = storage.save(source.name, content)
        if saved != source.name:
            raise ValueError(f"the storage saved it as {saved!r}: its save() has to keep names")
        return None

    def abort(self) -> None:
        """End large uploads that are under way, as their threads wait for them."""

    def check_aborted(self) -> None:
        """Raise InterruptedError where ``abort()`` was called; asked for each piece of a body."""

    def list_stored(self) -> Iterable[StoredObject] | None:
        """Return all objects under the location, for ``--clear`` and ``--prune``.

        None: there is no location, so what belongs to this project can't be told.
        """
        location: object = getattr(self.target_storage, "location", "")
        return map(StoredObject, walk(self.target_storage)) if location else None

    @property
    def tells_ages(self) -> bool:
        """Whether ``read_age`` can tell when objects were written."""
        cls = self.target_storage.__class__
        return cls.get_modified_time is not Storage.get_modified_time

    def read_age(self, name: str) -> timedelta | None:
        """Return how long ago an object was written that was listed without its age.

        None: it can't be told of this one; it is gone, for instance.
        """
        gone: tuple[type[Exception], ...] = (FileNotFoundError, *self.delete_not_found_exception)
        try:
            return age_of(self.target_storage.get_modified_time(name))
        except gone:
            return None

    def delete_files(self, names: Sequence[str]) -> None:
        """Delete objects, as many at a time as the remote takes; missing ones are no error."""
        for name in names:
            with suppress(*self.delete_not_found_exception):
                self.target_storage.delete(name)

    def explain_error(self, error: Exception) -> str | None:
        """Say in a line why the remote refuses for good and what to do; None: it doesn't."""
        return None

    def is_passing(self, error: Exception) -> bool:
        """Tell whether a request that has failed by this error may succeed a little later."""
        return isinstance(error, (ConnectionError, TimeoutError))

    def error_kind(self, error: Exception) -> str:
        """Name an error by what all errors of its kind have in common: no object, no request."""
        return type(error).__name__

    @property
    def secrets(self) -> list[str]:
        """What must not appear in any output: the values of what is named to be secret."""
        storage: Any = self.target_storage
        return [
            *secrets_of(storage, self.secret_attributes),
            *filter(None, map(os.environ.get, self.secret_variables)),
        ]


def secrets_of(owner: object, names: Iterable[str]) -> list[str]:
    """Return the texts that an object has under some names."""
    values = (getattr(owner, name, None) for name in names)
    return [value for value in values if isinstance(value, str) and value]


@contextmanager
def _plain_payload(source: SourceFile) -> Iterator[Payload]:
    with source.open() as content:
        yield Payload(content)
