"""The tools that are measured, each in an environment of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.environment import clean_environment
from benchmarks.scenarios import COLLECT

_HERE = Path(__file__).resolve().parent
_MANAGE = _HERE / "project" / "manage.py"
_ENVIRONMENTS = _HERE.parent / ".venv-benchmarks"
_VERSIONS = """
import importlib.metadata, json, platform
packages = {each.name: each.version for each in importlib.metadata.distributions()}
print(json.dumps({"Python": platform.python_version(), **packages}))
"""
_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "benchmarks",
    "AWS_SECRET_ACCESS_KEY": "benchmarks",
    "AWS_REGION": "us-east-1",
}


@dataclass(frozen=True)
class Deployment:
    """What is deployed and where.

    Attributes:
        tree: The directory with the static files.
        storage: ``plain`` or ``manifest``.
        endpoint: The URL of the S3 server.
        bucket: The bucket's name. The files go under ``static/``.
        cache: The directory of Django's cache.
        static_root: The directory of tools that collect to one.
        command: What Django is told to do.
    """

    tree: Path
    storage: str
    endpoint: str
    bucket: str
    cache: Path
    static_root: Path
    command: tuple[str, ...] = COLLECT


@dataclass(frozen=True)
class Tool:
    """A way to deploy static files.

    Attributes:
        name: What options, results and its environment are called.
        label: What tables and charts call it.
        packages: The packages whose versions are told.
        apps: What it has in ``INSTALLED_APPS``, beside Django's own.
        settings: Environment variables of the project's settings.
        strategies: ``COLLECTFASTA_STRATEGY`` by storage; by default it is not set.
        sync: Makes the command line that sends ``STATIC_ROOT``; None collects to S3.
        own_version: Makes the command line that tells its version, where the package's is not it.
        has_cache: It uses Django's cache.
        has_parts: Parts of its deploys are measured, too.
        most_files: The most files that it is measured with, unless it is asked for.
    """

    name: str
    label: str
    packages: Sequence[str]
    apps: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    strategies: Mapping[str, str] = field(default_factory=dict)
    sync: Callable[[Path, Deployment], list[str]] | None = None
    own_version: Callable[[Path], list[str]] | None = None
    has_cache: bool = False
    has_parts: bool = False
    most_files: int | None = None

    @property
    def is_local(self) -> bool:
        """Whether it collects to ``STATIC_ROOT`` and sends that."""
        return self.sync is not None

    @property
    def home(self) -> Path:
        """Its environment."""
        return _ENVIRONMENTS / self.name

    def commands(self, deployment: Deployment) -> list[list[str]]:
        """Return the command lines of a deploy, which run one after the other."""
        collect = [str(self.home / "bin" / "python"), str(_MANAGE), *deployment.command]
        return [collect, self.sync(self.home, deployment)] if self.sync else [collect]

    def environment(self, deployment: Deployment) -> dict[str, str]:
        """Return all environment variables of a deploy."""
        variables = {
            **clean_environment(),
            **_CREDENTIALS,
            "BENCHMARK_APPS": self.apps,
            "BENCHMARK_BUCKET": deployment.bucket,
            "BENCHMARK_CACHE": str(deployment.cache),
            "BENCHMARK_S3_ENDPOINT": deployment.endpoint,
            "BENCHMARK_STORAGE": deployment.storage,
            "BENCHMARK_TREE": str(deployment.tree),
            **self.settings,
        }
        if self.is_local:
            variables["BENCHMARK_STATIC_ROOT"] = str(deployment.static_root)
        if self.strategies:
            variables["BENCHMARK_STRATEGY"] = self.strategies[deployment.storage]
        return variables

    def versions(self) -> dict[str, str]:
        """Return the versions of Python and of the packages that it consists of."""
        python = self.home / "bin" / "python"
        told = subprocess.run(
            [str(python), "-c", _VERSIONS],
            env=clean_environment(),
            stdout=subprocess.PIPE,
            check=True,
        )
        installed = {name.lower(): number for name, number in json.loads(told.stdout).items()}
        versions = {name: installed[name.lower()] for name in ("Python", *self.packages)}
        if self.own_version:
            told = subprocess.run(self.own_version(self.home), stdout=subprocess.PIPE, check=True)
            versions[self.name] = told.stdout.decode().strip()
        return versions


def _aws(home: Path, deployment: Deployment) -> list[str]:
    target = f"s3://{deployment.bucket}/static/"
    command = [str(home / "bin" / "aws"), "--endpoint-url", deployment.endpoint]
    return [*command, "s3", "sync", "--only-show-errors", str(deployment.static_root), target]


def _s5cmd(home: Path, deployment: Deployment) -> list[str]:
    command = [_s5cmd_program(home), "--endpoint-url", deployment.endpoint, "--log", "error"]
    target = f"s3://{deployment.bucket}/static/"
    return [*command, "sync", f"{deployment.static_root}/", target]


def _s5cmd_version(home: Path) -> list[str]:
    return [_s5cmd_program(home), "version"]


def _s5cmd_program(home: Path) -> str:
    # The program itself: the wheel's script would start a Python that starts it.
    (program,) = home.glob("lib/python*/site-packages/s5cmd/bin/s5cmd")
    return str(program)


_TOOLS = (
    Tool(
        "django",
        "Django + django-storages",
        ("Django", "django-storages", "boto3"),
        most_files=300,
    ),
    Tool(
        "peer",
        "Collectfasta 3.3.5",
        ("collectfasta", "Django", "django-storages", "boto3"),
        apps="collectfasta",
        settings={"BENCHMARK_THREADS": "20"},
        strategies={
            "plain": "collectfasta.strategies.boto3.Boto3Strategy",
            "manifest": "collectfasta.strategies.boto3.Boto3ManifestMemoryStrategy",
        },
        has_cache=True,
        most_files=3_000,
    ),
    Tool("aws", "collectstatic + aws s3 sync", ("Django", "awscli"), sync=_aws),
    Tool(
        "s5cmd",
        "collectstatic + s5cmd sync",
        ("Django",),
        sync=_s5cmd,
        own_version=_s5cmd_version,
    ),
    Tool(
        "collectfasta",
        "Collectfasta 4",
        ("collectfasta", "Django", "django-storages", "boto3", "obstore"),
        apps="collectfasta",
        has_cache=True,
        has_parts=True,
    ),
)
TOOLS = {each.name: each for each in _TOOLS}
PEER, S5CMD, OURS = TOOLS["peer"], TOOLS["s5cmd"], TOOLS["collectfasta"]
