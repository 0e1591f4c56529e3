"""What docs/troubleshooting.md quotes of Django, django-storages and the SDKs is what they say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.loop import for_each
from tests.unit.test_docs_messages import ITEMS, OTHERS

RUN = """
import json, sys
from django.conf import settings
from django.core.management import execute_from_command_line

given = json.load(sys.stdin)

class Absent:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == given["absent"]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent)
settings.configure(**given["settings"])
execute_from_command_line(["manage.py", *given["arguments"]])
"""
S3 = "storages.backends.s3.S3Storage"
GOOGLE = "storages.backends.gcloud.GoogleCloudStorage"
AZURE = "storages.backends.azure_storage.AzureStorage"
MANIFEST = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
# Collectfasta says it in other words.
UNCHECKED = ["--skip-checks", "--disable-collectfasta"]
DISABLED = ["--disable-collectfasta"]

# How each is brought about.
CASES: dict[str, dict[str, Any]] = {
    "Could not load Boto3's S3 bindings. No module named 'boto3'": {
        "backend": S3,
        "absent": "boto3",
        "arguments": UNCHECKED,
    },
    "Could not load Google Cloud Storage bindings.": {
        "backend": GOOGLE,
        "absent": "google",
        "arguments": UNCHECKED,
    },
    "Could not find backend 'storages.backends.azure_storage.AzureStorage': "
    "No module named 'azure'": {"backend": AZURE, "absent": "azure", "arguments": UNCHECKED},
    "unrecognized arguments: --disable-collectfasta": {
        "arguments": DISABLED,
        "settings": {"INSTALLED_APPS": ["django.contrib.staticfiles"]},
    },
    "No installed app with label 'staticfiles'.": {
        "settings": {"INSTALLED_APPS": ["collectfasta"]},
        "arguments": ["--skip-checks"],
    },
    "You're using the staticfiles app without having set the STATIC_ROOT setting to a filesystem "
    "path.": {"settings": {"STATIC_ROOT": None}},
    "Invalid setting '…' for S3Storage": {"backend": S3, "options": {"bucket": "b"}},
    "S3Storage.location cannot begin with a leading slash. Found '…'. Use '…' instead.": {
        "backend": S3,
        "options": {"location": "/static"},
    },
    "Unable to locate credentials": {
        "backend": S3,
        "options": {"bucket_name": "b", "endpoint_url": "http://127.0.0.1:1"},
        "arguments": DISABLED,
    },
    "Your default credentials were not found.": {
        "backend": GOOGLE,
        "options": {"bucket_name": "b"},
        "arguments": DISABLED,
    },
    "Please specify a container name.": {
        "backend": AZURE,
        "options": {"account_name": "a"},
        "arguments": DISABLED,
    },
    "Missing staticfiles manifest entry for '…'": {
        "backend": MANIFEST,
        "command": "shell",
        "arguments": [
            "--command",
            "from django.templatetags.static import static; static('absent.css')",
        ],
    },
    "The file '…' could not be found with …": {"backend": MANIFEST},
    "Post-processing '…' failed!": {"backend": MANIFEST},
}


def output_of(
    directory: Path,
    *,
    backend: str = "django.contrib.staticfiles.storage.StaticFilesStorage",
    options: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    command: str = "collectstatic",
    arguments: list[str] | None = None,
    absent: str = "",
) -> str:
    """Run a command of a project in a process of its own, and return all that it says."""
    (directory / "assets").mkdir(exist_ok=True)
    (directory / "assets" / "a.css").write_text("a { background: url(absent.png) }")
    default = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    given = {
        "absent": absent,
        "arguments": [command, *(["--noinput"] if command == "collectstatic" else ())]
        + (arguments or []),
        "settings": {
            "INSTALLED_APPS": ["collectfasta", "django.contrib.staticfiles"],
            "STATIC_URL": "/static/",
            "STATIC_ROOT": str(directory / "root"),
            "STATICFILES_DIRS": [str(directory / "assets")],
            "STORAGES": {
                "default": default,
                "staticfiles": {"BACKEND": backend, "OPTIONS": options or {}},
            },
            **(settings or {}),
        },
    }
    # No credentials, and nobody to ask for any.
    environment = {
        "AWS_CONFIG_FILE": str(directory / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": str(directory / "none"),
        "CLOUDSDK_CONFIG": str(directory / "none"),
        "NO_GCE_CHECK": "true",
    }
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "AZURE_", "DJANGO_", "GOOGLE_"))
    }
    process = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps(given),
        cwd=Path(__file__).parents[2],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert process.returncode, process.stdout
    return " ".join((process.stdout + process.stderr).split())


def test_every_one_of_them_is_brought_about_here() -> None:
    assert [*CASES] == [entry for item in ITEMS if item.section == OTHERS for entry in item.entries]


@for_each("message", CASES)
def test_it_is_what_they_say(message: str, tmp_path: Path) -> None:
    pattern = ".+?".join(map(re.escape, message.split("…")))

    assert re.search(pattern, output_of(tmp_path, **CASES[message]))


@for_each("arguments", [[], ["--traceback"]])
def test_wrong_settings_are_told_in_a_line(arguments: list[str], tmp_path: Path) -> None:
    said = output_of(tmp_path, settings={"STATIC_ROOT": None}, arguments=arguments)

    assert ("Traceback" in said) == bool(arguments)
    assert ("CommandError: You're using the staticfiles app" in said) != bool(arguments)
