"""The gate that `make test` ends with, fed by coverage itself."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.coverage_gate import failing, main

FILES = {
    "package/__init__.py": "",
    "package/tested.py": "it = 1\n" * 1000,
    "package/half.py": "def tell(it):\n    if it:\n        return 1\n    return 0\n",
    "package/unknown.py": "it = 1\n",
    "main.py": "import package.tested\nfrom package.half import tell\ntell(1)\n",
    ".coveragerc": "[run]\nbranch = true\nsource = package\n",
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What coverage tells of a program with a module that is tested, one half, and one not."""
    root = tmp_path_factory.mktemp("measured")
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    of_this_run = ("COVERAGE_FILE", "COVERAGE_PROCESS_CONFIG")
    environment = {name: value for name, value in os.environ.items() if name not in of_this_run}

    def coverage(*arguments: str) -> bytes:
        command = [sys.executable, "-m", "coverage", *arguments]
        return subprocess.run(
            command, cwd=root, env=environment, stdout=subprocess.PIPE, check=True
        ).stdout

    coverage("run", "main.py")
    return json.loads(coverage("json", "--quiet", "-o", "-"))


def run_gate(told: Any, monkeypatch: pytest.MonkeyPatch) -> str | int:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(told)))
    return main()


def test_modules_below_are_named_with_what_is_left_out(told: Any) -> None:
    assert [*failing(told["files"])] == [
        "package/half.py: 66.7 %; lines 4; branches 2->4",
        "package/unknown.py: 0.0 %; lines 1; branches none",
    ]


def test_the_sum_of_all_modules_hides_none(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does from coverage's own limit."""
    assert told["totals"]["percent_covered"] > 99
    assert "package/half.py" in str(run_gate(told, monkeypatch))


def test_one_line_says_that_all_is_well(
    told: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tested = {"package/tested.py": told["files"]["package/tested.py"]}

    assert run_gate({"files": tested}, monkeypatch) == 0
    assert capsys.readouterr().out == "Of each module (1) the tests cover 95 % or more.\n"


def test_nothing_measured_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_gate({"files": {}}, monkeypatch) == "No module was measured."
