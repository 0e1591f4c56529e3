"""The atomic replacement of a file: written beside the old one, then renamed over it."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_TEMPORARY = re.compile(r"\.collectfasta-[0-9a-f]{16}\.tmp")
_STALE_SECONDS = 3600


def temporary_beside(path: str) -> str:
    """Return the path of a file that does not exist, in the folder of another."""
    # Not made from the file's name, which might be as long as a name can be.
    return os.path.join(os.path.dirname(path), f".collectfasta-{secrets.token_hex(8)}.tmp")


@contextmanager
def replacing(path: str) -> Iterator[str]:
    """Yield the path of a temporary file to write, which then replaces another in one step.

    If writing it fails, the temporary file is removed and the other one stays as it is.

    Args:
        path: The file to replace, or to create.

    Raises:
        OSError: It names ``path``, also where the temporary file is what could not be written.
    """
    temporary = temporary_beside(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        # Where even that is refused, as on a read-only disk, there is nothing.
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.filename == temporary:
            # A name that the user has never heard of, and that no two files share.
            error.filename = path
        raise


def remove_stale_temporary(folder: str) -> None:
    """Remove the temporary files of processes that were killed before they could rename them.

    Those of another deploy that is under way are younger than an hour: each write makes them so.
    """
    begun = time.time() - _STALE_SECONDS
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            is_ours = _TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
            if is_ours and entry.stat(follow_symlinks=False).st_mtime < begun:
                os.unlink(entry.path)
