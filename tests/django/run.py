"""Run Django's own ``staticfiles_tests`` with ``collectfasta`` installed, on each Django release.

Each release has a virtual environment of its own under ``.venv-django``, made once, and anew when
the pinned requirements or the interpreter change. With ``--here`` the tests run in the environment
of this interpreter, with the Django that is installed there. The source distributions that hold the
tests are kept in ``.venv-django/src``. All tests of a release run in one process: see
``staticfiles_suite``.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tarfile
import tempfile
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
REQUIREMENTS = REPOSITORY / "test-requirements.txt"
SUITE = Path(__file__).with_name("staticfiles_suite.py")
ENVIRONMENTS = REPOSITORY / ".venv-django"


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
    """A virtual environment with one Django release and this checkout."""

    def __init__(self, release: Release) -> None:
        self._release = release
        self._root = ENVIRONMENTS / release.series
        self._stamp = self._root / "made-from"
        scripts = "Scripts" if sys.platform == "win32" else "bin"
        self.python = self._root / scripts / "python"

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
        self._stamp.write_text(self._made_from())

    def _made_from(self) -> str:
        requirements = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
        return f"Django {self._release.version}\nPython {sys.version}\n{requirements}\n"

    def _install(self) -> None:
        constraints = self._root / "constraints.txt"
        constraints.write_text("".join(pins_without_django()))
        django = f"Django=={self._release.version}"
        pip(self.python, "install", f"--constraint={constraints}", "hatchling", "editables", django)
        pip(
            self.python,
            "install",
            f"--constraint={constraints}",
            "--no-build-isolation",
            f"--editable={REPOSITORY}",
            django,
        )


def pins_without_django() -> Iterable[str]:
    """Return the lines of the pinned requirements but Django's."""
    with REQUIREMENTS.open() as lines:
        return [line for line in lines if not line.startswith("django==")]


def pip(python: Path, *arguments: str) -> None:
    """Run an interpreter's pip."""
    quiet = ["--quiet", "--disable-pip-version-check"]
    subprocess.run([python, "-m", "pip", *quiet, *arguments], check=True)


def tests_of(version: str) -> Path:
    """Return the directory of a Django version's tests, downloaded unless it is there.

    Raises:
        subprocess.CalledProcessError: pip fails; it has printed why.
    """
    name = f"django-{version}"
    sources = ENVIRONMENTS / "src"
    if not (sources / name).exists():
        sources.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=sources) as directory:
            options = ("--no-deps", "--no-binary=django", f"--dest={directory}")
            pip(Path(sys.executable), "download", *options, f"Django=={version}")
            # Named "Django" in the first releases of 5.2, and "django" since.
            (path,) = Path(directory).glob("*.tar.gz")
            with tarfile.open(path) as archive:
                archive.extractall(directory, filter="data")
            (unpacked,) = (each for each in Path(directory).iterdir() if each.is_dir())
            unpacked.rename(sources / name)
    return sources / name / "tests"


def run(release: Release) -> bool:
    """Run a release's tests in its environment and return whether they passed."""
    environment = Environment(release)
    try:
        environment.make()
        return run_suite(environment.python, release.version)
    except subprocess.CalledProcessError as error:
        print(f"Django {release.version}: no environment: {error}", file=sys.stderr)
        return False


def run_suite(python: Path, version: str) -> bool:
    """Run a version's tests by an interpreter that has it, and return whether they passed.

    Raises:
        subprocess.CalledProcessError: pip fails; it has printed why.
    """
    tests = tests_of(version)
    print(f"Django {version}, Python {sys.version.split()[0]}:", flush=True)
    return subprocess.run([python, SUITE, tests], check=False).returncode == 0


def main() -> int:
    """Run the releases that this interpreter supports and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--django",
        action="append",
        choices=[release.series for release in RELEASES],
        help="only this release (may be given several times)",
    )
    parser.add_argument(
        "--here",
        action="store_true",
        help="only with the Django that this interpreter has, in its own environment",
    )
    arguments = parser.parse_args()
    if arguments.here:
        return 0 if run_suite(Path(sys.executable), metadata.version("Django")) else 1
    wanted = arguments.django
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
