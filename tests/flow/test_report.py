"""``--report FILE``: what a run has done, as JSON, whatever becomes of it."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.core.management import CommandError

import collectfasta
from collectfasta.deploy.report import VERSION
from tests.memory import (
    FILES,
    MANIFEST,
    MemoryManifestStorage,
    MemoryStorage,
    MemoryStrategy,
    Site,
    denied,
    invalid,
    slow_down,
)

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


class TestDeploy:
    def test_what_was_sent_is_told_with_its_reason(self, each_site: Site, path: Path) -> None:
        each_site.deploy()
        before = each_site.state()
        each_site.tree.write("js/app.js", b"PNG!")
        each_site.tree.write("c.txt", b"new")

        each_site.deploy(report=str(path))

        report = read(path)
        changed = {key for key, version in each_site.state().items() if before.get(key) != version}
        assert set(reasons(report)) == changed
        assert reasons(report)["js/app.js"] == "changed"
        assert reasons(report)["c.txt"] == "missing"
        assert {"css/a.css", "img/a.png"} <= set(names(report, "unmodified")) < set(before)
        assert not changed & set(names(report, "unmodified"))
        sizes = {entry["name"]: entry["size"] for entry in report["copied"]}
        assert sizes == {key: len(each_site.bodies()[key]) for key in changed}
        assert report["bytes"] == sum(sizes.values())
        assert report["deleted"] == report["failed"] == report["pending"] == []

    def test_what_goes_for_the_whole_run(self, each_site: Site, path: Path) -> None:
        each_site.location = "static"
        each_site.deploy(report=str(path))

        report = read(path)
        assert report["version"] == VERSION
        assert report["collectfasta"] == collectfasta.__version__
        assert (report["status"], report["error"]) == ("succeeded", None)
        assert report["strategy"].startswith("tests.memory.")
        assert report["target"] == "memory://static/"
        assert (report["dry_run"], report["check"]) == (False, False)
        assert 0 <= report["seconds"] < 60
        assert report["requests"] == sum(each_site.counts().values())
        assert {entry["key"] for entry in report["copied"]} == {*each_site.keys()}
        assert names(report, "copied") == [key.removeprefix("static/") for key in each_site.keys()]

    def test_what_was_deleted_is_told(self, each_site: Site, path: Path) -> None:
        each_site.location = "static"
        for option in ("prune", "clear"):
            each_site.put("static/old.css")
            each_site.deploy(report=str(path), **{option: True})
            assert read(path)["deleted"] == [{"name": "old.css", "key": "static/old.css"}]

    def test_what_is_forced_is_told(self, each_site: Site, path: Path) -> None:
        each_site.deploy(force=True, report=str(path))
        assert set(reasons(read(path)).values()) == {"forced"}

    def test_what_post_processing_in_place_saves_is_told(self, manifest: Site, path: Path) -> None:
        manifest.deploy(strategy=MemoryStrategy, report=str(path))
        assert set(names(read(path), "copied")) >= set(manifest.keys())

    def test_hashed_files_alone_are_told_where_they_alone_are_sent(
        self, each_manifest: Site, path: Path
    ) -> None:
        each_manifest.deploy(settings={"COLLECTFASTA_HASHED_ONLY": True}, report=str(path))
        assert names(read(path), "copied") == each_manifest.keys()
        assert "js/app.js" not in each_manifest.keys()


class TestDryRun:
    def test_it_tells_what_the_real_run_does(self, each_site: Site, path: Path) -> None:
        each_site.location = "static"
        each_site.deploy()
        each_site.put("static/old.css")
        each_site.tree.write("js/app.js", b"changed")
        each_site.tree.write("new.txt", b"new")

        each_site.deploy(dry_run=True, prune=True, report=str(path))
        dry = read(path)
        each_site.deploy(prune=True, report=str(path))
        real = read(path)

        assert (dry["dry_run"], real["dry_run"]) == (True, False)
        for kind in FIELDS:
            assert sorted(map(str, dry[kind])) == sorted(map(str, real[kind])), kind
        assert dry["bytes"] == real["bytes"] > 0
        assert names(real, "deleted")[-1:] == ["old.css"]

    def test_a_check_that_finds_a_difference_says_so(self, each_site: Site, path: Path) -> None:
        message = each_site.fail(check=True, report=str(path))

        report = read(path)
        assert (report["status"], report["error"]) == ("differs", message)
        assert (report["dry_run"], report["check"]) == (True, True)
        assert set(names(report, "copied")) >= set(FILES)
        each_site.deploy()
        each_site.deploy(check=True, report=str(path))
        assert read(path)["status"] == "succeeded"


class Broken(MemoryManifestStorage):
    """A storage with a mistake in it."""

    def post_process(self, *args: Any, **options: Any) -> Iterator[Any]:
        yield 1 / 0


class TestFailure:
    def test_what_failed_and_what_was_sent_is_told(self, each_site: Site, path: Path) -> None:
        for error, cause in ((invalid, "400: not so"), (denied, "lack the permission")):
            each_site.recover()
            each_site.refuse("PUT", "js/app.js", error)

            message = each_site.fail(force=True, report=str(path))

            report = read(path)
            assert (report["status"], report["error"]) == ("failed", message)
            assert names(report, "failed") == ["js/app.js"]
            assert cause in report["failed"][0]["cause"]
            assert names(report, "copied") == each_site.keys()
            assert names(report, "pending") == ([MANIFEST] if each_site.is_staged else [])

    def test_what_was_not_tried_is_pending(self, site: Site, path: Path) -> None:
        for number in range(20):
            site.tree.write(f"{number}.txt", b"x")
        for error in (invalid, slow_down):
            site.recover()
            site.refuse("PUT", error=error)

            site.fail(report=str(path))

            report = read(path)
            assert report["copied"] == []
            assert len(report["failed"]) == 3
            assert len(report["pending"]) == 21

    def test_files_that_can_not_be_deployed_are_told(self, each_site: Site, path: Path) -> None:
        each_site.tree.path("gone.css").symlink_to("nowhere.css")

        each_site.fail(report=str(path))

        report = read(path)
        assert names(report, "failed") == ["gone.css"]
        assert "FileNotFoundError" in report["failed"][0]["cause"]

    def test_a_target_that_can_not_be_used_is_told(self, each_site: Site, path: Path) -> None:
        each_site.refuse("LIST", error=invalid)
        message = each_site.fail(report=str(path))
        report = read(path)
        assert (report["status"], report["error"]) == ("failed", message)
        assert report["copied"] == []

    def test_a_style_sheet_that_refers_to_nothing_is_told(
        self, each_manifest: Site, path: Path
    ) -> None:
        each_manifest.tree.write("css/a.css", b"a { background: url('gone.png') }")
        with pytest.raises((CommandError, ValueError), match=r"gone\.png"):
            each_manifest.deploy(report=str(path))
        assert read(path)["status"] == "failed"
        assert "gone.png" in read(path)["error"]

    def test_a_deletion_that_is_refused_leaves_nothing_told_as_deleted(
        self, each_site: Site, path: Path
    ) -> None:
        each_site.location = "static"
        each_site.put("static/old.css")
        each_site.refuse("DELETE")

        each_site.fail(prune=True, report=str(path))

        report = read(path)
        assert (report["status"], report["deleted"]) == ("failed", [])
        assert set(names(report, "copied")) >= set(FILES)

    def test_what_is_no_error_of_the_command_is_told_too(
        self, each_manifest: Site, path: Path
    ) -> None:
        with pytest.raises(ZeroDivisionError):
            each_manifest.deploy(storage=Broken, report=str(path))
        report = read(path)
        assert report["status"] == "failed"
        assert report["error"] == "ZeroDivisionError: division by zero"

    def test_an_interrupt_tells_what_was_sent_and_what_is_left(
        self, each_site: Site, path: Path
    ) -> None:
        each_site.threads = 0
        each_site.refuse("PUT", "css/b.css", KeyboardInterrupt)  # type: ignore[arg-type]

        with pytest.raises(CommandError) as caught:
            each_site.deploy(report=str(path))

        report = read(path)
        assert (report["status"], report["error"]) == ("interrupted", str(caught.value))
        assert names(report, "copied") == each_site.keys()
        number = 9 if each_site.is_staged else 4
        assert len(report["copied"]) + len(report["pending"]) == number
        assert "css/b.css" in names(report, "pending")


class TestNames:
    def test_that_are_odd_come_back_as_they_were(self, each_site: Site, path: Path) -> None:
        odd = ["quo\"te'.txt", "sp ace+%.txt", "ü\u4e2d.txt", "\U0001f600.txt"]
        odd.append(os.fsdecode(b"\xff\n.txt"))
        for name in odd:
            each_site.tree.write(name, b"x")

        each_site.deploy(report=str(path))

        assert set(names(read(path), "copied")) >= {*odd, *FILES}
        assert path.read_bytes().isascii()
        assert r"\udcff\n.txt" in path.read_text()


class TestFile:
    def test_that_is_there_is_replaced_and_may_be_read_as_any_other(
        self, site: Site, path: Path
    ) -> None:
        path.write_text("old")
        (path.parent.parent / "other").write_text("")
        site.deploy(report=path)
        assert read(path)["status"] == "succeeded"
        other = (path.parent.parent / "other").stat().st_mode
        assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other)

    def test_a_link_to_one_stays_a_link(self, site: Site, path: Path, tmp_path: Path) -> None:
        link = tmp_path / "link.json"
        link.symlink_to(path)
        site.deploy(report=str(link))
        assert link.is_symlink()
        assert read(path)["status"] == "succeeded"

    def test_a_relative_path_is_one_of_the_working_directory(
        self, site: Site, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(path.parent)
        site.deploy("--report", path.name)
        assert read(path)["status"] == "succeeded"

    def test_that_can_not_be_written_is_refused_before_the_first_request(
        self, site: Site, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(path.parent)
        for place in ("missing/report.json", ".", "", "/dev/null", "a\0b", "x" * 300):
            message = site.fail(report=place)
            assert len(message.splitlines()) == 1
            assert "can't be written" in message
        assert site.bucket.calls == []
        assert os.listdir(path.parent) == []

    def test_that_can_not_be_written_any_more_fails_a_run_that_has_sent_all(
        self, site: Site, path: Path
    ) -> None:
        site.before("PUT", lambda _: path.parent.rmdir(), "js/app.js")
        assert site.fail(report=str(path)).startswith("All is done, but: The report ")
        assert site.bodies() == FILES

    def test_the_same_does_not_hide_why_a_run_has_failed(self, site: Site, path: Path) -> None:
        site.before("PUT", lambda _: shutil.rmtree(path.parent), "js/app.js")
        site.refuse("PUT", "js/app.js", invalid)
        assert "'js/app.js'" in site.fail(report=str(path))
        assert "The report " in site.last.stderr

    def test_an_option_that_is_refused_leaves_the_last_report(self, site: Site, path: Path) -> None:
        path.write_text("old")
        site.fail(check=True, force=True, report=str(path))
        assert path.read_text() == "old"


class Secretive(MemoryStorage):
    """Has a secret that a service may echo."""

    def __init__(self, *args: Any, secret_key: str = "", **options: Any) -> None:
        super().__init__(*args, **options)


def test_no_secret_is_in_a_report(site: Site, path: Path) -> None:
    secret = "wJalrXUtnFEMI+K7MDENG/bPxRfiCYEXAMPLEKEY"
    site.refuse("PUT", "js/*", lambda: ZeroDivisionError(f"{secret} {quote(secret)}"))

    site.fail(storage=Secretive, options={"secret_key": secret}, report=str(path))

    assert secret not in path.read_text()
    assert quote(secret) not in path.read_text()
    assert "***" in read(path)["failed"][0]["cause"]


class TestDocument:
    """docs/report.md, which scripts are written by."""

    def test_its_tables_are_the_fields(self) -> None:
        rows = [
            line.split("|")[1].strip().strip("`")
            for line in DOCUMENT.read_text(encoding="utf-8").splitlines()
            if line.startswith("| `")
        ]
        assert rows == [*TYPES, *dict.fromkeys(name for each in FIELDS.values() for name in each)]

    def test_its_example_is_a_report(self, path: Path) -> None:
        example = DOCUMENT.read_text(encoding="utf-8").split("```json\n")[1].split("```")[0]
        path.write_text(example)
        assert read(path)["version"] == VERSION

    def test_its_lines_for_jq_name_what_caches_may_have(self, site: Site, path: Path) -> None:
        site.location = "static"
        site.tree.write("sp aceü.txt", b"old")
        site.put("static/gone.css")
        site.deploy()
        site.tree.write("sp aceü.txt", b"new")
        site.tree.write("added.txt", b"new")

        site.deploy(prune=True, report=str(path))

        report = read(path)
        replaced = [each for each in report["copied"] if each["reason"] != "missing"]
        paths = [f"/{quote(each['key'])}" for each in (*replaced, *report["deleted"])]
        assert paths == ["/static/sp%20ace%C3%BC.txt", "/static/gone.css"]
        if shutil.which("jq"):
            outcomes = [run_jq(line, path.parent) for line in jq_lines()]
            said = "2 of 6 objects sent, 1 deleted"
            assert outcomes == ["\n".join([*paths, ""]), "", f"{said}\n"]


def jq_lines() -> list[str]:
    """Return the parts of the document's shell lines that are jq's."""
    blocks = DOCUMENT.read_text(encoding="utf-8").split("```sh\n")[1:]
    text = "\n".join(block.split("```")[0] for block in blocks)
    lines = text.replace("\\\n", " ").splitlines()
    return [line.split(" | xargs")[0] for line in lines if line.startswith("jq ")]


def run_jq(line: str, folder: Path) -> str:
    done = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout
