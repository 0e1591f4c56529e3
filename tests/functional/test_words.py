"""What the last lines say: what was sent, and why."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import Storage
from django.core.management import call_command

from collectfasta.strategies.base import Strategy
from tests.conftest import CollectStatic, Run, StaticTree
from tests.project import MANIFEST_BACKENDS
from tests.servers.clouds import Cloud
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.clouds.s3 import S3Cloud

NAMES = ["a.css", "b.css", "c.css"]


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name in NAMES:
        static_tree.write(name, name.encode())
    return static_tree


def why(run: Run) -> str:
    """Return the line that says what was sent and why, which comes before the last."""
    return run.stdout.splitlines()[-2]


class TestWhy:
    def test_missing(self, cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic) -> None:
        run = collectstatic(cloud, verbosity=2)
        assert why(run) == "Objects sent: 3 missing; 0 unmodified."

    def test_unmodified(self, cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic) -> None:
        collectstatic(cloud)
        run = collectstatic(cloud, verbosity=2)
        assert why(run) == "Objects sent: none; 3 unmodified."

    def test_changed_among_others(
        self, cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        collectstatic(cloud)
        tree.write("a.css", b"changed")
        tree.write("new.css", b"new")
        tree.write("newer.css", b"newer")

        run = collectstatic(cloud, verbosity=2)

        assert why(run) == "Objects sent: 2 missing, 1 changed; 2 unmodified."

    def test_forced(self, cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic) -> None:
        collectstatic(cloud)
        run = collectstatic(cloud, verbosity=2, force=True)
        assert why(run) == "Objects sent: 3 forced; 0 unmodified."

    @pytest.mark.parametrize(
        ("names", "words"),
        [
            (NAMES[:1], "1 unknown (the storage tells no checksum of it); 2 unmodified."),
            (NAMES[:2], "2 unknown (the storage tells no checksum of them); 1 unmodified."),
        ],
        ids=["one", "two"],
    )
    def test_unknown(
        self,
        filesystem: FileSystemCloud,
        tree: StaticTree,
        collectstatic: CollectStatic,
        names: list[str],
        words: str,
    ) -> None:
        collectstatic(filesystem)
        for name in names:
            (filesystem.root / name).unlink()
            (filesystem.root / name).symlink_to(tree.path(name))

        run = collectstatic(filesystem, verbosity=2)

        assert why(run) == f"Objects sent: {words}"

    def test_in_a_dry_run(
        self, cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        collectstatic(cloud)
        tree.write("a.css", b"changed")

        run = collectstatic(cloud, verbosity=2, dry_run=True)

        assert why(run) == "Objects to be sent: 1 changed; 2 unmodified."

    def test_counts_objects_where_a_manifest_makes_more_of_the_files(
        self, s3_obstore: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        backend = MANIFEST_BACKENDS[s3_obstore.backend]
        run = collectstatic(s3_obstore, backend=backend, verbosity=2)
        assert why(run) == "Objects sent: 7 missing; 0 unmodified."

    def test_counts_what_a_manifest_leaves_alone(
        self, s3_obstore: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        backend = MANIFEST_BACKENDS[s3_obstore.backend]
        collectstatic(s3_obstore, backend=backend)
        tree.write("a.css", b"changed")

        run = collectstatic(s3_obstore, backend=backend, verbosity=2)

        # The original and the manifest have changed, the hashed file has a new name.
        assert why(run) == "Objects sent: 1 missing, 2 changed; 4 unmodified."

    def test_of_a_strategy_that_tells_no_more_than_that_it_sends(
        self, filesystem: FileSystemCloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        class Always(Strategy[Storage]):
            def should_copy_file(self, *_: Any) -> bool:
                return True

        run = collectstatic(filesystem, strategy=Always, verbosity=2)

        assert why(run) == "Objects sent: 3 missing or changed; 0 unmodified."

    def test_is_not_told_at_verbosity_1(
        self, cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        run = collectstatic(cloud)
        summary, facts = run.stdout.strip().splitlines()
        assert summary.startswith("3 static files copied")
        assert "3 objects (" in facts

    def test_nothing_is_told_at_verbosity_0(
        self, cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        run = collectstatic(cloud, verbosity=0)
        assert (run.stdout, run.stderr) == ("", "")


class TestEachFile:
    def test_is_told_with_its_reason_at_verbosity_3(
        self, filesystem: FileSystemCloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        collectstatic(filesystem)
        tree.write("a.css", b"changed")

        run = collectstatic(filesystem, verbosity=3)

        lines = [line for line in run.stdout.splitlines() if line.startswith("To be sent")]
        assert lines == ["To be sent: 'a.css' (changed)"]

    def test_is_not_told_with_its_reason_at_verbosity_2(
        self, filesystem: FileSystemCloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        assert "To be sent" not in collectstatic(filesystem, verbosity=2).stdout


class Terminal(io.StringIO):
    """A stream that says that it is a terminal, of no known width."""

    def isatty(self) -> bool:
        return True


class TestColours:
    @pytest.fixture(autouse=True)
    def on_a_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let Django find a terminal: it looks at sys.stdout, whatever is written to."""
        monkeypatch.setattr("django.core.management.color.supports_color", lambda: True)
        for name in ("DJANGO_COLORS", "NO_COLOR", "TERM", "TQDM_DISABLE"):
            monkeypatch.delenv(name, raising=False)

    @pytest.fixture
    def deployed(
        self, filesystem: FileSystemCloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        collectstatic(filesystem)

    def run(self, stdout: io.StringIO, **options: Any) -> str:
        """Deploy once more, and return what is printed."""
        call_command(
            "collectstatic", stdout=stdout, stderr=io.StringIO(), interactive=False, **options
        )
        return stdout.getvalue()

    @pytest.mark.usefixtures("deployed")
    def test_the_facts_are_green_on_a_terminal(self) -> None:
        assert "\x1b[32;1mFile system: 0 objects" in self.run(Terminal())

    @pytest.mark.usefixtures("deployed")
    def test_djangos_summary_is_as_django_prints_it(self) -> None:
        assert re.search(r"^0 static files copied", self.run(Terminal()), re.MULTILINE)

    @pytest.mark.usefixtures("deployed")
    def test_there_are_none_in_a_pipe(self) -> None:
        assert "\x1b" not in self.run(io.StringIO())

    @pytest.mark.usefixtures("deployed")
    def test_no_color_leaves_them_out(self) -> None:
        assert "\x1b" not in self.run(Terminal(), no_color=True)

    @pytest.mark.usefixtures("deployed")
    def test_force_color_brings_them_into_a_pipe(self) -> None:
        assert "\x1b[32;1mFile" in self.run(io.StringIO(), force_color=True)

    def test_a_warning_is_yellow(
        self, s3_obstore: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        collectstatic(s3_obstore)
        printed = self.run(Terminal(), clear=True)
        assert re.search("\x1b\\[33;1ms3://[^\x1b]* has no location", printed)


class TestOneProcess:
    """The same streams by which another process would be watched."""

    def test_bars_are_drawn_and_go(
        self,
        filesystem: FileSystemCloud,
        tree: StaticTree,
        collectstatic: CollectStatic,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for name in ("TERM", "TQDM_DISABLE"):
            monkeypatch.delenv(name, raising=False)
        collectstatic(filesystem, dry_run=True)
        stdout, stderr = io.StringIO(), Terminal()

        call_command("collectstatic", stdout=stdout, stderr=stderr, interactive=False)

        assert "\rSending: 100%|" in stderr.getvalue()
        assert "\r" not in stdout.getvalue()

    def test_what_is_said_leaves_no_bar_before_it(
        self,
        filesystem: FileSystemCloud,
        tree: StaticTree,
        collectstatic: CollectStatic,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for name in ("TERM", "TQDM_DISABLE"):
            monkeypatch.delenv(name, raising=False)
        collectstatic(filesystem, dry_run=True)
        both = Terminal()

        call_command("collectstatic", stdout=both, stderr=both, interactive=False, verbosity=2)

        before = re.findall(r"(.)Copying '", both.getvalue(), re.DOTALL)
        assert set(before) == {"\n", "K"}  # that which erases the bar
