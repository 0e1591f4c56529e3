"""The manifest is the commit: it is written last, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage
from django.core.management import CommandError, call_command

from tests.memory import (
    FILES,
    MANIFEST,
    MemoryManifestStorage,
    MemoryStorage,
    Site,
    invalid,
    name_in_this_process,
    slow_down,
)
from tests.memory_store import Bucket

CHANGED = {"img/a.png": b"another", "js/new.js": b"let it;\n"}
# The image and the new file with their hashed copies, both style sheets, which refer to the image
# and to each other, and the manifest.
OBJECTS_OF_THE_CHANGE = 2 * 2 + 2 + 1


@pytest.fixture
def live(each_manifest: Site) -> Site:
    """A live site whose files have changed since."""
    each_manifest.deploy()
    for name, content in CHANGED.items():
        each_manifest.tree.write(name, content)
    each_manifest.forget()
    return each_manifest


# 2. The manifest is the commit.


def test_it_is_the_last_that_is_sent(each_manifest: Site) -> None:
    each_manifest.deploy()
    assert each_manifest.called("PUT")[-1] == MANIFEST
    assert each_manifest.called("PUT").count(MANIFEST) == 1


def test_it_is_sent_when_all_that_it_names_is_stored(live: Site) -> None:
    stored: list[set[str]] = []
    live.before("PUT", lambda _: stored.append(set(live.keys())), MANIFEST)

    live.deploy()

    assert len(stored) == 1
    assert set(live.paths.values()) <= stored[0]


def test_until_then_the_old_one_and_all_that_it_names_are_live(live: Site) -> None:
    """All names are hashed ones: no file that is live is written over."""
    before = live.live()
    seen: list[bool] = []
    live.before("PUT", lambda _: seen.append(live.live() == before))

    live.deploy()

    assert seen == [True] * OBJECTS_OF_THE_CHANGE


@pytest.mark.parametrize("error", [invalid, slow_down])
def test_it_is_not_sent_if_one_file_failed(live: Site, error: Any) -> None:
    before = live.live()
    live.refuse("PUT", "js/new.js", error)

    live.fail()

    assert MANIFEST not in live.called("PUT")
    assert live.live() == before


def test_a_refusal_of_everything_leaves_the_bucket_as_it_is(live: Site) -> None:
    before = live.state()
    live.refuse("PUT")

    live.fail()

    assert live.state() == before


def test_the_next_run_sends_what_failed_and_the_manifest_only(live: Site) -> None:
    live.refuse("PUT", "js/new.js", invalid)
    live.fail()
    live.recover()

    live.deploy()

    assert live.called("PUT") == ["js/new.js", MANIFEST]
    assert set(live.paths) == {*FILES, *CHANGED}
    assert live.bodies().items() >= live.expected().items()


class TestRefusedManifest:
    @pytest.fixture
    def refused(self, live: Site) -> Site:
        live.refuse("PUT", MANIFEST, invalid)
        return live

    def test_it_is_named_alone(self, refused: Site) -> None:
        first, only = refused.fail().splitlines()
        assert first == "1 file was not sent to memory://:"
        assert only.startswith(f"  '{MANIFEST}': ")

    def test_the_live_site_stays_as_it_is(self, refused: Site) -> None:
        before = refused.live()
        refused.fail()
        assert refused.live() == before

    def test_the_next_run_sends_nothing_else(self, refused: Site) -> None:
        refused.fail()
        refused.recover()

        refused.deploy()

        assert refused.called("PUT") == [MANIFEST]
        assert set(refused.paths) == {*FILES, *CHANGED}

    def test_nothing_is_deleted(self, refused: Site) -> None:
        refused.location = "static"
        refused.put("static/old.css")
        refused.refuse("PUT", f"static/{MANIFEST}", invalid)
        for option in ("clear", "prune"):
            refused.fail(**{option: True})
            assert refused.called("DELETE") == []


class TestMissingReference:
    @pytest.fixture
    def broken(self, live: Site) -> Site:
        live.tree.write("css/b.css", b"b { background: url('../img/none.png') }\n")
        return live

    def fail(self, site: Site, **options: Any) -> str:
        # Before 6.1, Django raises it as it is.
        with pytest.raises((CommandError, ValueError)) as caught:
            site.deploy(**options)
        return str(caught.value)

    def test_both_files_are_named(self, broken: Site) -> None:
        error = self.fail(broken)
        assert "img/none.png" in error
        assert "css/b.css" in error + broken.last.stdout + broken.last.stderr

    def test_nothing_is_sent(self, broken: Site) -> None:
        before = broken.state()
        self.fail(broken)
        assert broken.called("PUT") == broken.called("LIST") == []
        assert broken.state() == before

    def test_the_next_run_sends_what_has_changed(self, broken: Site) -> None:
        self.fail(broken)
        broken.tree.write("css/b.css", FILES["css/b.css"])
        broken.deploy()
        assert len(broken.called("PUT")) == OBJECTS_OF_THE_CHANGE

    def test_a_dry_run_says_the_same(self, broken: Site) -> None:
        assert self.fail(broken, dry_run=True) == self.fail(broken)


def test_a_source_that_vanishes_before_its_turn_is_named_and_nothing_published(live: Site) -> None:
    before = live.live()

    def vanish(_: object) -> None:
        with suppress(FileNotFoundError):
            live.tree.delete("js/new.js")

    live.before("PUT", vanish)

    assert "'js/new" in live.fail()
    assert live.live() == before


def test_changes_take_the_requests_that_they_need(live: Site) -> None:
    live.deploy()
    assert live.counts() == {"LIST": 1, "PUT": OBJECTS_OF_THE_CHANGE}


def test_it_is_in_the_order_of_its_names_whatever_finders_do(
    each_manifest: Site, tmp_path: Path
) -> None:
    more = tmp_path / "more"
    more.mkdir()
    for name in ("zzz.txt", "000.txt"):
        (more / name).write_text(name)
    folders = [str(each_manifest.tree.root), str(more)]
    each_manifest.deploy(settings={"STATICFILES_DIRS": folders})
    assert list(each_manifest.paths) == sorted(each_manifest.paths)
    each_manifest.forget()

    each_manifest.deploy(settings={"STATICFILES_DIRS": folders[::-1]})

    assert each_manifest.called("PUT") == []


def test_clear_keeps_what_the_manifest_names_and_deletes_what_older_ones_named(live: Site) -> None:
    live.location = "static"
    live.tree.write("img/a.png", b"png")
    live.deploy()
    old = set(live.paths.values())
    live.tree.write("img/a.png", b"another")

    live.deploy(clear=True)

    names = {*live.paths, *live.paths.values(), MANIFEST}
    assert {key for key in live.keys() if key.startswith("static/")} == {
        f"static/{name}" for name in names
    }
    assert old - names


# What this process's storage names.


FAULTS: dict[str, Callable[[Site], object]] = {
    "refused file": lambda site: site.refuse("PUT", "js/*", invalid),
    "refused manifest": lambda site: site.refuse("PUT", MANIFEST, invalid),
    "missing reference": lambda site: site.tree.write("css/b.css", b"b { x: url('none.png') }"),
    "refused listing": lambda site: site.refuse("LIST", error=invalid),
    "interrupt": lambda site: site.refuse("PUT", "js/*", KeyboardInterrupt),  # type: ignore[arg-type]
}


def deploy_again(site: Site, **options: Any) -> None:
    """Deploy with the same storage object."""
    call_command("collectstatic", interactive=False, verbosity=0, **options)


class TestThisProcess:
    @pytest.mark.parametrize("fault", FAULTS)
    def test_names_the_live_files_after_a_failure(
        self, live: Site, temporary: Path, fault: str
    ) -> None:
        live.deploy(dry_run=True)
        FAULTS[fault](live)

        with pytest.raises((CommandError, ValueError)) as caught:
            deploy_again(live)

        # The error keeps what was under way alive: all is looked at before that can end.
        assert list(temporary.iterdir()) == []
        assert {name: name_in_this_process(name) for name in FILES} == {
            name: hashed for name, hashed in live.paths.items() if name in FILES
        }
        live.recover()
        with staticfiles_storage.open("js/app.js") as content:
            assert content.read() == FILES["js/app.js"]
        assert live.called("GET") == ["js/app.js"]
        assert caught.value is not None

    def test_names_the_new_files_after_a_deploy(self, live: Site) -> None:
        live.deploy()
        assert {name: name_in_this_process(name) for name in live.paths} == live.paths

    def test_names_the_newer_files_after_another(self, live: Site) -> None:
        live.deploy()
        live.tree.write("js/app.js", b"newer")
        deploy_again(live)
        assert name_in_this_process("js/app.js") == live.paths["js/app.js"]

    def test_names_the_live_files_after_a_dry_run(self, live: Site) -> None:
        live.deploy(dry_run=True)
        storage: Any = staticfiles_storage
        before = dict(storage.hashed_files), storage.manifest_hash
        assert before[0] == live.paths

        deploy_again(live, dry_run=True)

        assert (storage.hashed_files, storage.manifest_hash) == before

    def test_names_the_new_files_though_deletions_fail(self, live: Site) -> None:
        live.location = "static"
        live.put("static/old.css")
        live.refuse("DELETE")

        live.fail(clear=True)

        assert name_in_this_process("js/new.js") == live.paths["js/new.js"]


class Failing(MemoryManifestStorage):
    """Fails within its own post-processing."""

    def post_process(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        yield from super().post_process(*args, **kwargs)
        raise ArithmeticError("of its own")


def test_an_error_of_the_storages_own_post_processing_ends_the_deploy(
    live: Site, temporary: Path
) -> None:
    before = live.state()

    with pytest.raises(ArithmeticError, match="of its own"):
        live.deploy(storage=Failing)

    assert live.state() == before
    assert list(temporary.iterdir()) == []


# A manifest that is kept in another storage.


class Dictionary(Storage):
    """A storage that Collectfasta does not know."""

    contents: ClassVar[dict[str, bytes]] = {}

    def _open(self, name: str, mode: str = "rb") -> Any:
        if name not in self.contents:
            raise FileNotFoundError(name)
        return ContentFile(self.contents[name])

    def _save(self, name: str, content: Any) -> str:
        self.contents[name] = content.read()
        return name

    def exists(self, name: str) -> bool:
        return name in self.contents

    def delete(self, name: str) -> None:
        del self.contents[name]


@pytest.fixture(params=["directory", "bucket", "dictionary"])
def elsewhere(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[Callable[[], Storage], Callable[[], bytes]]]:
    """Make the storage of the manifest, and read the manifest there."""
    path, bucket = tmp_path / "manifests" / MANIFEST, Bucket()
    found: dict[str, tuple[Callable[[], Storage], Callable[[], bytes]]] = {
        "directory": (lambda: FileSystemStorage(path.parent), path.read_bytes),
        "bucket": (
            lambda: MemoryStorage(bucket, "m"),
            lambda: bucket.objects[f"m/{MANIFEST}"].body,
        ),
        "dictionary": (Dictionary, lambda: Dictionary.contents[MANIFEST]),
    }
    yield found[request.param]
    Dictionary.contents.clear()


class TestElsewhere:
    def test_it_is_written_there_when_all_files_are_stored(
        self, each_manifest: Site, elsewhere: Any
    ) -> None:
        make, read = elsewhere

        each_manifest.deploy(options={"manifest_storage": make()})

        paths = json.loads(read())["paths"]
        assert set(paths) == set(FILES)
        assert set(each_manifest.keys()) == {*paths, *paths.values()}

    def test_it_is_replaced_by_the_next_one(self, each_manifest: Site, elsewhere: Any) -> None:
        make, read = elsewhere
        each_manifest.deploy(options={"manifest_storage": make()})
        before = json.loads(read())["paths"]
        each_manifest.tree.write("img/a.png", b"changed")

        each_manifest.deploy(options={"manifest_storage": make()})

        after = json.loads(read())["paths"]
        assert after["img/a.png"] != before["img/a.png"]
        assert set(after.values()) <= set(each_manifest.keys())

    def test_a_dry_run_leaves_it_alone(self, manifest: Site, elsewhere: Any) -> None:
        make, read = elsewhere
        manifest.deploy(options={"manifest_storage": make()})
        before = read()
        manifest.tree.write("img/a.png", b"changed")

        dry = manifest.deploy(options={"manifest_storage": make()}, dry_run=True)

        assert read() == before
        assert dry.returned == manifest.deploy(options={"manifest_storage": make()}).returned
        assert read() != before

    def test_it_is_not_touched_if_a_file_fails(self, manifest: Site, elsewhere: Any) -> None:
        make, read = elsewhere
        manifest.deploy(options={"manifest_storage": make()})
        before = read()
        manifest.tree.write("img/a.png", b"changed")
        manifest.refuse("PUT", "img/a.png", invalid)

        manifest.fail(options={"manifest_storage": make()})

        assert read() == before

    def test_an_unchanged_one_in_a_directory_is_not_written_again(
        self, manifest: Site, tmp_path: Path
    ) -> None:
        folder = tmp_path / "manifests"
        manifest.deploy(options={"manifest_storage": FileSystemStorage(folder)})
        before = (folder / MANIFEST).stat()
        manifest.forget()

        manifest.deploy(options={"manifest_storage": FileSystemStorage(folder)})

        assert (folder / MANIFEST).stat() == before
        assert manifest.counts() == {"LIST": 1}

    def test_it_is_named_if_it_is_refused(self, manifest: Site) -> None:
        other = Site(manifest.tree, manifest.command)
        other.refuse("PUT", error=invalid)

        message = manifest.fail(options={"manifest_storage": MemoryStorage(other.bucket)})

        first, only = message.splitlines()
        assert first == "1 file was not sent to MemoryStorage:"
        assert only.startswith(f"  '{MANIFEST}': ")
        assert other.keys() == []
        assert set(manifest.keys()) > set(FILES)

    def test_check_tells_whether_it_is_there(self, manifest: Site, tmp_path: Path) -> None:
        place = FileSystemStorage(tmp_path / "manifests")
        manifest.deploy(options={"manifest_storage": place})
        run = manifest.deploy(options={"manifest_storage": place}, check=True)
        assert run.stdout.endswith(": 9 objects compared.\n")
        place.delete(MANIFEST)

        message = manifest.fail(options={"manifest_storage": place}, check=True)

        assert message.endswith(": 1 of 9 objects would be sent (1 missing).")
        assert not place.exists(MANIFEST)
