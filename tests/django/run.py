"""Run Django's own ``staticfiles_tests`` with ``collectfasta`` installed, on each Django release.

Each release has a virtual environment of its own under ``.venv-django``, with the source
distribution that holds its tests. Both are made once, and anew when the pinned requirements or the
interpreter change. All tests of a release run in one process: see ``staticfiles_suite``.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tarfile
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
REQUIREMENTS = REPOSITORY / "test-requirements.txt"
SUITE = Path(__file__).with_name("staticfiles_suite.py")


@dataclass(frozen=True)
class Release:
    """A Django release and the oldest Python that it supports."""

    version: str
    python: tuple[int, int]

    @property
    def series(self) -> str:
        """The feature release, such as "6.1"."""
        return self.version.rpartition(".")[0]

    @property
    def is_supported(self) -> bool:
        """Whether this interpreter can run it."""
        return sys.version_info >= self.python

    @property
    def why_unsupported(self) -> str:
        """What this interpreter lacks, to be read as part of a sentence."""
        oldest = ".".join(map(str, self.python))
        return f"needs Python {oldest} or newer, and this is {sys.version.split()[0]}"


RELEASES = (
    Release("5.2.19", python=(3, 10)),
    Release("6.0.10", python=(3, 12)),
    Release("6.1.3", python=(3, 12)),
)


class Environment:
    """A virtual environment with one Django release, its tests, and this checkout."""

    def __init__(self, release: Release) -> None:
        self._release = release
        self._root = REPOSITORY / ".venv-django" / release.series
        self._source = self._root / "src"
        self._stamp = self._root / "made-from"
        scripts = "Scripts" if sys.platform == "win32" else "bin"
        self.python = self._root / scripts / "python"
        self.tests = self._source / f"django-{release.version}" / "tests"

    def make(self) -> None:
        """Make it, unless it is there and made from the same things.

        Raises:
            subprocess.CalledProcessError: pip fails; it has printed why.
        """
        if self._stamp.exists() and self._stamp.read_text() == self._made_from():
            return
        print(f"Making an environment with Django {self._release.version}.", flush=True)
        venv.create(self._root, clear=True, with_pip=True)
        self._install()
        self._unpack_tests()
        self._stamp.write_text(self._made_from())

    def _made_from(self) -> str:
        requirements = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
        return f"Django {self._release.version}\nPython {sys.version}\n{requirements}\n"

    def _install(self) -> None:
        constraints = self._root / "constraints.txt"
        constraints.write_text("".join(_pins_without_django()))
        django = f"Django=={self._release.version}"
        self._pip("install", f"--constraint={constraints}", "hatchling", "editables", django)
        self._pip(
            "install",
            f"--constraint={constraints}",
            "--no-build-isolation",
            f"--editable={REPOSITORY}",
            django,
        )

    def _unpack_tests(self) -> None:
        django = f"Django=={self._release.version}"
        self._pip("download", "--no-deps", "--no-binary=django", f"--dest={self._source}", django)
        with tarfile.open(self._source / f"django-{self._release.version}.tar.gz") as archive:
            archive.extractall(self._source, filter="data")

    def _pip(self, *arguments: str) -> None:
        pip = [str(self.python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *arguments], check=True)


def _pins_without_django() -> Iterable[str]:
    with REQUIREMENTS.open() as lines:
        return [line for line in lines if not line.startswith("django==")]


def run(release: Release) -> bool:
    """Run a release's tests and return whether they passed."""
    environment = Environment(release)
    try:
        environment.make()
    except subprocess.CalledProcessError as error:
        print(f"Django {release.version}: no environment: {error}", file=sys.stderr)
        return False
    print(f"Django {release.version}, Python {sys.version.split()[0]}:", flush=True)
    suite = subprocess.run([environment.python, SUITE, environment.tests], check=False)
    return suite.returncode == 0


def main() -> int:
    """Run the releases that this interpreter supports and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--django",
        action="append",
        choices=[release.series for release in RELEASES],
        help="only this release (may be given several times)",
    )
    wanted = parser.parse_args().django
    failed = []
    for release in RELEASES:
        if wanted and release.series not in wanted:
            continue
        if release.is_supported:
            passed = run(release)
        else:
            print(f"Django {release.version}: left out, {release.why_unsupported}.")
            passed = not wanted  # What is asked for by name must run.
        if not passed:
            failed.append(release.version)
    if failed:
        print(f"staticfiles_tests did not pass on Django {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
