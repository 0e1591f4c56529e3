"""What the command says where Django, or an SDK, would say something else."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command, get_commands, load_command_class

from collectfasta.stores.azure import AzureStore
from collectfasta.stores.filesystem import FileSystemStore
from collectfasta.stores.gcloud import GoogleStore
from collectfasta.stores.s3.store import S3Store
from collectfasta.strategies.filesystem import CachingFileSystemStrategy, FileSystemStrategy
from tests.memory import MANIFEST, MemoryManifestStorage, Site, denied


class TestUnmade:
    """A storage that can't be made."""

    @pytest.mark.parametrize(
        "content", [b"{ half of", b"[]", b"null", b'{"version": "9"}', b"\xff\xfe", b"[" * 100_000]
    )
    def test_a_damaged_manifest_is_to_be_deleted(self, each_manifest: Site, content: bytes) -> None:
        each_manifest.put(MANIFEST, content)
        message = each_manifest.fail()
        assert "The manifest of an earlier deploy is damaged: delete it" in message
        assert each_manifest.called("PUT") == []

    @pytest.mark.parametrize("error", [denied, ValueError, AttributeError, TimeoutError])
    def test_one_that_was_not_read_is_not(self, each_manifest: Site, error: Any) -> None:
        each_manifest.refuse("GET", error=error)
        message = each_manifest.fail()
        assert message.startswith("The storage of the static files can't be made: ")
        assert "manifest" not in message

    def test_a_storage_without_a_manifest_has_none_to_be_deleted(self, site: Site) -> None:
        message = site.fail(options={"unknown": 1})
        assert message.startswith("The storage of the static files can't be made: TypeError")
        assert "manifest" not in message


class ReadInItsOwnWay(MemoryManifestStorage):
    def read_manifest(self) -> str:
        raise ConnectionError("reset")


def test_a_manifest_that_a_class_can_not_reach_is_not_to_be_deleted(manifest: Site) -> None:
    with pytest.raises(CommandError) as caught:
        manifest.deploy(storage=ReadInItsOwnWay)
    assert "ConnectionError: reset" in str(caught.value)


class TestNobodyAnswers:
    @pytest.mark.parametrize("stdin", [io.StringIO(""), None], ids=["at its end", "closed"])
    @pytest.mark.parametrize("options", [{}, {"clear": True}, {"dry_run": True}])
    def test_the_option_that_asks_nothing_is_named(
        self,
        each_site: Site,
        monkeypatch: pytest.MonkeyPatch,
        stdin: io.StringIO | None,
        options: dict[str, Any],
    ) -> None:
        monkeypatch.setattr(sys, "stdin", stdin)
        message = each_site.fail(interactive=True, **options)
        assert message == "Nobody can answer whether to go on: add --noinput."
        assert each_site.keys() == []

    def test_a_check_asks_nothing(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(""))
        message = site.fail("--check", interactive=True)
        assert "would be sent" in message

    def test_an_error_of_the_same_type_is_not_taken_for_it(self, site: Site) -> None:
        site.refuse("PUT", error=EOFError)
        message = site.fail()
        assert "--noinput" not in message


def test_the_help_of_clear_says_what_it_does_here() -> None:
    command = load_command_class(get_commands()["collectstatic"], "collectstatic")
    parser = command.create_parser("manage.py", "collectstatic")
    told = " ".join(parser.format_help().split())
    assert "-c, --clear Send every file, then delete" in told
    assert "before trying to copy" not in told
    assert parser.parse_args(["-c"]).clear is parser.parse_args(["--clear"]).clear is True
    assert parser.parse_args([]).clear is False


@pytest.mark.parametrize(
    "storages", [None, 5, "text", [], ({},), {"staticfiles": None}, {"staticfiles": {"BACKEND": 1}}]
)
@pytest.mark.parametrize("skip_checks", [True, False])
def test_storages_of_any_shape_are_a_line_and_not_a_traceback(
    storages: Any, skip_checks: bool
) -> None:
    # Not announced: Django's own handlers could not take them.
    with (
        patch.object(settings, "STORAGES", storages),
        pytest.raises(CommandError, match=r"must be of type (dict|str), found"),
    ):
        call_command("collectstatic", interactive=False, skip_checks=skip_checks)


class OwnStrategy(CachingFileSystemStrategy):
    pass


@pytest.mark.parametrize(
    ("strategy", "service"),
    [
        (FileSystemStrategy, "File system"),
        (CachingFileSystemStrategy, "File system"),
        (OwnStrategy, "OwnStrategy"),
    ],
)
def test_the_line_of_facts_begins_with_the_service(
    site: Site, tmp_path: Path, strategy: type, service: str
) -> None:
    storage = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": tmp_path / "root"},
    }
    for option in ("--dry-run", "--clear", "--prune"):
        run = site.deploy(
            option, strategy=strategy, settings={"STORAGES": {"staticfiles": storage}}
        )
        assert run.stdout.splitlines()[-1].startswith(f"{service}: ")


def test_each_service_has_its_own_name() -> None:
    stores = (AzureStore, FileSystemStore, GoogleStore, S3Store)
    assert [store.service for store in stores] == [
        "Azure",
        "File system",
        "Google Cloud Storage",
        "S3",
    ]
