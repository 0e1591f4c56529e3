"""Install what ``make dist`` has built, with each extra into an environment of its own, and deploy.

Each environment is made anew under ``.venv-packages``, from versions that test-requirements.txt
pins, and knows nothing of this checkout. In it `smoke.py` looks at what can be imported, and
deploys a new Django project: to a directory where no extra is installed, otherwise to a server of
that extra's kind, which runs with the tests' own environment. What has arrived is looked at from
here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENTS = REPOSITORY / ".venv-packages"
REQUIREMENTS = REPOSITORY / "test-requirements.txt"
SMOKE = Path(__file__).with_name("smoke.py")

# Run as a script, which finds modules beside itself only.
sys.path.insert(0, str(REPOSITORY))

from tests.servers.clouds import Cloud  # noqa: E402

Opening = Callable[[Path], AbstractContextManager[Cloud]]


@contextmanager
def directory(root: Path) -> Iterator[Cloud]:
    """Yield an empty directory."""
    from tests.servers.clouds.filesystem import FileSystemCloud

    with FileSystemCloud(root / "deployed") as cloud:
        yield cloud


@contextmanager
def s3(_: Path) -> Iterator[Cloud]:
    """Yield an empty bucket on an S3 server."""
    from tests.servers import s3 as servers
    from tests.servers.clouds.s3 import S3Cloud

    with servers.serve() as server, S3Cloud(server) as cloud:
        yield cloud


@contextmanager
def google(_: Path) -> Iterator[Cloud]:
    """Yield an empty bucket on a Google Cloud Storage server."""
    from tests.servers import gcs
    from tests.servers.clouds.google import GoogleCloud

    with gcs.serve() as server, GoogleCloud(server) as cloud:
        yield cloud


@contextmanager
def azure(_: Path) -> Iterator[Cloud]:
    """Yield an empty container on an Azure Blob server."""
    from tests.servers import azurite
    from tests.servers.clouds.azure import AzureCloud

    with azurite.serve() as server, AzureCloud(server) as cloud:
        yield cloud


@dataclass(frozen=True)
class Case:
    """What is installed, and where to it deploys.

    Attributes:
        name: The name of its environment.
        open: Makes the place to deploy to; its argument is a directory for what it keeps.
        kind: The suffix of what is installed.
        extras: The package's.
        options: More options of the storage.
        says: What the deploy says at verbosity 2.
    """

    name: str
    open: Opening
    kind: str = ".whl"
    extras: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    says: str = ""


CASES = (
    Case("plain", directory),
    Case("sdist", directory, kind=".tar.gz"),
    Case("s3", s3, extras=("s3",), says="obstore"),
    # An ACL is what obstore can't send.
    Case("s3-acl", s3, extras=("s3",), options={"default_acl": "private"}, says="boto3 (ACL)"),
    Case("google", google, extras=("google",)),
    Case("azure", azure, extras=("azure",)),
)


class PackageError(Exception):
    """A package is not as it should be."""


def main() -> int:
    """Check the packages, then run each case, and return the exit status."""
    failed = []
    try:
        check_wheel(built(".whl"))
        check_sdist(built(".tar.gz"))
    except PackageError as error:
        print(error, file=sys.stderr)
        return 1
    for case in CASES:
        print(f"{case.name}:", flush=True)
        try:
            run(case)
        except (PackageError, subprocess.CalledProcessError) as error:
            print(f"{case.name}: {error}", file=sys.stderr, flush=True)
            failed.append(case.name)
    print(f"{len(CASES) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


def built(suffix: str) -> Path:
    """Return the one package of a kind that ``make dist`` has left."""
    found = [path for path in (REPOSITORY / "dist").glob("*") if path.name.endswith(suffix)]
    if len(found) != 1:
        raise PackageError(f"There are {len(found)} *{suffix} in dist: run make dist.")
    return found[0]


def check_wheel(wheel: Path) -> None:
    """See that a wheel holds the package, all of it and its types, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = REPOSITORY / "collectfasta"
    paths = (path for path in package.rglob("*") if path.suffix in (".py", ".typed"))
    expected = {path.relative_to(REPOSITORY).as_posix() for path in paths}
    if names != expected:
        raise PackageError(
            f"{wheel.name} lacks {sorted(expected - names)} and should not have "
            f"{sorted(names - expected)}."
        )


def check_sdist(sdist: Path) -> None:
    """See that a source distribution holds what git does but the folders and files of a dot.

    Who makes a package for a distribution of Linux, say, builds it from that, and runs the tests:
    they need all of it.
    """
    if not (REPOSITORY / ".git").exists():
        return
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, stdout=subprocess.PIPE, check=True
    )
    expected = {name for name in listed.stdout.decode().split("\0") if not name.startswith(".")}
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    lacking = expected - names - {""}
    if lacking:
        raise PackageError(f"{sdist.name} lacks {sorted(lacking)}.")


def run(case: Case) -> None:
    """Install a case's package, deploy with it, and see what has arrived.

    Raises:
        PackageError: Other objects have arrived than the files that are there to be deployed.
        subprocess.CalledProcessError: pip fails, or `smoke.py`; they have printed why.
    """
    python = install(case)
    with tempfile.TemporaryDirectory() as name, case.open(Path(name)) as cloud:
        files = smoke(case, python, cloud, Path(name))
        stored = {key: each.body for key, each in cloud.objects().items()}
        if stored != {name: Path(path).read_bytes() for name, path in files.items()}:
            raise PackageError(
                f"{len(stored)} objects have arrived, of which {len(stored.keys() - files.keys())} "
                f"are of no file, of {len(files)} files; or their contents differ."
            )
        print(f"{len(files)} files deployed.", flush=True)


def install(case: Case) -> Path:
    """Make an environment with a case's package, and return its interpreter."""
    root = ENVIRONMENTS / case.name
    venv.create(root, clear=True, with_pip=True)
    python = root / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    extras = f"[{','.join(case.extras)}]" if case.extras else ""
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    package = f"{built(case.kind)}{extras}"
    subprocess.run([*pip, f"--constraint={REQUIREMENTS}", package], check=True)
    return python


def smoke(case: Case, python: Path, cloud: Cloud, root: Path) -> dict[str, str]:
    """Run `smoke.py` in a case's environment, and return the path of each file it deployed."""
    task = {
        "extras": case.extras,
        "storages": plain(cloud.storages(**case.options)),
        "says": case.says,
    }
    environment = {**os.environ, **cloud.environment}
    # They would show this checkout to it.
    for name in ("PYTHONPATH", "DJANGO_SETTINGS_MODULE"):
        environment.pop(name, None)
    (root / "task.json").write_text(json.dumps(task))
    subprocess.run([python, SMOKE, "task.json"], cwd=root, env=environment, check=True)
    files: dict[str, str] = json.loads((root / "files.json").read_text())
    return files


def plain(storages: Any) -> Any:
    """Return the setting without objects: an emulator's credentials are none, the default."""
    storages["staticfiles"]["OPTIONS"].pop("credentials", None)
    return storages


if __name__ == "__main__":
    sys.exit(main())
