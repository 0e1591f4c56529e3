"""A cache that lives from deploy to deploy."""

from django.core.cache.backends.filebased import FileBasedCache


class UncountedFileCache(FileBasedCache):
    """Django's cache of files, which holds any number of them.

    Django's own lists its directory each time it writes one: what writes an entry for each static
    file would be measured by that, and nobody who has Redis or memcached waits for it.
    """

    def _cull(self) -> None:
        pass
