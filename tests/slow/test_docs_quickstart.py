"""docs/quickstart.md, followed to the letter: each command and each setting on it, in its order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import boto3
import django.contrib.admin
import pytest
from azure.storage.blob import BlobServiceClient
from botocore.config import Config
from google.cloud.storage import Client

from tests import command_lines
from tests.markdown import ROOT, Block, blocks, read
from tests.servers.azurite import AzureServer
from tests.servers.gcs import GoogleServer
from tests.servers.s3 import S3Server

PAGE = read("quickstart.md")
SETTINGS = "mysite/settings.py"
DEPLOY = "python manage.py collectstatic --noinput"
ADMIN = Path(django.contrib.admin.__file__).parent / "static"
MARK = "\0"
_IS_LIVE = "The page makes a bucket that everybody can read."


def sections(*names: str) -> list[Block]:
    """Return the blocks under these headings, in the order of the page."""
    return [each for each in blocks(PAGE) if each.section in names]


def commands(block: Block) -> list[str]:
    """Return what a user types."""
    return [line[2:] for line in block.text.splitlines() if line.startswith("$ ")]


def script(steps: list[Block]) -> str:
    """Return what a user does: types commands, changes the settings, saves the policy."""
    lines = ["set -e"]
    for step in steps:
        if step.language == "console":
            for command in commands(step):
                lines += ["printf '\\0'" if command == DEPLOY else "", command]
        else:
            path = {"python": SETTINGS, "json": "policy.json"}[step.language]
            lines += [f"cat >>{path} <<'END_OF_BLOCK'", step.text, "END_OF_BLOCK"]
    return "\n".join(lines)


@dataclass(frozen=True)
class Followed:
    """What came of following the page.

    Attributes:
        project: Where it was followed.
        outputs: What each deploy printed.
        environment: The environment variables at its end.
        keys: Lists the keys that are in the bucket.
    """

    project: Path
    outputs: list[str]
    environment: Mapping[str, str]
    keys: Callable[[], list[str]]

    @property
    def settings(self) -> Path:
        """The project's settings file."""
        return self.project / SETTINGS

    def run(self, *arguments: str) -> str:
        """Run the project's manage.py, and return what it prints."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.project,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout


def follow(
    section: str,
    root: Path,
    changes: Mapping[str, str],
    environment: Mapping[str, str],
    keys: Callable[[], list[str]],
) -> Followed:
    """Follow the page for one cloud.

    Args:
        section: The cloud's.
        root: An empty directory.
        changes: What stands in the place of the page's host, credentials and bucket.
        environment: More environment variables.
        keys: Lists the keys that are in the bucket.
    """
    text = script(sections("Quickstart", section, "Deploy"))
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    tools = root / "bin"
    command_lines.write(tools)
    paths = [str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "PATH": os.pathsep.join(paths),
        "PYTHONPATH": str(ROOT),
        **environment,
    }
    variables.pop("DJANGO_SETTINGS_MODULE", None)
    ended = subprocess.run(
        ["bash", "-c", f"{text}\nprintf '\\0'; env --null"],
        cwd=root,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    _, *outputs = ended.stdout.split(MARK)
    outputs, last = outputs[: len(shown("Deploy"))], outputs[len(shown("Deploy")) :]
    pairs = (pair.split("=", 1) for pair in last if pair)
    return Followed(root / "mysite", outputs, dict(pairs), keys)


def shown(section: str) -> list[str]:
    """Return what the page says that each deploy prints."""
    texts = [each.text for each in sections(section) if DEPLOY in each.text]
    return [text.partition("\n")[2] for text in texts]


def likened(output: str) -> str:
    """Return an output without what differs from cloud to cloud and from run to run."""
    output = re.sub(r"(?m)^(S3|Google Cloud Storage|Azure): ", "SERVICE: ", output.strip())
    output = re.sub(r" \S+://\S*?/(static/)?,", " TARGET,", output)
    output = re.sub(r"[\d.]+\s(bytes|KB|MB|s)\b", r"N \1", output.replace("\xa0", " "))
    return re.sub(r"[1-9]\d*\b", "N", output)


@pytest.fixture(scope="module")
def on_s3(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    if s3_server.is_live:
        pytest.skip(_IS_LIVE)
    s3: Any = boto3.resource(
        "s3",
        endpoint_url=s3_server.endpoint,
        region_name=s3_server.region,
        aws_access_key_id=s3_server.access_key,
        aws_secret_access_key=s3_server.secret_key,
        config=Config(s3={"addressing_style": "path"}),
    )
    bucket = s3.Bucket(f"quickstart-{uuid.uuid4().hex}")
    yield follow(
        "Amazon S3",
        tmp_path_factory.mktemp("s3"),
        {
            "https://my-bucket.s3.amazonaws.com/": f"{s3_server.endpoint}/{bucket.name}/",
            "my-bucket": bucket.name,
            '"region_name"': f'"endpoint_url": "{s3_server.endpoint}", "region_name"',
            "your-access-key-id": s3_server.access_key,
            "your-secret-access-key": s3_server.secret_key,
        },
        {command_lines.SERVER: s3_server.endpoint},
        lambda: [each.key for each in bucket.objects.all()],
    )
    bucket.objects.delete()
    bucket.delete()


@pytest.fixture(scope="module")
def on_azure(azurite: AzureServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    service = BlobServiceClient.from_connection_string(azurite.connection_string)
    if service.url.startswith("https:"):
        pytest.skip(_IS_LIVE)
    container = service.get_container_client(f"quickstart-{uuid.uuid4().hex}")
    yield follow(
        "Azure Blob Storage",
        tmp_path_factory.mktemp("azure"),
        {
            "https://myaccount.blob.core.windows.net/": f"{service.url}",
            "my-container": container.container_name,
        },
        {command_lines.SERVER: azurite.connection_string},
        lambda: list(container.list_blob_names()),
    )
    container.delete_container()
    service.close()


@pytest.fixture(scope="module")
def on_google(
    gcs_emulator: GoogleServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Followed]:
    if gcs_emulator.is_live:
        pytest.skip(_IS_LIVE)
    endpoint = gcs_emulator.endpoint
    client = Client(
        project=gcs_emulator.project,
        credentials=gcs_emulator.credentials,
        client_options={"api_endpoint": endpoint},
    )
    bucket = client.bucket(f"quickstart-{uuid.uuid4().hex}")
    yield follow(
        "Google Cloud Storage",
        tmp_path_factory.mktemp("google"),
        {"https://storage.googleapis.com/": f"{endpoint}/", "my-bucket": bucket.name},
        {
            command_lines.SERVER: endpoint,
            "STORAGE_EMULATOR_HOST": endpoint,
            "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA": "true",
        },
        lambda: [blob.name for blob in bucket.list_blobs()],
    )
    bucket.delete(force=True)
    client.close()


_ON_S3 = [pytest.mark.s3, pytest.mark.needs_s3("public access blocks")]


@pytest.fixture(params=[pytest.param("on_s3", marks=_ON_S3), "on_azure", "on_google"])
def followed(request: pytest.FixtureRequest) -> Followed:
    """What came of following the page on each of the three in turn."""
    fixture: Followed = request.getfixturevalue(request.param)
    return fixture


def test_all_static_files_are_in_the_bucket(followed: Followed) -> None:
    files = [path.relative_to(ADMIN) for path in ADMIN.rglob("*") if path.is_file()]
    names = [key.removeprefix("static/") for key in followed.keys()]
    assert sorted(names) == sorted(path.as_posix() for path in files)


def test_deploys_print_what_the_page_shows(followed: Followed) -> None:
    assert list(map(likened, followed.outputs)) == list(map(likened, shown("Deploy")))


def test_everybody_can_read_a_file_where_the_site_says_that_it_is(followed: Followed) -> None:
    name = "admin/css/base.css"
    assert f"`{name}`" in PAGE
    code = f"from django.templatetags.static import static; print(static('{name}'))"
    url = followed.run("shell", "--no-imports", "--command", code).strip()
    with urlopen(url) as answer:
        assert answer.read() == (ADMIN / name).read_bytes()


def test_the_url_in_the_settings_leads_to_the_files(followed: Followed) -> None:
    [url] = re.findall(r'^STATIC_URL = "(.+)"$', followed.settings.read_text(), re.MULTILINE)
    with urlopen(f"{url}admin/css/base.css") as answer:
        assert answer.status == 200


@pytest.mark.needs_s3("public access blocks")
def test_the_manifest_storage_that_it_names_is_all_that_is_to_be_changed(
    on_s3: Followed,
) -> None:
    [name] = re.findall(r"`(storages\.\S+Manifest\S+)`", PAGE)
    text = re.sub(r'"storages\.backends\.s3\.\w+"', f'"{name}"', on_s3.settings.read_text())
    on_s3.settings.write_text(text)
    on_s3.run("collectstatic", "--noinput")
    assert "static/staticfiles.json" in on_s3.keys()


def test_it_adds_one_app_to_those_of_a_new_project(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "django", "startproject", "mysite", str(tmp_path)], check=True
    )
    new: dict[str, Any] = {"__file__": str(tmp_path / SETTINGS)}
    exec((tmp_path / SETTINGS).read_text(), new)
    told: dict[str, Any] = {}
    [block] = [each for each in sections("Quickstart") if each.language == "python"]
    exec(block.text, told)
    assert told["INSTALLED_APPS"] == ["collectfasta", *new["INSTALLED_APPS"]]


def test_every_block_is_followed() -> None:
    clouds = ("Amazon S3", "Azure Blob Storage", "Google Cloud Storage")
    assert sections("Quickstart", *clouds, "Deploy") == list(blocks(PAGE))
