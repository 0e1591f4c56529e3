"""Bad input is refused in one line, without a traceback, before the first write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.clouds.s3 import S3Cloud

S3_STRATEGY = "collectfasta.strategies.boto3.Boto3Strategy"
FILE_STRATEGY = "collectfasta.strategies.filesystem.FileSystemStrategy"

# A setting, and what the one line has to say.
REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "strategy that does not import": (
        {"COLLECTFASTA_STRATEGY": "no.such.Strategy"},
        ["COLLECTFASTA_STRATEGY", "'no.such.Strategy'", FILE_STRATEGY],
    ),
    "strategy that is none": (
        {"COLLECTFASTA_STRATEGY": "collections.OrderedDict"},
        ["'collections.OrderedDict'", "no strategy", FILE_STRATEGY],
    ),
    "strategy for another storage": (
        {"COLLECTFASTA_STRATEGY": S3_STRATEGY},
        [S3_STRATEGY, "StaticFilesStorage", FILE_STRATEGY],
    ),
    "threads of the wrong type": (
        {"COLLECTFASTA_THREADS": "8"},
        ["'COLLECTFASTA_THREADS'", "int", "str"],
    ),
    "threads out of range": ({"COLLECTFASTA_THREADS": -1}, ["'COLLECTFASTA_THREADS'", "-1"]),
    "enabled of the wrong type": (
        {"COLLECTFASTA_ENABLED": "no"},
        ["'COLLECTFASTA_ENABLED'", "bool", "str"],
    ),
    "debug of the wrong type": ({"COLLECTFASTA_DEBUG": 1}, ["'COLLECTFASTA_DEBUG'", "bool"]),
    "cache that does not exist": (
        {"COLLECTFASTA_CACHE": "missing"},
        ["COLLECTFASTA_CACHE", "'missing'", "default"],
    ),
}


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    static_tree.write("a.css", b"a")
    return static_tree


@pytest.mark.parametrize("case", REFUSED)
def test_a_setting_is_refused_in_one_line(
    filesystem: FileSystemCloud, tree: StaticTree, collectstatic: CollectStatic, case: str
) -> None:
    settings, words = REFUSED[case]

    with pytest.raises(CommandError) as caught:
        collectstatic(filesystem, settings=settings)

    message = str(caught.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == []
    assert filesystem.keys() == []


@pytest.mark.parametrize("case", REFUSED)
def test_manage_py_shows_no_traceback(tmp_path: Path, tree: StaticTree, case: str) -> None:
    settings, words = REFUSED[case]

    done = run_manage(tmp_path, tree, settings)

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert [word for word in words if word not in done.stderr] == []


def test_an_app_listed_too_late_is_an_error_of_djangos_own_command(
    tmp_path: Path, tree: StaticTree
) -> None:
    settings = {"INSTALLED_APPS": ["django.contrib.staticfiles", "collectfasta"]}

    done = run_manage(tmp_path, tree, settings)

    assert done.returncode == 1
    assert "collectfasta.E001" in done.stderr
    assert not (tmp_path / "deployed").exists()


def run_manage(
    tmp_path: Path, tree: StaticTree, settings: dict[str, Any]
) -> subprocess.CompletedProcess[str]:
    """Run the command as ``manage.py`` does, in a process of its own."""
    everything = {
        "INSTALLED_APPS": ["collectfasta", "django.contrib.staticfiles"],
        "STATIC_URL": "/static/",
        "STATIC_ROOT": str(tmp_path / "deployed"),
        "STATICFILES_DIRS": [str(tree.root)],
        **settings,
    }
    code = (
        "from django.conf import settings; from django.core.management import "
        f"execute_from_command_line as run; settings.configure(**{everything!r});"
        "run(['manage.py', 'collectstatic', '--noinput'])"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_a_name_outside_of_the_location_is_refused_by_name(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    settings = {"STATICFILES_DIRS": [("../up", str(tree.root))]}

    with pytest.raises(CommandError, match=r"'\.\./up/a\.css'"):
        collectstatic(s3, settings=settings)

    assert s3.requests == []


def test_two_files_for_one_object_are_refused_by_name(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    tree.write("css/x.css", b"1")
    tree.write("css\\x.css", b"2")

    with pytest.raises(CommandError, match="would overwrite"):
        collectstatic(s3)

    assert s3.requests == []
