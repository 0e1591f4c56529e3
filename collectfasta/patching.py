"""Methods and attributes of one storage object replaced for a while, without another class.

Django's private names stand here: ``LazyObject._wrapped``, ``FileSystemStorage._allow_overwrite``,
``HashedFilesMixin._post_process`` and ``_url``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from django.conf import STATICFILES_STORAGE_ALIAS
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.files.storage import FileSystemStorage, storages
from django.utils.functional import LazyObject

# The method of HashedFilesMixin that rewrites files, and those that its references are made by.
POST_PROCESS = "_post_process"
URL_METHODS = ("_url", "url", "url_converter")


@contextmanager
def patched(storage: Any, **attributes: object) -> Iterator[None]:
    """Replace attributes of a storage for as long as the context lasts."""
    # Those of a lazy storage are on the one behind it.
    own = vars(storage.__dict__.get("_wrapped", storage))
    before = {name: own[name] for name in attributes if name in own}
    own.update(attributes)
    try:
        yield
    finally:
        for name in attributes:
            del own[name]
        own.update(before)


def saving_under_exact_names(storage: Any, **attributes: object) -> AbstractContextManager[None]:
    """Let a storage overwrite for as long as the context lasts.

    Args:
        storage: The storage.
        attributes: What else this takes.
    """
    if isinstance(storage, FileSystemStorage):
        # Else its _save() asks for another name until the end of time.
        attributes["_allow_overwrite"] = True
    return patched(storage, get_available_name=_same_name, **attributes)


@contextmanager
def standing_in(local: Any, storage: Any) -> Iterator[None]:
    """Let a storage stand in for Django's ``staticfiles_storage``, which its class may read.

    Args:
        local: The storage.
        storage: The one to deploy to.
    """
    lazy: Any = staticfiles_storage
    handler: Any = storages
    before = unwrapped(storage)
    # Not asked for: it may never have been made.
    if lazy.__dict__["_wrapped"] is not before:
        yield
        return
    lazy._wrapped = local
    try:
        with patched(handler, _storages={**handler._storages, STATICFILES_STORAGE_ALIAS: local}):
            yield
    finally:
        lazy._wrapped = before


def _same_name(name: str, max_length: int | None = None) -> str:
    return name


@contextmanager
def noting_names(
    storage: Any, *, dry_run: bool = False, sizes: dict[str, int | None] | None = None
) -> Iterator[set[str]]:
    """Note which names a storage's post-processing saves or finds there.

    Not all of them are in what it yields: a manifest and intermediate files are not. A dry run
    post-processes nothing: there it is the names of the last deploy that the storage has loaded.

    Args:
        storage: The storage.
        dry_run: Whether it post-processes nothing.
        sizes: Is given the sizes of what is saved, in bytes, by name.
    """
    names: set[str] = set()
    if dry_run and hasattr(storage, "manifest_name"):
        names |= {storage.manifest_name, *storage.hashed_files.values()}

    def save(name: str, content: Any) -> str:
        saved: str = storage.__class__._save(inner, name, content)
        names.add(saved)
        if sizes is not None:
            sizes[saved] = getattr(content, "size", None)
        return saved

    def exists(name: str) -> bool:
        found: bool = storage.__class__.exists(inner, name)
        if found:
            names.add(name)
        return found

    inner = unwrapped(storage)
    methods: dict[str, object] = {"_save": save, "exists": exists}
    if hasattr(inner, "save_manifest"):
        methods["save_manifest"] = lambda: save_sorted_manifest(inner)
    with patched(storage, **methods):
        yield names


def save_sorted_manifest(storage: Any) -> None:
    """Save a manifest in the order of its names, as Django does from 6.0 on.

    The order in which finders find files is another on each machine.
    """
    storage.hashed_files = dict(sorted(storage.hashed_files.items()))
    storage.__class__.save_manifest(storage)


def unwrapped(storage: Any) -> Any:
    """Return the storage behind one of Django's lazy ones."""
    if not isinstance(storage, LazyObject):
        return storage
    # Asked for its class, it makes what it stands for.
    _ = storage.__class__
    return storage.__dict__["_wrapped"]


def is_overridden(
    cls: type, name: str, *, outside: tuple[str, ...] = ("django.", "storages.")
) -> bool:
    """Return whether the method that a class has was defined outside of some packages.

    Args:
        cls: The class.
        name: The method's.
        outside: The packages, each with a dot: Django and django-storages by default.
    """
    owners = (each for each in cls.__mro__ if name in vars(each))
    owner = next(owners, None)
    return owner is not None and not owner.__module__.startswith(outside)
