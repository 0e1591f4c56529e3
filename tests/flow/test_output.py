"""What is printed: Django's words, a line of facts, and why each file was sent."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles.finders import BaseFinder
from django.contrib.staticfiles.management.commands import collectstatic as django_collectstatic
from django.core.cache import caches
from django.core.files.base import ContentFile
from django.core.files.storage import Storage
from django.core.management import CommandError, call_command

from collectfasta.management.commands.collectstatic import Command
from collectfasta.strategies import Strategy
from tests.command import Run
from tests.memory import FILES, Site, denied


class MemoryFinder(BaseFinder):
    """Find files that have no path."""

    class Source(Storage):
        def _open(self, name: str, mode: str = "rb") -> Any:
            return ContentFile(b"from memory")

    def list(self, ignore_patterns: Any) -> Iterator[tuple[str, Storage]]:
        yield "made.css", self.Source()


def why(run: Run) -> str:
    """Return the line that says what was sent and why, which comes before the last."""
    return run.stdout.splitlines()[-2]


class TestDjangosOwn:
    def test_switched_off_it_prints_what_django_prints_byte_for_byte(self, each_site: Site) -> None:
        ways: list[dict[str, Any]] = [
            {"disable_collectfasta": True},
            {"settings": {"COLLECTFASTA_ENABLED": False}},
        ]
        for way in ways:
            for verbosity in range(4):
                each_site.bucket.objects.clear()
                ours = each_site.deploy(verbosity=verbosity, **way)
                each_site.bucket.objects.clear()
                out = io.StringIO()
                returned = call_command(
                    django_collectstatic.Command(),
                    interactive=False,
                    verbosity=verbosity,
                    stdout=out,
                )
                assert (ours.stdout, ours.returned, ours.stderr) == (out.getvalue(), returned, "")

    def test_switched_off_it_takes_no_notice_of_its_other_settings(self, site: Site) -> None:
        wrong = {"COLLECTFASTA_STRATEGY": "no.such.Strategy", "COLLECTFASTA_CACHE": "missing"}
        site.deploy(settings=wrong, disable_collectfasta=True, skip_checks=False)
        assert site.bodies() == FILES

    def test_link_is_refused_as_django_refuses_it(self, site: Site) -> None:
        assert site.fail(link=True).startswith("Can't symlink to a remote destination")

    def test_the_question_is_asked_and_no_cancels(
        self, each_site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        questions: list[str] = []

        def answer(question: str) -> str:
            questions.append(question)
            return "no"

        monkeypatch.setattr("builtins.input", answer)
        for options, words in [
            ({}, "This will overwrite existing files!"),
            ({"clear": True}, "This will DELETE ALL FILES in this location!"),
        ]:
            with pytest.raises(CommandError, match="cancelled"):
                each_site.deploy(interactive=True, **options)
            assert words in questions.pop()
        assert each_site.keys() == []

    def test_yes_deploys(self, each_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("builtins.input", lambda _: "yes")
        each_site.deploy(interactive=True)
        assert each_site.bodies() == each_site.expected()

    def test_ignored_patterns_are_ignored(self, each_site: Site) -> None:
        each_site.deploy(ignore_patterns=["js"])
        assert not [key for key in each_site.keys() if key.startswith("js")]


class TestSummary:
    def test_it_is_djangos_with_a_line_of_facts_behind_it(self, each_site: Site) -> None:
        each_site.deploy()
        each_site.tree.write("js/app.js", b"changed")

        run = each_site.deploy()

        staged = ", 4 post-processed" if each_site.is_staged else ""
        assert run.returned == f"\n1 static file copied, 3 unmodified{staged}."
        summary, facts = run.stdout.lstrip("\n").splitlines()
        assert summary == run.returned.strip()
        names = {"plain": "MemoryStrategy", "memory": "StagedInMemory"}
        name = names.get(each_site.kind, "StagedInDirectory")
        number, requests = (3, 4) if each_site.is_staged else (1, 2)
        size = r"\d+" if each_site.is_staged else "7"
        assert re.fullmatch(
            rf"{name}: {number} objects? \({size} bytes\) sent to memory://, {requests} requests, "
            r"\d+\.\d s\.",
            facts,
        )

    def test_verbosity_0_prints_nothing(self, each_site: Site) -> None:
        run = each_site.deploy(verbosity=0)
        assert (run.stdout, run.stderr) == ("", "")

    def test_verbosity_2_names_each_file_as_django_does(self, site: Site) -> None:
        site.deploy()
        site.tree.write("js/app.js", b"changed")
        lines = site.deploy(verbosity=2).stdout.splitlines()
        assert f"Copying '{site.tree.path('js/app.js')}'" in lines
        assert "Skipping 'css/b.css' (not modified)" in lines
        assert not [line for line in lines if line.startswith("To be sent")]

    def test_verbosity_3_tells_why(self, site: Site) -> None:
        site.deploy()
        site.tree.write("js/app.js", b"changed")
        lines = site.deploy(verbosity=3).stdout.splitlines()
        told = [line for line in lines if line.startswith("To be sent")]
        assert told == ["To be sent: 'js/app.js' (changed)"]

    def test_a_dry_run_names_each_file_at_verbosity_1(self, site: Site) -> None:
        lines = site.deploy(dry_run=True).stdout.splitlines()
        assert f"Pretending to copy '{site.tree.path('js/app.js')}'" in lines


class TestWhy:
    def test_of_each_reason(self, site: Site) -> None:
        run = site.deploy(verbosity=2)
        assert why(run) == "Objects sent: 4 missing; 0 unmodified."
        run = site.deploy(verbosity=2)
        assert why(run) == "Objects sent: none; 4 unmodified."
        site.tree.write("js/app.js", b"changed")
        site.tree.write("new.css", b"new")
        site.tree.write("newer.css", b"newer")
        run = site.deploy(verbosity=2, dry_run=True)
        assert why(run) == "Objects to be sent: 2 missing, 1 changed; 3 unmodified."
        run = site.deploy(verbosity=2)
        assert why(run) == "Objects sent: 2 missing, 1 changed; 3 unmodified."
        run = site.deploy(verbosity=2, force=True)
        assert why(run) == "Objects sent: 6 forced; 0 unmodified."

    def test_of_what_the_storage_can_not_tell(self, site: Site) -> None:
        site.bucket.has_checksums = False
        site.deploy()
        for number, them in ((1, "it"), (2, "them")):
            for name in list(FILES)[:number]:
                site.put(name, FILES[name])
            run = site.deploy(verbosity=2)
            assert why(run) == (
                f"Objects sent: {number} unknown (the storage tells no checksum of {them}); "
                f"{4 - number} unmodified."
            )

    def test_counts_objects_where_a_manifest_makes_more_of_the_files(
        self, each_manifest: Site
    ) -> None:
        run = each_manifest.deploy(verbosity=2)
        assert why(run) == "Objects sent: 9 missing; 0 unmodified."
        each_manifest.tree.write("js/app.js", b"changed")
        run = each_manifest.deploy(verbosity=2)
        assert why(run) == "Objects sent: 1 missing, 2 changed; 6 unmodified."

    def test_of_a_strategy_that_tells_no_more_than_that_it_sends(self, site: Site) -> None:
        class Always(Strategy[Storage]):
            def should_copy_file(self, *_: Any) -> bool:
                return True

        run = site.deploy(strategy=Always, verbosity=2)
        assert why(run) == "Objects sent: 4 missing or changed; 0 unmodified."


class Terminal(io.StringIO):
    """A stream that says that it is a terminal, of no known width."""

    def isatty(self) -> bool:
        return True


class TestTerminal:
    @pytest.fixture(autouse=True)
    def _terminal(self, monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
        """Let Django find a terminal: it looks at sys.stdout, whatever is written to."""
        monkeypatch.setattr("django.core.management.color.supports_color", lambda: True)
        for name in ("DJANGO_COLORS", "NO_COLOR", "TERM", "TQDM_DISABLE"):
            monkeypatch.delenv(name, raising=False)
        site.deploy()

    def run(self, stdout: io.StringIO, **options: Any) -> str:
        """Deploy once more, and return what is printed."""
        options = {"stderr": io.StringIO(), "interactive": False, **options}
        call_command("collectstatic", stdout=stdout, **options)
        return stdout.getvalue()

    def test_the_facts_are_green_and_djangos_summary_is_as_it_is(self) -> None:
        printed = self.run(Terminal())
        assert "\x1b[32;1mMemoryStrategy: 0 objects" in printed
        assert re.search(r"^0 static files copied", printed, re.MULTILINE)

    def test_colours_are_where_they_are_wanted(self) -> None:
        assert "\x1b" not in self.run(io.StringIO())
        assert "\x1b" not in self.run(Terminal(), no_color=True)
        assert "\x1b[32;1mMemory" in self.run(io.StringIO(), force_color=True)

    def test_a_warning_is_yellow(self) -> None:
        printed = self.run(Terminal(), clear=True)
        assert re.search("\x1b\\[33;1mmemory://[^\x1b]* has no location", printed)

    def test_bars_are_drawn_to_their_end(self) -> None:
        stdout, stderr = io.StringIO(), Terminal()
        self.run(stdout, stderr=stderr, force=True)
        assert "\rSending: 100%" in stderr.getvalue()
        assert "\r" not in stdout.getvalue()

    def test_what_is_said_leaves_no_bar_before_it(self) -> None:
        both = Terminal()
        self.run(both, stderr=both, verbosity=2, force=True)
        before = re.findall(r"(.)Copying '", both.getvalue(), re.DOTALL)
        assert set(before) <= {"\n", "\r", "K"}  # that which erases the bar
        assert "\rSending: 100%" in both.getvalue()


class TestProject:
    def test_a_source_storage_without_paths_is_deployed(self, each_site: Site) -> None:
        settings = {"STATICFILES_FINDERS": [f"{__name__}.MemoryFinder"]}
        each_site.deploy(settings=settings, verbosity=2)
        assert each_site.bodies()["made.css"] == b"from memory"
        each_site.forget()
        run = each_site.deploy(settings=settings)
        assert "0 static files copied" in run.stdout
        assert each_site.counts() == {"LIST": 1}

    def test_one_command_object_can_run_twice(self, each_site: Site) -> None:
        each_site.deploy()
        command = Command()
        for _ in range(2):
            out = io.StringIO()
            call_command(command, interactive=False, stdout=out)
            assert ": 0 objects" in out.getvalue()

    def test_the_command_runs_twice_in_one_process(self, each_site: Site) -> None:
        each_site.deploy()
        each_site.bucket.objects.clear()
        call_command("collectstatic", interactive=False, verbosity=0)
        assert each_site.bodies() == each_site.expected()

    def test_it_works_without_time_zones(self, each_site: Site) -> None:
        each_site.location = "static"
        each_site.deploy(settings={"USE_TZ": False}, prune=True, prune_older_than=1)
        assert each_site.bodies() == each_site.expected()

    def test_two_targets_share_a_cache(self, each_site: Site) -> None:
        for location in ("one", "two"):
            each_site.deploy(options={"location": location})
        assert len(caches["default"]._cache) == 2  # type: ignore[attr-defined]


# A setting, and what the one line has to say.
FILE_STRATEGY = "collectfasta.strategies.filesystem.FileSystemStrategy"
S3_STRATEGY = "collectfasta.strategies.boto3.Boto3Strategy"
REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"COLLECTFASTA_STRATEGY": "no.such.Strategy"}, ["COLLECTFASTA_STRATEGY", "'no.such.Str"]),
    ({"COLLECTFASTA_STRATEGY": "collections.OrderedDict"}, ["OrderedDict'", "no strategy"]),
    ({"COLLECTFASTA_STRATEGY": S3_STRATEGY}, [S3_STRATEGY, "MemoryStorage"]),
    ({"COLLECTFASTA_THREADS": "8"}, ["'COLLECTFASTA_THREADS'", "int", "'8'"]),
    ({"COLLECTFASTA_THREADS": -1}, ["'COLLECTFASTA_THREADS'", "-1"]),
    ({"COLLECTFASTA_ENABLED": "no"}, ["'COLLECTFASTA_ENABLED'", "bool", "'no'"]),
    ({"COLLECTFASTA_DEBUG": 1}, ["'COLLECTFASTA_DEBUG'", "bool"]),
    ({"COLLECTFASTA_CACHE": "missing"}, ["COLLECTFASTA_CACHE", "'missing'", "default"]),
]


def test_a_wrong_setting_is_refused_in_one_line_before_any_request(site: Site) -> None:
    for settings, words in REFUSED:
        message = site.fail(settings=settings)
        assert "\n" not in message
        assert [word for word in words if word not in message] == []
    assert site.bucket.calls == []


class TestUnmade:
    """A manifest storage whose constructor, which reads the manifest, can't."""

    def test_what_the_service_refuses_is_said_in_a_line(self, each_manifest: Site) -> None:
        each_manifest.refuse("GET", error=denied)
        message = each_manifest.fail()
        assert message.startswith("The storage of the static files can't be made: ")
        assert "403 Forbidden" in message
        assert each_manifest.called("PUT") == []


def test_a_style_sheet_in_a_folder_that_becomes_a_file_is_named(site: Site) -> None:
    def change(_: object) -> None:
        shutil.rmtree(site.tree.path("css"))
        Path(site.tree.path("css")).write_bytes(b"")

    site.before("LIST", change)
    message = site.fail()
    lines = message.splitlines()[1:]
    assert [line.split(":")[1] for line in lines] == [" NotADirectoryError"] * 2
    assert site.keys() == ["img/a.png", "js/app.js"]
