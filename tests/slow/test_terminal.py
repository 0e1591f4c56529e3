"""What a deploy shows while it goes on: on a terminal, in a CI's log, and in a pipe."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import StaticTree
from tests.project import MANIFEST_BACKENDS, Project
from tests.servers.clouds import RecordedCloud
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.recorder import Request
from tests.terminal import Terminal

MEGABYTE = 1024 * 1024
FILES = 6
UPLOADS = {"PUT", "UPLOAD"}
PIECES = {"UPLOAD", "PUT_BLOCK", "MULTIPART"}

# A manage.py in whose process the log of a CI gets its lines soon.
SOON = """
import sys
import collectfasta.terminal.progress as progress
from django.core.management import execute_from_command_line

progress._FIRST_LINE_SECONDS, progress._LINE_SECONDS, progress.Lines.seconds = 0.0, 0.1, 0.05
execute_from_command_line(sys.argv)
"""
# One that tells on its stderr whether tqdm was loaded.
TELLING = """
import sys
from django.core.management import execute_from_command_line

execute_from_command_line(sys.argv)
print("tqdm" in sys.modules, file=sys.stderr)
"""


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for number in range(FILES):
        static_tree.write(f"{number}.js", f"let it{number};".encode())
    return static_tree


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with Terminal() as terminal:
        yield terminal


@pytest.fixture
def project(s3_obstore: S3Cloud, tree: StaticTree, tmp_path: Path) -> Project:
    return Project(tmp_path / "project", s3_obstore, tree)


def slow_down(cloud: RecordedCloud, *kinds: str, seconds: float = 0.3) -> None:
    cloud.recorder.before(
        lambda request: cloud.kind(request) in kinds, lambda _: time.sleep(seconds)
    )


def last_frames(terminal: Terminal) -> dict[str, str]:
    """Return the last state of each step that was to be seen, in their order."""
    return {frame.partition(":")[0]: frame for frame in terminal.frames}


def shows(frame: str, counts: str) -> bool:
    """Tell whether a state is that of a step that is done, with these counts."""
    return ": 100%|" in frame and f"| {counts}" in frame


def megabytes(terminal: Terminal) -> list[float]:
    """Return how much was sent by each state that tells it in megabytes."""
    found = re.compile(r"^Sending: .*\| \d+/\d+ files?, ([\d.]+) MB/")
    return [float(match[1]) for match in map(found.match, terminal.frames) if match]


class TestTerminal:
    def test_each_step_of_a_deploy_is_drawn_to_its_end(
        self, s3_obstore: S3Cloud, tree: StaticTree, tmp_path: Path, terminal: Terminal
    ) -> None:
        backend = MANIFEST_BACKENDS[s3_obstore.backend]
        project = Project(tmp_path / "project", s3_obstore, tree, backend=backend)

        ended = terminal.run(project)

        assert ended.status == 0
        last = last_frames(terminal)
        steps = [step for step in last if step != "Listing"]
        assert steps == ["Post-processing", "Comparing", "Sending"]
        assert shows(last["Post-processing"], f"{FILES}/{FILES} files [")
        assert shows(last["Comparing"], f"{2 * FILES + 1}/{2 * FILES + 1} files, ")
        assert shows(last["Sending"], "1/1 file, ")  # the manifest, when all others are there
        assert any(shows(each, f"{2 * FILES}/{2 * FILES} files, ") for each in terminal.frames)

    def test_of_a_short_deploy_only_the_words_remain(
        self, s3_obstore: S3Cloud, tree: StaticTree, tmp_path: Path, terminal: Terminal
    ) -> None:
        project = Project(tmp_path / "project", s3_obstore, tree)

        terminal.run(project, "--verbosity=2")

        # Slow machines take a second for a step.
        words = [line for line in terminal.screen if not re.match(r"\w+: +\d+%\|", line)]
        copying = [f"Copying '{tree.path(name)}'" for name in tree.names()]
        assert sorted(words[:FILES]) == copying
        assert re.match(rf"{FILES} static files copied.*\.", "".join(words[FILES:-2]))
        assert words[-2] == f"Objects sent: {FILES} missing; 0 unmodified."

    def test_lines_go_above_the_bar(
        self, s3_obstore: S3Cloud, project: Project, tree: StaticTree, terminal: Terminal
    ) -> None:
        # A step that took less than a second would leave no line.
        slow_down(s3_obstore, "PUT", seconds=0.5)

        terminal.run(project, "--verbosity=2", "--threads=2")

        bars = [n for n, line in enumerate(terminal.screen) if line.startswith("Sending: ")]
        copying = [n for n, line in enumerate(terminal.screen) if line.startswith("Copying '")]
        assert len(copying) == FILES
        assert bars == [max(copying) + 1]
        assert [line for line in terminal.screen if "Sending" in line[1:]] == []

    def test_a_large_file_moves_while_it_is_sent(
        self,
        recorded_cloud: RecordedCloud,
        static_tree: StaticTree,
        tmp_path: Path,
        terminal: Terminal,
    ) -> None:
        static_tree.write("large.bin", os.urandom(24 * MEGABYTE))
        slow_down(recorded_cloud, *PIECES)
        project = Project(tmp_path / "project", recorded_cloud, static_tree)

        terminal.run(project)

        sent = megabytes(terminal)
        # boto3 reads several parts before the first is sent.
        assert any(0 < each < 24 for each in sent), terminal.frames
        assert sent[-1] == 24.0

    def test_a_listing_is_counted_by_its_requests(
        self, s3_obstore: S3Cloud, tree: StaticTree, tmp_path: Path, terminal: Terminal
    ) -> None:
        slow_down(s3_obstore, "LIST", seconds=1.0)

        terminal.run(Project(tmp_path / "project", s3_obstore, tree))

        assert any(frame.startswith("Listing: 1 request [") for frame in terminal.frames)

    def test_what_is_cleared_is_listed_and_deleted_as_steps(
        self, s3_obstore: S3Cloud, tree: StaticTree, tmp_path: Path, terminal: Terminal
    ) -> None:
        s3_obstore.put("static/old.css", b"old")
        s3_obstore.put("static/older.css", b"older")
        options = {"location": "static"}

        terminal.run(Project(tmp_path / "project", s3_obstore, tree, options=options), "--clear")

        last = last_frames(terminal)
        assert last["Listing"].startswith("Listing: 2 objects [")
        assert shows(last["Deleting"], "2/2 objects [")

    def test_a_dry_run_compares_and_sends_nothing(
        self, project: Project, terminal: Terminal
    ) -> None:
        terminal.run(project, "--dry-run")

        assert set(last_frames(terminal)) - {"Listing"} == {"Comparing"}

    def test_a_warning_goes_above_the_bar(
        self, s3_obstore: S3Cloud, project: Project, terminal: Terminal
    ) -> None:
        body = b"<Error><Code>AccessDenied</Code></Error>"
        s3_obstore.recorder.fail(lambda each: s3_obstore.kind(each) == "LIST", 403, body)
        slow_down(s3_obstore, "HEAD")

        ended = terminal.run(project, "--threads=2", "--no-color")

        assert ended.status == 0
        (line,) = [line for line in terminal.screen if "s3:ListBucket" in line]
        assert line.startswith("The credentials lack")
        assert line.endswith("which is slower.")

    def test_a_narrow_one_is_kept_to_and_has_the_time_left(self, project: Project) -> None:
        with Terminal(columns=40) as terminal:
            terminal.run(project)
            frames = [frame for frame in terminal.frames if "%" in frame]

        assert frames
        assert all(len(frame) <= 40 and "<" in frame for frame in frames)

    def test_nothing_is_drawn_where_that_is_asked_for(
        self, project: Project, terminal: Terminal
    ) -> None:
        for options, environment in (["--verbosity=0"], {}), ([], {"TQDM_DISABLE": "1"}):
            assert terminal.run(project, *options, environment=environment).status == 0
            assert terminal.frames == []

    def test_the_bars_are_on_stderr(self, project: Project, terminal: Terminal) -> None:
        ended = terminal.run(project, stdout=-1)

        assert "\r" not in ended.stdout
        assert "Sending" in last_frames(terminal)

    def test_djangos_own_way_has_no_bars(self, project: Project, terminal: Terminal) -> None:
        ended = terminal.run(project, "--disable-collectfasta")

        assert ended.status == 0
        assert terminal.frames == []


class TestEnd:
    def test_an_error_has_a_line_of_its_own(
        self, s3_obstore: S3Cloud, project: Project, terminal: Terminal
    ) -> None:
        s3_obstore.recorder.fail(lambda request: request.path.endswith("/3.js"), 400)

        ended = terminal.run(project)

        assert ended.status == 1
        assert any(line.startswith("CommandError: 1 file was not sent") for line in terminal.screen)
        frames = [frame for frame in terminal.frames if frame.startswith("Sending")]
        assert f"| {FILES - 1}/{FILES} files, " in frames[-1]

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
    def test_an_interrupt_ends_the_bar_and_has_one_line(
        self,
        s3_obstore: S3Cloud,
        tree: StaticTree,
        tmp_path: Path,
        number: signal.Signals,
    ) -> None:
        project = Project(tmp_path / "project", s3_obstore, tree, COLLECTFASTA_THREADS=2)
        started: list[subprocess.Popen[str]] = []

        def interrupt(_: Request) -> None:
            started[0].send_signal(number)
            time.sleep(0.5)

        is_upload = lambda request: s3_obstore.kind(request) in UPLOADS  # noqa: E731
        s3_obstore.recorder.before(is_upload, interrupt)
        with Terminal() as terminal:
            started.append(terminal.start(project))
            ended = terminal.wait(started[0])
            screen = [line for line in terminal.screen if not line.startswith("Comparing")]

        assert ended.status == 130
        assert screen[0].startswith("Sending: ")
        assert screen[1].startswith("CommandError: Interrupted: ")
        assert " ".join(screen[1:]).count("Interrupted") == 1

    def test_a_process_that_has_to_be_ended_begins_its_last_line_anew(
        self, s3_obstore: S3Cloud, project: Project, terminal: Terminal
    ) -> None:
        started: list[subprocess.Popen[str]] = []

        def interrupt(_: Request) -> None:
            for pause in (0.6, 0.6):
                time.sleep(pause)
                started[0].send_signal(signal.SIGINT)

        s3_obstore.recorder.before(lambda each: s3_obstore.kind(each) == "LIST", interrupt)
        started.append(terminal.start(project))
        terminal.wait(started[0])

        assert any(line.startswith("CommandError: Interrupted") for line in terminal.screen)

    def test_a_terminal_that_goes_away_is_a_failure(
        self, s3_obstore: S3Cloud, project: Project, terminal: Terminal
    ) -> None:
        s3_obstore.recorder.before(
            lambda each: s3_obstore.kind(each) == "PUT", lambda _: terminal.close()
        )

        ended = terminal.run(project, "--verbosity=2")

        assert ended.status != 0


class TestLog:
    @pytest.fixture
    def soon(self, project: Project) -> Project:
        project.manage(SOON)
        return project

    def test_of_a_ci_gets_lines(self, s3_obstore: S3Cloud, soon: Project) -> None:
        slow_down(s3_obstore, "PUT", "LIST")

        ended = soon.run("--threads=1", environment={"CI": "true"})

        lines = ended.stderr.splitlines()
        assert ended.status == 0
        assert any(re.fullmatch(r"Listing: 1 request, \d+ s so far\.", each) for each in lines)
        pattern = rf"Sending: \d of {FILES} files, \d+ bytes of \d+ bytes, \d+ s (left|so far)\."
        assert any(re.fullmatch(pattern, each) for each in lines)
        assert re.findall(r"[^\w\s:,.]", ended.stderr) == [], "no bar"

    def test_of_a_ci_gets_no_line_in_a_short_run(self, project: Project) -> None:
        assert project.run(environment={"CI": "true"}).stderr == ""

    def test_on_a_terminal_of_a_ci_gets_lines_too(
        self, s3_obstore: S3Cloud, soon: Project, terminal: Terminal
    ) -> None:
        slow_down(s3_obstore, "PUT", "LIST")

        terminal.run(soon, "--threads=1", environment={"CI": "true"})

        assert terminal.frames == []
        assert any(line.startswith(f"Sending: 0 of {FILES} files") for line in terminal.screen)


class TestPipe:
    def test_gets_nothing_of_it(self, s3_obstore: S3Cloud, project: Project) -> None:
        slow_down(s3_obstore, "PUT", seconds=0.5)

        ended = project.run()

        assert ended.stderr == ""
        assert re.fullmatch(
            rf"\n{FILES} static files copied\.\n"
            rf"S3: {FILES} objects \(\d+ bytes\) sent to s3://.*, \d+\.\d s\.\n",
            ended.stdout,
        )

    def test_does_not_load_tqdm(self, project: Project) -> None:
        project.manage(TELLING)
        assert project.run().stderr == "False\n"

    def test_terminal_loads_it(self, project: Project, terminal: Terminal) -> None:
        """Else the test above could not fail."""
        project.manage(TELLING)
        terminal.run(project)
        assert terminal.screen[-1] == "True"


class TestFileSystem:
    def test_is_drawn_to_its_end_too(
        self, filesystem: FileSystemCloud, tree: StaticTree, tmp_path: Path, terminal: Terminal
    ) -> None:
        backend = MANIFEST_BACKENDS[filesystem.backend]
        terminal.run(Project(tmp_path / "project", filesystem, tree, backend=backend))

        last = last_frames(terminal)
        assert list(last) == ["Comparing", "Sending", "Post-processing"]
        assert all(shows(each, f"{FILES}/{FILES} files") for each in last.values())

    def test_is_not_listed_before_it_is_compared(
        self, filesystem: FileSystemCloud, tree: StaticTree, tmp_path: Path, terminal: Terminal
    ) -> None:
        project = Project(tmp_path / "project", filesystem, tree)
        project.run()

        terminal.run(project)

        assert list(last_frames(terminal)) == ["Comparing"]
