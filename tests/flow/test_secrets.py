"""Secrets: in no output, log, cache or exception, whatever a service echoes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any
from urllib.parse import quote

import pytest
from django.core.cache import caches
from django.core.management import CommandError
from typing_extensions import override

from collectfasta.errors import StoreError
from collectfasta.strategies.hashing import TwoPassFileSystemStrategy, TwoPassInMemoryStrategy
from tests.memory import MemoryStorage, MemoryStrategy, Site
from tests.memory_store import MemoryStore

SECRET = "wJalrXUtnFEMI/K7MDENG+bPx&<RfiCYEXAMPLEKEY"
TOKEN = "FwoGZXIvYXdzEJr/Tok+nOfTheSession=="
PASSWORD = "pr0xyPassw0rd"
URL = f"https://user:{PASSWORD}@host/a.css?sig={quote(TOKEN, safe='')}"
ECHO = f"{SECRET} {quote(SECRET)} {quote(SECRET, safe='')} Authorization: Bearer {TOKEN} {URL}"
HIDDEN = [SECRET, quote(SECRET), quote(SECRET, safe=""), TOKEN, quote(TOKEN, safe=""), PASSWORD]


class SecretiveStore(MemoryStore):
    """A store that has a secret."""

    @property
    @override
    def secrets(self) -> list[str]:
        return [SECRET]

    @cached_property
    @override
    def saves_itself(self) -> bool:
        return False


class Secretive(MemoryStrategy):
    @cached_property
    @override
    def store(self) -> MemoryStore:
        return SecretiveStore(self.target_storage)


class InMemory(TwoPassInMemoryStrategy):
    second_strategy = Secretive


class InDirectory(TwoPassFileSystemStrategy):
    second_strategy = Secretive


STRATEGIES: dict[str, type] = {"plain": Secretive, "memory": InMemory, "directory": InDirectory}


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and all that are behind it."""
    if error is not None:
        yield error
        yield from chain(error.__cause__)
        yield from chain(error.__context__)


def refused() -> Exception:
    return StoreError(ECHO, kind="403 Odd")


def explained() -> Exception:
    return StoreError(ECHO, kind="403 Odd", advice=f"No permission: {ECHO}", denied=True)


def transient() -> Exception:
    return StoreError(ECHO, kind="503 Odd", transient=True)


def unknown() -> Exception:
    return ArithmeticError(ECHO)


ERRORS: list[Callable[[], Exception]] = [refused, explained, transient, unknown]


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
@pytest.mark.parametrize("verb", ["LIST", "PUT", "DELETE"])
def test_none_that_a_service_echoes_is_let_out(
    each_site: Site,
    verb: str,
    debug: bool,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG, "collectfasta")
    each_site.location = "static"
    texts: list[str] = []
    for error in ERRORS:
        if error is unknown and verb != "PUT":
            continue  # It is nothing that a store raises: its traceback is Django's to show.
        each_site.recover()
        each_site.put("static/old.css")
        each_site.refuse(verb, error=error)
        try:
            each_site.deploy(
                strategy=STRATEGIES[each_site.kind],
                prune=verb == "DELETE",
                force=verb == "PUT",
                verbosity=3,
                traceback=debug,
            )
        except CommandError as failed:
            texts += [text for each in chain(failed) for text in (str(each), str(vars(each)))]
        texts += [each_site.last.stdout, each_site.last.stderr]

    text = "\n".join([*texts, caplog.text, *capfd.readouterr(), str(vars(caches["default"]))])
    assert [each for each in HIDDEN if each in text] == []
    assert "***" in text


class WithOption(MemoryStorage):
    """Has a secret among its options."""

    def __init__(self, *args: Any, account_key: str = "", **options: Any) -> None:
        super().__init__(*args, **options)
        raise OSError(ECHO)


def test_none_of_the_options_is_let_out_when_the_storage_can_not_be_made(site: Site) -> None:
    for debug in (False, True):
        message = site.fail(storage=WithOption, options={"account_key": SECRET}, traceback=debug)
        assert "can't be made" in message
        assert [each for each in HIDDEN if each in message] == []
