"""``--report FILE``: what a run has done, as JSON, whatever becomes of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.management import CommandError

import collectfasta
from collectfasta.report import VERSION
from tests.conftest import CollectStatic, StaticTree
from tests.project import MANIFEST, MANIFEST_BACKENDS, Project, after
from tests.servers.clouds import Cloud, RecordedCloud
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.recorder import Request

STYLE = b"a { background: url('b.png') }"
DOCUMENT = Path(__file__).parents[2] / "docs" / "report.md"

# What each kind of entry has.
FIELDS: dict[str, dict[str, Any]] = {
    "copied": {"name": str, "key": str, "reason": str, "size": (int, type(None))},
    "unmodified": {"name": str, "key": str},
    "deleted": {"name": str, "key": str},
    "failed": {"name": str, "key": str, "cause": str},
    "pending": {"name": str, "key": str, "reason": str, "size": (int, type(None))},
}
TYPES: dict[str, Any] = {
    "version": int,
    "collectfasta": str,
    "status": str,
    "error": (str, type(None)),
    "strategy": (str, type(None)),
    "target": (str, type(None)),
    "dry_run": bool,
    "check": bool,
    **dict.fromkeys(FIELDS, list),
    "bytes": int,
    "requests": (int, type(None)),
    "seconds": float,
}


@pytest.fixture(autouse=True)
def _files(static_tree: StaticTree) -> None:
    static_tree.write("a.css", STYLE)
    static_tree.write("b.png", b"png")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "reports"
    folder.mkdir()
    return folder / "report.json"


def read(path: Path) -> dict[str, Any]:
    """Return a report that has the documented fields, and is alone in its folder."""
    report: dict[str, Any] = json.loads(path.read_bytes())
    assert list(report) == list(TYPES)
    assert all(isinstance(report[name], TYPES[name]) for name in TYPES)
    for kind, fields in FIELDS.items():
        for entry in report[kind]:
            assert list(entry) == list(fields)
            assert all(isinstance(entry[name], fields[name]) for name in fields)
    assert os.listdir(path.parent) == [path.name]
    return report


def names(report: dict[str, Any], kind: str) -> list[str]:
    return sorted(entry["name"] for entry in report[kind])


def reasons(report: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["reason"] for entry in report["copied"]}


def is_sending(name: str) -> Callable[[Request], bool]:
    return lambda request: (
        request.method in ("PUT", "POST")
        and (request.path.endswith(f"/{name}") or request.subject.endswith(name))
    )


class TestDeploy:
    @pytest.mark.parametrize("threads", [0, 8])
    def test_what_was_sent_is_told_with_its_reason(
        self,
        cloud: Cloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        path: Path,
        threads: int,
    ) -> None:
        collectstatic(cloud)
        static_tree.write("b.png", b"PNG!")
        static_tree.write("c.txt", b"new")

        collectstatic(cloud, report=str(path), threads=threads)

        report = read(path)
        assert reasons(report) == {"b.png": "changed", "c.txt": "missing"}
        assert {entry["name"]: entry["size"] for entry in report["copied"]} == {
            "b.png": 4,
            "c.txt": 3,
        }
        assert names(report, "unmodified") == ["a.css"]
        assert report["bytes"] == 7
        assert report["deleted"] == report["failed"] == report["pending"] == []

    def test_what_goes_for_the_whole_run(
        self, cloud: Cloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        collectstatic(cloud, report=str(path))

        report = read(path)
        assert report["version"] == VERSION
        assert report["collectfasta"] == collectfasta.__version__
        assert (report["status"], report["error"]) == ("succeeded", None)
        assert report["strategy"].startswith("collectfasta.strategies.")
        assert report["strategy"].endswith("Strategy")
        assert (report["dry_run"], report["check"]) == (False, False)
        assert 0 < report["seconds"] < 60

    def test_requests_are_those_that_were_made(
        self, recorded_cloud: RecordedCloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        collectstatic(recorded_cloud, report=str(path))

        assert read(path)["requests"] == len(recorded_cloud.requests)

    def test_a_directory_costs_no_request(
        self, filesystem: FileSystemCloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        collectstatic(filesystem, report=str(path))

        assert read(path)["requests"] is None

    def test_keys_have_the_location_and_names_have_not(
        self, recorded_cloud: RecordedCloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        collectstatic(recorded_cloud, options={"location": "static"}, report=str(path))

        report = read(path)
        assert {entry["key"] for entry in report["copied"]} == {*recorded_cloud.keys()}
        assert names(report, "copied") == ["a.css", "b.png"]
        assert report["target"].endswith(f"://{recorded_cloud.name}/static/")

    def test_the_target_of_a_manifest_storage_is_the_bucket_too(
        self, recorded_cloud: RecordedCloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        backend, options = MANIFEST_BACKENDS[recorded_cloud.backend], {"location": "static"}
        collectstatic(recorded_cloud, backend=backend, options=options, report=str(path))

        assert read(path)["target"].endswith(f"://{recorded_cloud.name}/static/")

    def test_leftovers_that_were_deleted_are_told(
        self, recorded_cloud: RecordedCloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        recorded_cloud.put("static/old.css", b"old")

        collectstatic(recorded_cloud, options={"location": "static"}, prune=True, report=str(path))

        assert read(path)["deleted"] == [{"name": "old.css", "key": "static/old.css"}]

    def test_everything_is_forced_where_that_is_asked_for(
        self, cloud: Cloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        collectstatic(cloud, force=True, report=str(path))

        assert reasons(read(path)) == {"a.css": "forced", "b.png": "forced"}

    def test_sizes_are_those_of_what_was_sent(
        self, s3: S3Cloud, collectstatic: CollectStatic, static_tree: StaticTree, path: Path
    ) -> None:
        static_tree.write("large.css", b"a { color: red }\n" * 1000)

        collectstatic(s3, options={"gzip": True}, report=str(path))

        report = read(path)
        sizes = {entry["name"]: entry["size"] for entry in report["copied"]}
        assert sizes == {key: len(s3.get(key).body) for key in s3.keys()}
        assert report["bytes"] == sum(sizes.values()) < 1000


class TestManifest:
    def test_what_is_told_is_what_the_storage_has(
        self, cloud: Cloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        collectstatic(cloud, backend=MANIFEST_BACKENDS[cloud.backend], report=str(path))

        report = read(path)
        assert names(report, "copied") == cloud.keys()
        assert len(cloud.keys()) == 5
        assert report["bytes"] == sum(len(each.body) for each in cloud.objects().values())

    def test_what_a_second_run_sends_is_all_that_has_changed(
        self, s3: S3Cloud, collectstatic: CollectStatic, static_tree: StaticTree, path: Path
    ) -> None:
        backend = MANIFEST_BACKENDS[s3.backend]
        collectstatic(s3, backend=backend)
        before = {key: s3.version(key) for key in s3.keys()}
        static_tree.write("b.png", b"PNG!")

        collectstatic(s3, backend=backend, report=str(path))

        report = read(path)
        assert {key for key in s3.keys() if s3.version(key) != before.get(key)} == {
            entry["key"] for entry in report["copied"]
        }
        changed = {name for name, reason in reasons(report).items() if reason == "changed"}
        assert changed == {"b.png", MANIFEST}
        assert names(report, "unmodified") == ["a.css"]

    def test_hashed_files_alone_are_told_where_they_alone_are_sent(
        self, s3: S3Cloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        collectstatic(
            s3,
            backend=MANIFEST_BACKENDS[s3.backend],
            settings={"COLLECTFASTA_HASHED_ONLY": True},
            report=str(path),
        )

        assert names(read(path), "copied") == s3.keys()
        assert "a.css" not in s3.keys()

    def test_a_manifest_that_was_refused_is_told_and_the_run_has_failed(
        self, s3: S3Cloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        s3.recorder.fail(is_sending(MANIFEST), 403)

        with pytest.raises(CommandError):
            collectstatic(s3, backend=MANIFEST_BACKENDS[s3.backend], report=str(path))

        report = read(path)
        assert report["status"] == "failed"
        assert names(report, "failed") == [MANIFEST]
        assert names(report, "copied") == s3.keys()


class TestDryRun:
    def test_it_tells_what_the_real_run_does(
        self, cloud: Cloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        assert_dry_is_real(cloud, collectstatic, path, None)

    def test_the_same_of_a_manifest_storage(
        self, recorded_cloud: RecordedCloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        backend = MANIFEST_BACKENDS[recorded_cloud.backend]

        assert_dry_is_real(recorded_cloud, collectstatic, path, backend)

    def test_a_check_that_finds_a_difference_says_so(
        self, cloud: Cloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        with pytest.raises(CommandError) as caught:
            collectstatic(cloud, check=True, report=str(path))

        report = read(path)
        assert (report["status"], report["error"]) == ("differs", str(caught.value))
        assert (report["dry_run"], report["check"]) == (True, True)
        assert names(report, "copied") == ["a.css", "b.png"]

    def test_a_check_that_finds_none_has_succeeded(
        self, cloud: Cloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        collectstatic(cloud)

        collectstatic(cloud, check=True, report=str(path))

        assert read(path)["status"] == "succeeded"

    def test_leftovers_that_would_be_deleted_are_told(
        self, filesystem: FileSystemCloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        filesystem.put("old.css", b"old")

        collectstatic(filesystem, prune=True, dry_run=True, report=str(path))

        assert names(read(path), "deleted") == ["old.css"]
        assert "old.css" in filesystem.keys()


def assert_dry_is_real(
    cloud: Cloud, collectstatic: CollectStatic, path: Path, backend: str | None
) -> None:
    """Assert that a dry run reports what the real run after it does."""
    collectstatic(cloud, backend=backend, dry_run=True, report=str(path))
    dry = read(path)
    assert cloud.keys() == []
    collectstatic(cloud, backend=backend, report=str(path))
    real = read(path)

    assert (dry["dry_run"], real["dry_run"]) == (True, False)
    entries = {kind: sorted(map(str, dry[kind])) for kind in FIELDS}
    assert entries == {kind: sorted(map(str, real[kind])) for kind in FIELDS}
    assert dry["bytes"] == real["bytes"] > 0


class TestFailure:
    def test_what_failed_is_told_with_its_cause_and_what_was_sent_too(
        self, recorded_cloud: RecordedCloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        recorded_cloud.recorder.fail(is_sending("b.png"), 403)

        with pytest.raises(CommandError) as caught:
            collectstatic(recorded_cloud, report=str(path))

        report = read(path)
        assert (report["status"], report["error"]) == ("failed", str(caught.value))
        assert names(report, "failed") == ["b.png"]
        assert report["failed"][0]["cause"]
        assert names(report, "copied") == ["a.css"]

    def test_what_was_not_tried_after_a_refusal_is_pending(
        self, s3: S3Cloud, collectstatic: CollectStatic, static_tree: StaticTree, path: Path
    ) -> None:
        for number in range(20):
            static_tree.write(f"{number}.txt", b"x")
        s3.recorder.fail(lambda request: request.method == "PUT", 403)

        with pytest.raises(CommandError):
            collectstatic(s3, report=str(path), threads=0)

        report = read(path)
        assert report["copied"] == []
        assert len(report["failed"]) == 3
        assert len(report["pending"]) == 19

    def test_files_that_can_not_be_deployed_are_told(
        self, s3: S3Cloud, collectstatic: CollectStatic, static_tree: StaticTree, path: Path
    ) -> None:
        static_tree.path("gone.css").symlink_to("nowhere.css")

        with pytest.raises(CommandError):
            collectstatic(s3, report=str(path))

        report = read(path)
        assert names(report, "failed") == ["gone.css"]
        assert "FileNotFoundError" in report["failed"][0]["cause"]

    @pytest.mark.parametrize("backend", ["plain", "manifest"])
    def test_a_bucket_that_is_missing(
        self, s3: S3Cloud, collectstatic: CollectStatic, path: Path, backend: str
    ) -> None:
        chosen = MANIFEST_BACKENDS[s3.backend] if backend == "manifest" else None
        options = {"bucket_name": f"{s3.name}-absent"}

        with pytest.raises(CommandError) as caught:
            collectstatic(s3, backend=chosen, options=options, report=str(path))

        report = read(path)
        assert (report["status"], report["error"]) == ("failed", str(caught.value))
        assert report["copied"] == []

    def test_a_style_sheet_that_refers_to_nothing(
        self, s3: S3Cloud, collectstatic: CollectStatic, static_tree: StaticTree, path: Path
    ) -> None:
        static_tree.write("a.css", b"a { background: url('gone.png') }")

        # Before 6.1, Django raises it as it is.
        with pytest.raises((CommandError, ValueError), match=r"gone\.png"):
            collectstatic(s3, backend=MANIFEST_BACKENDS[s3.backend], report=str(path))

        report = read(path)
        assert report["status"] == "failed"
        assert "gone.png" in report["error"]

    def test_a_deletion_that_is_refused_leaves_nothing_told_as_deleted(
        self, s3: S3Cloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        s3.put("static/old.css", b"old")
        s3.recorder.fail(lambda request: s3.kind(request) == "DELETE_BATCH", 403)

        with pytest.raises(CommandError):
            collectstatic(s3, options={"location": "static"}, prune=True, report=str(path))

        report = read(path)
        assert (report["status"], report["deleted"]) == ("failed", [])
        assert names(report, "copied") == ["a.css", "b.png"]

    def test_what_is_no_error_of_the_command_is_told_too(
        self, filesystem: FileSystemCloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        with pytest.raises(ZeroDivisionError):
            collectstatic(filesystem, backend=f"{__name__}.Broken", report=str(path), threads=0)

        report = read(path)
        assert (report["status"], report["error"]) == (
            "failed",
            "ZeroDivisionError: division by zero",
        )

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_an_interrupt_tells_what_was_sent_and_what_is_left(
        self,
        s3_obstore: S3Cloud,
        static_tree: StaticTree,
        tmp_path: Path,
        path: Path,
        number: signal.Signals,
    ) -> None:
        for each in range(15):
            static_tree.write(f"{each}.txt", b"x")
        project = Project(tmp_path / "project", s3_obstore, static_tree, COLLECTFASTA_THREADS=1)
        fifth = after(4, lambda request: request.method == "PUT")

        ended = project.interrupt(number, fifth, "--report", str(path))

        report = read(path)
        assert ended.status == 130
        assert report["status"] == "interrupted"
        assert f"CommandError: {report['error']}\n" == ended.stderr
        # What was under way has arrived, but nobody has waited for the answer.
        assert {*names(report, "copied")} < {*s3_obstore.keys()}
        assert len(report["copied"]) == 4
        assert len(report["copied"]) + len(report["pending"]) == 17


class Broken(ManifestStaticFilesStorage):
    """A storage with a mistake in it."""

    def post_process(self, *args: Any, **options: Any) -> Iterator[Any]:
        yield 1 / 0


class TestSecrets:
    def test_none_is_in_a_report(
        self, s3: S3Cloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        secret = "wJalrXUtnFEMI+K7MDENG/bPxRfiCYEXAMPLEKEY"
        echo = f"<Error><Code>Denied</Code><Message>{secret} {quote(secret)}</Message></Error>"
        s3.recorder.fail(is_sending("b.png"), 403, echo.encode())

        with pytest.raises(CommandError):
            collectstatic(s3, options={"secret_key": secret}, report=str(path))

        text = path.read_text()
        assert secret not in text
        assert quote(secret) not in text
        assert "***" in read(path)["failed"][0]["cause"]


class TestNames:
    odd: ClassVar[list[str]] = ["quo\"te'.txt", "sp ace+%.txt", "ü\u4e2d.txt", "\U0001f600.txt"]

    def test_that_are_odd_come_back_as_they_were(
        self, cloud: Cloud, collectstatic: CollectStatic, static_tree: StaticTree, path: Path
    ) -> None:
        for name in self.odd:
            static_tree.write(name, b"x")

        collectstatic(cloud, report=str(path))

        assert names(read(path), "copied") == sorted(["a.css", "b.png", *self.odd])
        assert path.read_bytes().isascii()

    def test_that_are_no_text_are_surrogates(
        self,
        filesystem: FileSystemCloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        path: Path,
    ) -> None:
        name = os.fsdecode(b"\xff\n.txt")
        static_tree.write(name, b"x")

        collectstatic(filesystem, report=str(path))

        assert name in names(read(path), "copied")
        assert r"\udcff\n.txt" in path.read_text()


class TestFile:
    def test_that_is_there_is_replaced(
        self, filesystem: FileSystemCloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        path.write_text("old")

        collectstatic(filesystem, report=str(path))

        assert read(path)["status"] == "succeeded"

    def test_may_be_read_as_any_other(
        self, filesystem: FileSystemCloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        (path.parent.parent / "other").write_text("")

        collectstatic(filesystem, report=str(path))

        other = (path.parent.parent / "other").stat().st_mode
        assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other)

    def test_a_link_to_one_stays_a_link(
        self, filesystem: FileSystemCloud, collectstatic: CollectStatic, path: Path, tmp_path: Path
    ) -> None:
        link = tmp_path / "link.json"
        link.symlink_to(path)

        collectstatic(filesystem, report=str(link))

        assert link.is_symlink()
        assert read(path)["status"] == "succeeded"

    def test_a_path_may_be_given(
        self, filesystem: FileSystemCloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        collectstatic(filesystem, report=path)

        assert read(path)["status"] == "succeeded"

    def test_a_relative_path_is_one_of_the_working_directory(
        self,
        filesystem: FileSystemCloud,
        collectstatic: CollectStatic,
        path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(path.parent)

        collectstatic(filesystem, "--report", path.name)

        assert read(path)["status"] == "succeeded"

    @pytest.mark.parametrize(
        "place", ["missing/report.json", ".", "", "/dev/null", "a\0b", "x" * 300]
    )
    def test_that_can_not_be_written_is_refused_before_the_first_write(
        self,
        filesystem: FileSystemCloud,
        collectstatic: CollectStatic,
        path: Path,
        monkeypatch: pytest.MonkeyPatch,
        place: str,
    ) -> None:
        monkeypatch.chdir(path.parent)

        with pytest.raises(CommandError) as caught:
            collectstatic(filesystem, report=place)

        assert len(str(caught.value).splitlines()) == 1
        assert "can't be written" in str(caught.value)
        assert filesystem.keys() == []
        assert os.listdir(path.parent) == []

    @pytest.mark.skipif(os.geteuid() == 0, reason="Root may write everywhere.")
    def test_without_permission_it_is_refused(
        self, filesystem: FileSystemCloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        path.parent.chmod(0o500)

        with pytest.raises(CommandError, match="PermissionError"):
            collectstatic(filesystem, report=str(path))

        assert filesystem.keys() == []

    def test_that_can_not_be_written_any_more_fails_a_run_that_has_sent_all(
        self, recorded_cloud: RecordedCloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        recorded_cloud.recorder.before(is_sending("b.png"), lambda _: path.parent.rmdir())

        with pytest.raises(CommandError) as caught:
            collectstatic(recorded_cloud, report=str(path), threads=0)

        assert str(caught.value).startswith("All is done, but: The report ")
        assert recorded_cloud.keys() == ["a.css", "b.png"]

    def test_the_same_does_not_hide_why_a_run_has_failed(
        self, recorded_cloud: RecordedCloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        def refuse(request: Request) -> bool:
            if not is_sending("b.png")(request):
                return False
            shutil.rmtree(path.parent, ignore_errors=True)
            return True

        recorded_cloud.recorder.fail(refuse, 403)

        with pytest.raises(CommandError, match=r"b\.png|permission|may"):
            collectstatic(recorded_cloud, report=str(path), threads=0)

        assert collectstatic.last is not None
        assert "The report " in collectstatic.last.stderr

    def test_an_option_that_is_refused_leaves_the_last_report(
        self, filesystem: FileSystemCloud, collectstatic: CollectStatic, path: Path
    ) -> None:
        path.write_text("old")

        with pytest.raises(CommandError):
            collectstatic(filesystem, check=True, force=True, report=str(path))

        assert path.read_text() == "old"


class TestDocument:
    """docs/report.md, which scripts are written by."""

    def test_its_tables_are_the_fields(self) -> None:
        rows = [
            line.split("|")[1].strip().strip("`")
            for line in DOCUMENT.read_text(encoding="utf-8").splitlines()
            if line.startswith("| `")
        ]

        assert rows == [*TYPES, *dict.fromkeys(name for each in FIELDS.values() for name in each)]

    def test_its_example_is_a_report(self, tmp_path: Path) -> None:
        example = DOCUMENT.read_text(encoding="utf-8").split("```json\n")[1].split("```")[0]
        folder = tmp_path / "example"
        folder.mkdir()
        (folder / "report.json").write_text(example)

        assert read(folder / "report.json")["version"] == VERSION

    def test_its_lines_for_jq_name_what_caches_may_have(
        self, s3: S3Cloud, collectstatic: CollectStatic, static_tree: StaticTree, path: Path
    ) -> None:
        static_tree.write("sp aceü.txt", b"old")
        s3.put("static/gone.css", b"old")
        collectstatic(s3, options={"location": "static"})
        static_tree.write("sp aceü.txt", b"new")
        static_tree.write("added.txt", b"new")

        collectstatic(s3, options={"location": "static"}, prune=True, report=str(path))

        paths = ["/static/sp%20ace%C3%BC.txt", "/static/gone.css"]
        assert to_be_invalidated(read(path)) == paths
        if shutil.which("jq"):
            outcomes = [run_jq(line, path.parent) for line in jq_lines()]
            said = "2 of 4 objects sent, 1 deleted"
            assert outcomes == ["\n".join([*paths, ""]), "", f"{said}\n"]


def to_be_invalidated(report: dict[str, Any]) -> list[str]:
    """Do what the document's first line for jq does."""
    replaced = [each for each in report["copied"] if each["reason"] != "missing"]
    return [f"/{quote(each['key'])}" for each in (*replaced, *report["deleted"])]


def jq_lines() -> list[str]:
    """Return the parts of the document's shell lines that are jq's."""
    blocks = DOCUMENT.read_text(encoding="utf-8").split("```sh\n")[1:]
    text = "\n".join(block.split("```")[0] for block in blocks)
    lines = text.replace("\\\n", " ").splitlines()
    return [line.split(" | xargs")[0] for line in lines if line.startswith("jq ")]


def run_jq(line: str, folder: Path) -> str:
    done = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout
