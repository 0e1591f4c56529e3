"""An interrupted deploy: nothing pending is begun, and the next run sends the rest."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.core.management import CommandError

from tests.memory import (
    FILES,
    KINDS,
    MANIFEST,
    MemoryManifestStorage,
    MemoryStrategy,
    Site,
)
from tests.unit.caches import CountingCache, caches_of

NUMBER = 15


@pytest.fixture(autouse=True)
def _ctrl_c() -> Iterator[None]:
    """Let SIGINT do what it does: whoever runs the tests in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def live(every_site: Site) -> Site:
    """A live site, all of whose files have changed."""
    for text in ("first", "second"):
        for number in range(NUMBER):
            every_site.tree.write(f"{number}.js", f"let {text}{number};".encode())
        if text == "first":
            every_site.deploy()
    every_site.forget()
    return every_site


def interrupted(site: Site, **options: Any) -> str:
    """Run the command, which has to be interrupted, and return its message."""
    # An interrupt that is let through would end the tests.
    with pytest.raises((CommandError, KeyboardInterrupt)) as caught:
        site.deploy(**options)
    assert isinstance(caught.value, CommandError)
    assert caught.value.returncode == 130
    assert not [each for each in threading.enumerate() if each.name.startswith("collectfasta")]
    return str(caught.value)


def kill(number: signal.Signals) -> Callable[[object], None]:
    return lambda _: os.kill(os.getpid(), number)


def at(count: int, act: Callable[[object], object]) -> Callable[[object], None]:
    """Act at one call of many."""
    calls = iter(range(10_000))

    def count_and_act(call: object) -> None:
        if next(calls) == count:
            act(call)

    return count_and_act


@pytest.mark.signals
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_one_line_and_the_next_run_sends_the_rest(
    live: Site, number: signal.Signals, temporary: Path
) -> None:
    before = live.live() if live.is_staged else {}
    stored = live.state()
    live.before("PUT", at(4, kill(number)))

    message = interrupted(live)

    assert message.startswith("Interrupted: what was sent stays, ")
    assert ("the manifest was not published" in message) is live.is_staged
    assert len(message.splitlines()) == 1
    assert len(live.called("PUT")) < NUMBER
    assert MANIFEST not in live.called("PUT")
    assert live.bodies().items() >= before.items()
    assert list(temporary.iterdir()) == []
    sent = sum(stored.get(key) != version for key, version in live.state().items())
    told = re.search(r" At least (\d+) of (\d+) objects were sent\.$", message)
    assert told is not None
    assert int(told[1]) == sent or (live.threads and int(told[1]) <= sent)
    assert int(told[2]) == (2 * NUMBER if live.is_staged else NUMBER)
    live.recover()
    live.deploy()
    assert live.bodies().items() >= live.expected().items()
    assert len(live.called("PUT")) == (2 * NUMBER + 1 if live.is_staged else NUMBER) - sent


@pytest.mark.parametrize("verb", ["LIST", "GET"])
def test_while_reading(live: Site, verb: str) -> None:
    """The storage of a manifest reads that when it is made."""
    if verb == "GET" and not live.is_staged:
        return
    before = live.state()
    live.refuse(verb, error=KeyboardInterrupt)  # type: ignore[arg-type]
    interrupted(live)
    assert live.state() == before


