"""Deploy a new Django project with the Collectfasta that is installed: ``python smoke.py TASK``.

This runs in an environment that has nothing but Collectfasta and what its extras bring, and in an
empty directory. The task is a JSON file with ``extras``, ``storages``, which is the setting of that
name, and what the deploy ``says``. Which file has which name is written to ``files.json``.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

# What each extra brings.
SDKS = {
    "s3": ("boto3", "botocore", "s3transfer", "obstore"),
    "google": ("google.cloud.storage", "google.auth", "google_crc32c"),
    "azure": ("azure.storage.blob", "azure.core"),
}
# Whose SDKs modules of the stores and strategies may need, by how the modules' names begin.
CLOUDS = {
    "strategies.azure": {"azure"},
    "strategies.boto3": {"s3"},
    "strategies.gcloud": {"google"},
    "stores.azure": {"azure"},
    "stores.gcloud": {"google"},
    "stores.s3.": {"s3"},
}
BACKENDS = {
    "s3": ("storages.backends.s3.S3StaticStorage", "boto3.Boto3Strategy"),
    "google": ("storages.backends.gcloud.GoogleCloudStorage", "gcloud.GoogleCloudStrategy"),
    "azure": ("storages.backends.azure_storage.AzureStorage", "azure.AzureBlobStrategy"),
}
# What is said where a storage's SDK is missing, and where the strategy's is.
BINDINGS = {
    "s3": "'boto3' is not installed",
    "google": "'google' is not installed",
    "azure": "'azure' is not installed",
}
MISSING = {
    "s3": "No module named 'boto3'",
    "google": "No module named 'google'",
    "azure": "No module named 'azure'",
}
SETTINGS = """
INSTALLED_APPS.insert(0, "collectfasta")
STATICFILES_DIRS = [BASE_DIR / "assets"]
STORAGES = {storages!r}
"""


def main() -> None:
    """Do all of it; an AssertionError tells what is not as it should be."""
    task = json.loads(Path(sys.argv[1]).read_text())
    extras = set(task["extras"])
    check_version()
    check_sdks(extras)
    check_modules(extras)
    make_project(task["storages"])
    check_commands()
    for extra in BACKENDS.keys() - extras:
        check_refusal(extra)
    deploy(task["says"])


def check_version() -> None:
    """See that what is installed is imported, in the version that the package says."""
    package = importlib.import_module("collectfasta")
    assert Path(package.__file__ or "").is_relative_to(sys.prefix), package.__file__
    installed = metadata.version("Collectfasta")
    assert package.__version__ == installed, (package.__version__, installed)


def check_sdks(extras: set[str]) -> None:
    """See that the extras' SDKs are there, and no others."""
    for extra, modules in SDKS.items():
        for module in modules:
            assert can_import(module) == (extra in extras), f"{module} with {sorted(extras)}"


def check_modules(extras: set[str]) -> None:
    """See that every module can be imported that needs no SDK of another extra."""
    import django
    from django.conf import settings

    settings.configure(INSTALLED_APPS=["collectfasta", "django.contrib.staticfiles"])
    django.setup()
    names = [each.name for each in pkgutil.walk_packages(*package_path())]
    assert len(names) > 40, names
    for name in names:
        clouds = clouds_of(name)
        assert can_import(name) or (clouds and not clouds & extras), f"{name} with {extras}"


def clouds_of(name: str) -> set[str]:
    """Return the extras of which a module may need one; none if it has to do without any."""
    module = name.removeprefix("collectfasta.")
    beginnings = [each for each in CLOUDS if module.startswith(each)]
    return CLOUDS[max(beginnings, key=len)] if beginnings else set()


def package_path() -> tuple[Iterable[str], str]:
    """Return where the package's modules are, and what their names begin with."""
    return importlib.import_module("collectfasta").__path__, "collectfasta."


def can_import(name: str) -> bool:
    """Tell whether a module can be imported; no error but that of a missing one may stop it."""
    from django.core.exceptions import ImproperlyConfigured

    try:
        importlib.import_module(name)
    except ImportError:
        return False
    except ImproperlyConfigured as error:
        # What django-storages makes of it.
        if not isinstance(error.__context__, ImportError):
            raise
        return False
    return True


def make_project(storages: dict[str, Any]) -> None:
    """Make a project as a new user does, and a file beside those of Django's admin."""
    subprocess.run([sys.executable, "-m", "django", "startproject", "site_", "."], check=True)
    with Path("site_", "settings.py").open("a") as settings:
        settings.write(SETTINGS.format(storages=storages))
    Path("assets", "site").mkdir(parents=True)
    Path("assets", "site", "main.css").write_text("body { color: green }\n")


def check_commands() -> None:
    """See that the project passes its checks, and that the command is ours."""
    assert "no issues" in manage("check").stdout
    assert "--disable-collectfasta" in manage("collectstatic", "--help").stdout


def check_refusal(extra: str) -> None:
    """See that a storage whose SDK is missing is refused, and what is missing named."""
    backend, strategy = BACKENDS[extra]
    strategy = f"collectfasta.strategies.{strategy}"
    cases = {
        "storage": (f'STORAGES["staticfiles"] = {{"BACKEND": {backend!r}}}', BINDINGS[extra]),
        "strategy": (f"COLLECTFASTA_STRATEGY = {strategy!r}", MISSING[extra]),
    }
    for name, (line, expected) in cases.items():
        text = Path("site_", "settings.py").read_text()
        Path("site_", f"{name}.py").write_text(f"{text}{line}\n")
        ended = manage("collectstatic", "--noinput", f"--settings=site_.{name}", succeeds=False)
        assert ended.returncode == 1, ended
        assert expected in ended.stderr, ended.stderr


def deploy(says: str) -> None:
    """Deploy twice: all is sent, then nothing."""
    files = static_files()
    Path("files.json").write_text(json.dumps(files))
    first = manage("collectstatic", "--noinput", "--verbosity=2").stdout
    assert f"{len(files)} static files copied" in first, first
    assert says in first, first
    second = manage("collectstatic", "--noinput").stdout
    assert "0 static files copied" in second, second
    assert f"{len(files)} unmodified" in second, second


def static_files() -> dict[str, str]:
    """Return the path of each file that is to be deployed, by its name."""
    import django.contrib.admin

    roots = (Path("assets"), Path(django.contrib.admin.__file__).with_name("static"))
    paths = [(root, path) for root in roots for path in root.rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): str(path.resolve()) for root, path in paths}


def manage(*words: str, succeeds: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the project's manage.py, and show what it says where it should not fail but does."""
    command = [sys.executable, "manage.py", *words]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not succeeds or ended.returncode == 0, ended.stdout + ended.stderr
    return ended


if __name__ == "__main__":
    main()
