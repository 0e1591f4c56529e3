"""Run the tests with each Python and each Django that support each other: ``make test-all``.

``highest`` takes what test-requirements.txt pins, with another Django where that is asked for;
``lowest`` takes lowest-requirements.txt, which is the lower bounds that pyproject.toml has. Each
combination has an environment of its own under ``.venv-nox``.

A Python that isn't at hand is skipped, and is an error where the environment variable ``CI`` is
set. Looked for are those in PATH and pyenv's, whether chosen there or not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import nox

from tests.django.run import RELEASES, REPOSITORY, pins_without_django

nox.needs_version = ">=2026.10"
nox.options.default_venv_backend = "venv"
nox.options.download_python = "never"
nox.options.envdir = ".venv-nox/sessions"
nox.options.reuse_venv = "yes"

PYTHONS = ["3.10", "3.12", "3.13"]
# Supported, and not missed where they aren't at hand.
MORE_PYTHONS = ["3.11", "3.14"]
LOWEST = "lowest versions"

# What touches Django, the storages and the SDKs where their versions differ: the whole command in
# memory, sites of each kind on each cloud, and what Django's own command makes of the same files.
OF_THE_PACKAGE = [
    "tests/flow",
    "tests/end_to_end/test_django_equality.py",
    *(f"tests/end_to_end/test_s3_{kind}.py" for kind in ("plain", "manifest", "whitenoise")),
    *(f"tests/end_to_end/test_{cloud}_lives.py" for cloud in ("azure", "filesystem", "gcs")),
]

# Unit tests of the project itself, which no version makes a difference to.
OF_THE_PROJECT = [
    f"--ignore-glob=tests/unit/test_{each}.py"
    for each in (
        "benchmarks_*",
        "coverage_gate",
        "docs_*",
        "readme",
        "reliability_table",
        "s3_servers",
        "version",
    )
]


def find_pyenv() -> None:
    """Put pyenv's interpreters into PATH, before its shims: those run only what is chosen."""
    for directory in sorted(Path.home().glob(".pyenv/versions/3.*/bin")):
        os.environ["PATH"] = f"{directory}{os.pathsep}{os.environ['PATH']}"


def is_at_hand(python: str) -> bool:
    """Tell whether a Python can be run."""
    executable = shutil.which(f"python{python}")
    ask = [executable or "", "--version"]
    return bool(executable) and subprocess.run(ask, capture_output=True).returncode == 0


def combinations() -> list[Any]:
    """Return each Python with each Django that supports it, and the oldest of everything."""
    pythons = PYTHONS + [each for each in MORE_PYTHONS if is_at_hand(each)]
    pairs = [
        (python, release.version, f"{python}, Django {release.series}")
        for python in pythons
        for release in RELEASES
        if tuple(map(int, python.split("."))) >= release.python
    ]
    oldest = PYTHONS[0]
    pairs.append((oldest, LOWEST, f"{oldest}, {LOWEST}"))
    return [nox.param(python, versions, id=name) for python, versions, name in pairs]


find_pyenv()


@nox.session
@nox.parametrize("python,versions", combinations())
def tests(session: nox.Session, versions: str) -> None:
    """Run the unit and flow tests, sites on each cloud, and Django's own tests of staticfiles."""
    session.install("--quiet", "--requirement", requirements(session, versions))
    session.install("--quiet", "--no-build-isolation", "--no-deps", "--editable", ".")
    selection = session.posargs or ["tests/unit", *OF_THE_PROJECT, *OF_THE_PACKAGE]
    session.run("python", "-m", "pytest", "--numprocesses=2", "--dist=loadscope", *selection)
    session.run("python", "tests/django/run.py", "--here")


def requirements(session: nox.Session, versions: str) -> str:
    """Return the path of what is to be installed."""
    if versions == LOWEST:
        return str(REPOSITORY / "lowest-requirements.txt")
    path = Path(session.virtualenv.location, "requirements.txt")
    path.write_text("".join([*pins_without_django(), f"django=={versions}\n"]))
    return str(path)