def test_while_comparing(live: Site, monkeypatch: pytest.MonkeyPatch, temporary: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = live.state()
    monkeypatch.setattr("collectfasta.deploy.plan.compare", interrupt)
    interrupted(live)
    assert live.state() == before
    assert list(temporary.iterdir()) == []


class WhileStaging(MemoryManifestStorage):
    def url_converter(self, *args: Any, **kwargs: Any) -> Any:
        raise KeyboardInterrupt


def test_while_staging(each_manifest: Site, temporary: Path) -> None:
    interrupted(each_manifest, storage=WhileStaging)
    assert each_manifest.keys() == []
    assert list(temporary.iterdir()) == []


def test_while_post_processing_in_place(manifest: Site) -> None:
    interrupted(manifest, storage=WhileStaging, strategy=MemoryStrategy)
    assert manifest.bodies().items() >= FILES.items()
    assert MANIFEST not in manifest.keys()


def test_while_the_manifest_is_sent(each_manifest: Site) -> None:
    each_manifest.refuse("PUT", MANIFEST, KeyboardInterrupt)  # type: ignore[arg-type]
    # It may have arrived or not.
    assert "the manifest" not in interrupted(each_manifest)
    each_manifest.recover()
    each_manifest.deploy()
    assert each_manifest.called("PUT") == [MANIFEST]


def test_while_stale_objects_are_deleted(each_site: Site) -> None:
    each_site.location = "static"
    each_site.put("static/old.css")
    for option in ("clear", "prune"):
        each_site.refuse("DELETE", error=KeyboardInterrupt)  # type: ignore[arg-type]
        message = interrupted(each_site, **{option: True})
        assert "the manifest was not published" not in message
        kept = {"static/old.css": b"old"}
        assert each_site.bodies() == {**each_site.expected(), **kept}
        each_site.recover()


@pytest.mark.parametrize("method", ["get_many", "set_many"])
def test_while_the_cache_is_asked(
    each_site: Site, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(CountingCache, method, interrupt)

    interrupted(each_site, settings={"CACHES": caches_of("CountingCache")})

    assert bool(each_site.keys()) is (method == "set_many")


HOOKS = [
    "post_copy_hook",
    "on_skip_hook",
    "pre_should_copy_hook",
    "should_copy_file",
    "copy_args_hook",
    "wrap_storage",
]


def test_raised_by_any_hook_it_ends_the_same_way(each_site: Site) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    each_site.deploy()
    each_site.tree.write("js/app.js", b"changed")
    live = {key: each_site.bodies()[key] for key in each_site.keys() if "app" not in key}
    for hook in HOOKS:
        own = type("Own", (MemoryStrategy,), {hook: interrupt})
        strategy = own
        if each_site.is_staged:
            strategy = type("Both", (KINDS[each_site.kind][1],), {"second_strategy": own})

        interrupted(each_site, strategy=strategy)

        assert each_site.bodies().items() >= live.items(), hook


def own_handler(*_: object) -> None:
    """Stand for what the caller of the command does at SIGTERM."""


@pytest.mark.signals
@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN, own_handler])
class TestHandler:
    @pytest.fixture(autouse=True)
    def _handler(self, handler: Any) -> Iterator[None]:
        before = signal.signal(signal.SIGTERM, handler)
        yield
        signal.signal(signal.SIGTERM, before)

    def test_it_is_the_callers_again_afterwards(self, site: Site, handler: Any) -> None:
        site.deploy()
        assert signal.getsignal(signal.SIGTERM) is handler

    def test_the_signal_interrupts_unless_the_caller_ignores_it(
        self, site: Site, handler: Any
    ) -> None:
        site.before("PUT", at(1, kill(signal.SIGTERM)))
        if handler is signal.SIG_IGN:
            site.deploy()
            assert site.bodies() == FILES
        else:
            interrupted(site)
            assert len(site.keys()) < len(FILES)


def test_the_command_runs_in_a_thread_that_can_set_no_handlers(each_site: Site) -> None:
    thread = threading.Thread(target=each_site.deploy)
    thread.start()
    thread.join()
    assert each_site.bodies() == each_site.expected()


ENDED = """
import os, signal

def test_a_deploy_that_is_told_to_stop(site):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    site.before("PUT", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    site.deploy()
"""


def test_sigterm_sent_to_the_tests_ends_them(tmp_path: Path) -> None:
    """Though a deploy in their process would take it for its own."""
    tests = Path(__file__).parent / f"test_ended_{os.getpid()}.py"
    tests.write_text(ENDED)
    try:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)]
        done = subprocess.run(command, capture_output=True, check=False, cwd=tests.parents[2])
    finally:
        tests.unlink()
    assert done.returncode == -signal.SIGTERM, done.stdout


def test_what_is_cached_survives_an_interrupt(each_site: Site) -> None:
    """What was sent is known to the next run, though the service has no checksums."""
    each_site.bucket.has_checksums = False
    each_site.threads = 0
    each_site.before("PUT", at(2, _interrupt))
    interrupted(each_site)
    sent = each_site.keys()
    assert sent
    assert caches["default"]._cache  # type: ignore[attr-defined]
    each_site.recover()

    each_site.deploy()

    assert not set(sent) & set(each_site.called("PUT"))


def _interrupt(_: object) -> None:
    raise KeyboardInterrupt
