"""Give a storage other methods for a while, without another class."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def shadowing(storage: Any, **attributes: object) -> Iterator[None]:
    """Give a storage other attributes for as long as the context lasts."""
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


def is_overridden(cls: type, name: str, *, outside: tuple[str, ...]) -> bool:
    """Tell whether the method that a class has comes from outside of some packages."""
    owners = (each for each in cls.__mro__ if name in vars(each))
    owner = next(owners, None)
    return owner is not None and not owner.__module__.startswith(outside)
