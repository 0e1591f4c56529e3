"""The life of a site, deploy by deploy, and what is asked of it wherever it is deployed to.

A module of tests has a class for each place, derived from `PlainSite`, `ManifestSite` or
`WhiteNoiseBucket`. All its tests ask one life, which the fixture ``life`` lives once for the class.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import brotli
import pytest
from django.core.cache import caches

from tests.servers.clouds import Cloud, RecordedCloud, StoredObject
from tests.summary import deleted

from .site import (
    DELETIONS,
    MANIFEST,
    UPLOADS,
    Deploy,
    MakeSite,
    Site,
    manifest_backend,
    published,
    remembered,
    scramble_cache,
    under_static,
    without,
)

Objects = dict[str, StoredObject]

PLAIN = {
    "archive.tar.gz": b"gzip",
    "css/a.css": b"a { color: red }",
    "css/b.css": b"b { color: red }",
    "data.bin": bytes(range(256)),
    "empty.txt": b"",
    "img/logo.svg": b"<svg/>",
    "js/app.js": b"let app;",
    "odd/\u00fc e\u0301+%2F~#.css": b"odd",
    # The location within a path, and at its beginning.
    "static/app.js": b"let it;",
    "vendor/static/app.js": b"let us;",
}
# Beside the location "static".
NEIGHBOURS = ("css/a.css", "other/static/css/a.css", "static-old/a.css", "staticx")
MANIFESTED = {
    "css/a.css": b"@import 'b.css';\na { background: url(../img/a.png) }\n",
    "css/b.css": b"b { background: url('../img/a.png') }\n",
    "img/a.png": b"\x89PNG",
    "js/app.js": b"let app;",
    "nfd/o\u0308.txt": b"NFD",
    "static/static.css": b"c { color: red }",
}
# The image and its hashed copy, both style sheets, and the manifest.
OBJECTS_OF_AN_IMAGE = 5
WHITENOISE = "whitenoise.storage.CompressedManifestStaticFilesStorage"
COMPRESSED = {
    "css/a.css": b"@import 'b.css';\n" + 20 * b"a { background: url('../img/a.png') }\n",
    "css/b.css": 20 * b"b { background: url('../img/a.png') }\n",
    "img/a.png": b"png",
    "js/app.js": 20 * b"let app;\n",
    # What does not become smaller has no variants.
    "robots.txt": b"x",
}
# The script, its hashed copy, two variants of both, and the manifest.
OBJECTS_OF_A_SCRIPT = 7


@dataclass
class Life:
    """What became of a site.

    Attributes:
        deploys: Its deploys, by what was done before or asked for.
        stored: The objects that were there, by the moment.
        notes: Whatever else was seen.
    """

    site: Site
    deploys: dict[str, Deploy] = field(default_factory=dict)
    stored: dict[str, Objects] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    def deploy(self, name: str, **options: Any) -> None:
        """Deploy, and remember how that went."""
        self.deploys[name] = self.site.deploy(**options)

    def look(self, moment: str) -> None:
        """Remember what there is."""
        self.stored[moment] = self.site.cloud.objects()

    def bodies(self, moment: str) -> dict[str, bytes]:
        """Return the contents at a moment, without the neighbours."""
        return {
            key: each.body for key, each in self.stored[moment].items() if key not in NEIGHBOURS
        }

    def paths(self, moment: str) -> dict[str, str]:
        """Return what the manifest named at a moment."""
        paths: dict[str, str] = json.loads(self.stored[moment][f"static/{MANIFEST}"].body)["paths"]
        return paths

    def keys(self, moment: str) -> set[str]:
        """Return the names under the location at a moment."""
        return {key.removeprefix("static/") for key in self.bodies(moment)}

    def files(self, moment: str) -> Objects:
        """Return the objects at a moment but for the manifest, whose order is not fixed."""
        return without(self.stored[moment], f"static/{MANIFEST}")

    def listings_elsewhere(self) -> list[str]:
        """Return the queries of listings of more than the location."""
        return [
            request.query
            for each in self.deploys.values()
            for request, kind in zip(each.requests, each.kinds, strict=True)
            if kind == "LIST" and "prefix=static%2F" not in request.query
        ]


def be_alone(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a directory, and with one for temporary files, that nothing else uses.

    Returns:
        The directory with both.
    """
    work, temporary = directory / "work", directory / "tmp"
    for path in (work, work / "static", temporary):
        path.mkdir()
    # Neither is ever to be sent: one lies where a location could lead to.
    (work / ".env").write_text("SECRET=1")
    (work / "static" / ".env").write_text("SECRET=1")
    monkeypatch.chdir(work)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    return directory


def check_cache_states(life: Life, **options: Any) -> None:
    """Deploy what is deployed, whatever the cache has."""
    life.deploy("unchanged, warm cache", **options)
    caches["default"].clear()
    life.deploy("unchanged, cold cache", **options)
    scramble_cache()
    life.deploy("unchanged, garbage in the cache", **options)
    down = {"CACHES": {"default": {"BACKEND": "tests.caches.BrokenCache"}}}
    life.deploy("unchanged, cache down", settings=down, **options)


UNCHANGED = tuple(
    f"unchanged, {state}"
    for state in ("warm cache", "cold cache", "garbage in the cache", "cache down")
)


def rehearse(life: Life, name: str) -> None:
    """Make a dry run, and note what it has changed."""
    before = life.site.cloud.objects(), remembered()
    life.deploy(f"{name}, dry", dry_run=True)
    life.notes[f"changed by dry run: {name}"] = (
        before[0] != life.site.cloud.objects() or before[1] != remembered()
    )


def live_plain(site: Site) -> Life:
    """Deploy a plain storage under a location, through all that may happen to it."""
    life, cloud, tree = Life(site), site.cloud, site.tree
    for key in NEIGHBOURS:
        cloud.put(key, b"foreign")

    rehearse(life, "first")
    life.deploy("first")
    life.look("first")
    check_cache_states(life)

    life.deploys["check"] = site.deploy(check=True)
    cloud.delete("static/css/a.css")
    cloud.put("static/css/b.css", b"x" * len(PLAIN["css/b.css"]), content_type="text/css")
    cloud.put("static/data.bin", b"of another size")
    cloud.delete("static/empty.txt")
    life.deploys["check of what differs"] = site.refused(check=True)
    life.deploy("touched by others")
    life.look("touched by others")

    tree.write("css/a.css", b"a { color: tan }")
    tree.write("new.css", b"new")
    tree.delete("img/logo.svg")
    rehearse(life, "changed")
    life.deploy("changed")
    life.look("changed")
    life.deploy("forced", force=True)

    cloud.put("static/old.css", b"old")
    cloud.put("static/old/old.css", b"old")
    life.deploys["cleared, dry"] = site.deploy(clear=True, dry_run=True, verbosity=2)
    life.deploys["cleared"] = site.deploy(clear=True, verbosity=2)
    life.look("cleared")
    life.deploy("after it was cleared")
    cloud.empty()
    life.deploy("emptied")
    life.look("emptied")
    site.close()
    return life


class PlainSite:
    """Questions to a plain storage under a location.

    Attributes:
        place: Which place, as of ``make_cloud``.
        defaults: What every deploy is called with, beside the location.
    """

    place: ClassVar[str]
    defaults: ClassVar[dict[str, Any]] = {}

    @classmethod
    def live(cls, make_site: MakeSite, cloud: Cloud) -> Life:
        """Live through it."""
        return live_plain(make_site(cloud, PLAIN, options=under_static(cloud), **cls.defaults))

    def test_the_first_deploy_stores_every_file_with_its_content(self, life: Life) -> None:
        assert life.deploys["first"].summary.startswith("10 static files copied")
        assert life.bodies("first") == {f"static/{name}": body for name, body in PLAIN.items()}

    def test_a_dry_run_says_what_the_real_run_does(self, life: Life) -> None:
        for name in ("first", "changed", "cleared"):
            assert life.deploys[f"{name}, dry"].summary == life.deploys[name].summary, name

    def test_a_dry_run_writes_nothing(self, life: Life) -> None:
        for name in ("first", "changed"):
            assert not life.notes[f"changed by dry run: {name}"], name

    def test_nothing_is_sent_that_is_there_whatever_the_cache_has(self, life: Life) -> None:
        summaries = {name: life.deploys[name].summary for name in UNCHANGED}
        wrong = {
            name: said
            for name, said in summaries.items()
            if not said.startswith("0 static files copied") or not said.endswith(", 10 unmodified.")
        }
        assert wrong == {}

    def test_a_check_fails_where_anything_differs(self, life: Life) -> None:
        assert "does not differ from the files: 10 objects" in life.deploys["check"].run.stdout
        error = life.deploys["check of what differs"].error
        assert "4 of 10 objects would be sent (2 missing, 2 changed)" in error

    def test_what_others_removed_or_replaced_is_sent_again(self, life: Life) -> None:
        assert life.bodies("touched by others") == life.bodies("first")
        assert life.stored["touched by others"] == life.stored["first"]
        assert ", 6 unmodified." in life.deploys["touched by others"].summary

    def test_what_changed_is_sent_and_what_is_gone_stays(self, life: Life) -> None:
        changes = {"static/css/a.css": b"a { color: tan }", "static/new.css": b"new"}
        assert life.bodies("changed") == {**life.bodies("first"), **changes}
        assert "2 static files copied" in life.deploys["changed"].summary

    def test_force_sends_every_file(self, life: Life) -> None:
        forced = life.deploys["forced"]
        assert forced.summary.startswith("10 static files copied")
        assert forced.uploads == (0 if self.place == "filesystem" else 10)

    def test_clear_leaves_what_was_found(self, life: Life) -> None:
        expected = without(life.bodies("changed"), "static/img/logo.svg")
        assert life.bodies("cleared") == expected

    def test_clear_counts_and_names_what_it_deletes(self, life: Life) -> None:
        cleared = life.deploys["cleared"]
        assert cleared.summary.startswith(f"{deleted(3)}10 static files copied")
        for verb, run in (
            ("Deleting", cleared),
            ("Pretending to delete", life.deploys["cleared, dry"]),
        ):
            lines = [line for line in run.run.stdout.splitlines() if line.startswith(f"{verb} ")]
            names = ("img/logo.svg", "old.css", "old/old.css")
            assert sorted(lines) == [f"{verb} '{name}'" for name in names]

    def test_what_is_beside_the_location_stays(self, life: Life) -> None:
        for moment in ("first", "changed", "cleared"):
            there = {key: each.body for key, each in life.stored[moment].items()}
            assert {key: there.get(key) for key in NEIGHBOURS} == dict.fromkeys(
                NEIGHBOURS, b"foreign"
            ), moment

    def test_an_emptied_place_is_filled_again(self, life: Life) -> None:
        assert life.bodies("emptied") == life.bodies("cleared")

    def test_nothing_is_left_on_this_machine(self, life: Life) -> None:
        assert _left(life) == []


def _left(life: Life) -> list[str]:
    """Return what lies in the working directory and among the temporary files."""
    root: Path = life.notes["alone"]
    found = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return sorted({*found} - {"work/.env", "work/static/.env"})


class PlainBucket(PlainSite):
    """Questions about requests, to a plain storage on a server."""

    def test_the_first_deploy_lists_once_and_sends_each_file_once(self, life: Life) -> None:
        first = life.deploys["first"]
        assert first.kinds[0] == "LIST"
        assert (first.counts["LIST"], first.uploads, len(first.kinds)) == (1, 10, 11)
        assert ", 11 requests," in first.run.stdout

    def test_one_listing_tells_that_nothing_changed(self, life: Life) -> None:
        names = (*UNCHANGED, "first, dry", "changed, dry", "check", "check of what differs")
        kinds = {name: life.deploys[name].kinds for name in (*names, "after it was cleared")}
        assert {name: each for name, each in kinds.items() if each != ["LIST"]} == {}

    def test_only_what_differs_is_sent(self, life: Life) -> None:
        for name, number in (("touched by others", 4), ("changed", 2)):
            run = life.deploys[name]
            assert (run.counts["LIST"], run.uploads, len(run.kinds)) == (1, number, number + 1), (
                name
            )

    def test_only_clear_deletes(self, life: Life) -> None:
        deleting = {name for name, each in life.deploys.items() if DELETIONS & {*each.kinds}}
        assert deleting == {"cleared"}

    def test_clear_deletes_in_one_batch_when_everything_is_sent(self, life: Life) -> None:
        kinds = life.deploys["cleared"].kinds
        assert kinds[0] == "LIST"
        assert {*kinds[1:-1]} <= UPLOADS
        assert len(kinds) == 12

    def test_nothing_beside_the_location_is_listed(self, life: Life) -> None:
        assert life.listings_elsewhere() == []


def live_with_manifest(site: Site) -> Life:
    """Deploy a manifest storage under a location, through all that may happen to it."""
    life, cloud, tree = Life(site), site.cloud, site.tree
    rehearse(life, "first")
    _watch_manifest(life)
    life.deploy("first")
    life.notes["url"] = published("img/a.png")
    life.look("first")
    check_cache_states(life)
    life.look("unchanged")
    life.deploys["check"] = site.deploy(check=True)

    hashed = life.paths("first")
    cloud.delete(f"static/{hashed['img/a.png']}")
    cloud.put("static/js/app.js", b"x" * len(MANIFESTED["js/app.js"]))
    life.deploy("touched by others")
    life.look("touched by others")

    tree.write("img/a.png", b"other")
    life.deploys["check of what differs"] = site.refused(check=True)
    rehearse(life, "changed")
    if isinstance(cloud, RecordedCloud):
        # In place it is as with Django's own command: a dry run forgets all names.
        life.notes["url after a dry run"] = published("img/a.png")
    life.deploy("changed")
    life.notes["url after a change"] = published("img/a.png")
    life.look("changed")
    life.deploy("forced", force=True)

    cloud.put("static/old.css", b"old")
    tree.delete("js/app.js")
    life.deploy("cleared", clear=True)
    life.look("cleared")
    life.deploy("after it was cleared")
    site.close()
    return life


def _watch_manifest(life: Life) -> None:
    """Note what is there when a manifest arrives."""
    cloud, found = life.site.cloud, list[set[str]]()
    life.notes["there before the manifest"] = found
    if isinstance(cloud, RecordedCloud):
        cloud.recorder.before(
            lambda request: (
                cloud.kind(request) in UPLOADS
                and MANIFEST in f"{request.path}{request.query}{request.subject}"
            ),
            lambda _: found.append({*cloud.keys()}),
        )


class ManifestSite:
    """Questions to a manifest storage under a location.

    Attributes:
        place: Which place, as of ``make_cloud``.
        defaults: What every deploy is called with, beside the storage.
    """

    place: ClassVar[str]
    defaults: ClassVar[dict[str, Any]] = {}

    @classmethod
    def live(cls, make_site: MakeSite, cloud: Cloud) -> Life:
        """Live through it."""
        options = under_static(cloud)
        backend = manifest_backend(cloud)
        return live_with_manifest(
            make_site(cloud, MANIFESTED, backend=backend, options=options, **cls.defaults)
        )

    def test_every_file_is_stored_twice_and_named(self, life: Life) -> None:
        paths, bodies = life.paths("first"), life.bodies("first")
        assert {*paths} == {*MANIFESTED}
        assert life.keys("first") == {*paths, *paths.values(), MANIFEST}
        assert {name: bodies[f"static/{name}"] for name in MANIFESTED} == MANIFESTED

    def test_references_lead_to_the_hashed_files(self, life: Life) -> None:
        for moment in ("first", "changed"):
            paths, bodies = life.paths(moment), life.bodies(moment)
            image = paths["img/a.png"].removeprefix("img/").encode()
            style = paths["css/b.css"].removeprefix("css/").encode()
            assert image in bodies[f"static/{paths['css/b.css']}"]
            assert style in bodies[f"static/{paths['css/a.css']}"]

    def test_this_process_knows_the_new_names(self, life: Life) -> None:
        assert life.paths("first")["img/a.png"] in life.notes["url"]
        assert life.paths("changed")["img/a.png"] in life.notes["url after a change"]

    def test_the_summary_is_djangos(self, life: Life) -> None:
        first = life.deploys["first"].summary
        assert first.startswith("6 static files copied")
        assert first.endswith(", 6 post-processed.")
        for name in UNCHANGED:
            said = life.deploys[name].summary
            assert (said.split()[0], "6 unmodified" in said) == ("0", True), name

    def test_a_dry_run_writes_nothing(self, life: Life) -> None:
        for name in ("first", "changed"):
            assert not life.notes[f"changed by dry run: {name}"], name

    def test_unchanged_files_stay_as_they_are_whatever_the_cache_has(self, life: Life) -> None:
        assert life.stored["unchanged"] == life.stored["first"]

    def test_what_others_removed_or_replaced_is_sent_again(self, life: Life) -> None:
        assert life.bodies("touched by others") == life.bodies("first")

    def test_a_change_goes_on_to_what_refers_to_it(self, life: Life) -> None:
        before, after = life.paths("first"), life.paths("changed")
        changed = {name for name in before if before[name] != after[name]}
        assert changed == {"css/a.css", "css/b.css", "img/a.png"}

    def test_pages_that_are_still_cached_find_their_files(self, life: Life) -> None:
        assert {*life.paths("first").values()} <= life.keys("changed")

    def test_clear_leaves_what_the_manifest_names(self, life: Life) -> None:
        paths = life.paths("cleared")
        assert {*paths} == {*MANIFESTED} - {"js/app.js"}
        assert life.keys("cleared") == {*paths, *paths.values(), MANIFEST}

    def test_nothing_is_left_on_this_machine(self, life: Life) -> None:
        assert _left(life) == []


class ManifestBucket(ManifestSite):
    """Questions about requests and order, to a staged storage on a server."""

    def test_the_manifest_is_sent_when_all_else_is_stored(self, life: Life) -> None:
        first, *_ = life.notes["there before the manifest"]
        assert first == {*life.stored["first"]} - {f"static/{MANIFEST}"}

    def test_a_manifest_that_stays_is_not_sent(self, life: Life) -> None:
        # The first, that of the change, the forced one and that of the cleared site.
        assert len(life.notes["there before the manifest"]) == 4

    def test_the_first_deploy_sends_each_object_once(self, life: Life) -> None:
        first = life.deploys["first"]
        assert (first.counts["LIST"], first.uploads) == (1, 13)
        assert first.writes <= UPLOADS

    def test_nothing_is_sent_that_is_there(self, life: Life) -> None:
        names = (*UNCHANGED, "first, dry", "changed, dry", "check", "check of what differs")
        for name in (*names, "after it was cleared"):
            assert not life.deploys[name].writes, name
            assert life.deploys[name].counts["LIST"] == 1, name

    def test_only_what_differs_is_sent(self, life: Life) -> None:
        for name, number in (("touched by others", 2), ("changed", OBJECTS_OF_AN_IMAGE)):
            assert life.deploys[name].uploads == number, name
            assert life.deploys[name].writes <= UPLOADS, name

    def test_a_dry_run_says_what_the_real_run_does(self, life: Life) -> None:
        for name in ("first", "changed"):
            assert life.deploys[f"{name}, dry"].summary == life.deploys[name].summary, name
        objects = f"{OBJECTS_OF_AN_IMAGE} objects"
        assert objects in life.deploys["changed, dry"].run.stdout
        assert objects in life.deploys["changed"].run.stdout

    def test_a_check_tells_whether_anything_differs(self, life: Life) -> None:
        assert "does not differ" in life.deploys["check"].run.stdout
        assert "5 of 13 objects would be sent" in life.deploys["check of what differs"].error

    def test_this_process_keeps_the_live_names_in_a_dry_run(self, life: Life) -> None:
        assert life.notes["url after a dry run"] == life.notes["url"]

    def test_force_sends_every_object(self, life: Life) -> None:
        assert life.deploys["forced"].uploads == 13

    def test_clear_deletes_in_one_batch_when_everything_is_sent(self, life: Life) -> None:
        kinds = [kind for kind in life.deploys["cleared"].kinds if kind in UPLOADS | DELETIONS]
        assert kinds[-1] in DELETIONS
        assert {*kinds[:-1]} <= UPLOADS

    def test_nothing_beside_the_location_is_listed(self, life: Life) -> None:
        assert life.listings_elsewhere() == []


def live_with_whitenoise(site: Site, directory: Site) -> Life:
    """Deploy what WhiteNoise makes, under a location and beside a directory of Django's own."""
    life, tree = Life(site), site.tree
    for keeps_originals in (False, True):
        settings = {"WHITENOISE_KEEP_ONLY_HASHED_FILES": not keeps_originals}
        directory.deploy(settings=settings, disable_collectfasta=True)
        name = "first" if keeps_originals else "only hashed"
        life.stored[f"directory, {name}"] = {
            f"static/{key}": each for key, each in directory.cloud.objects().items()
        }
        if keeps_originals:
            _watch_manifest(life)
        life.deploys[name] = site.deploy(settings=settings, verbosity=2 if keeps_originals else 1)
        if keeps_originals:
            life.notes["url"] = published("css/a.css")
        life.look(name)
        if not keeps_originals:
            life.deploy("only hashed, again", settings=settings)
            site.cloud.empty()
    life.deploy("unchanged, warm cache", verbosity=2)
    caches["default"].clear()
    life.deploy("unchanged, cold cache")

    tree.write("js/app.js", 30 * b"let it;\n")
    rehearse(life, "changed")
    life.notes["url after a dry run"] = published("js/app.js")
    life.deploy("changed")
    life.look("changed")
    life.deploys["without the setting"] = site.deploy(
        settings={"COLLECTFASTA_STAGING_STORAGE": None}, dry_run=True
    )
    life.notes["url without the setting"] = published("css/a.css")
    tree.delete("js/app.js")
    life.deploy("cleared", clear=True)
    life.look("cleared")
    site.close()
    return life


class WhiteNoiseBucket:
    """Questions to a storage that WhiteNoise's storage stages, under a location."""

    place: ClassVar[str]
    is_plain: ClassVar[bool] = False

    @classmethod
    def live(cls, make_site: MakeSite, cloud: Cloud) -> Life:
        """Live through it."""
        site = make_site(
            cloud,
            COMPRESSED,
            backend=None if cls.is_plain else manifest_backend(cloud),
            options=under_static(cloud),
            settings={"COLLECTFASTA_STAGING_STORAGE": WHITENOISE},
        )
        return live_with_whitenoise(site, make_site("filesystem", COMPRESSED, backend=WHITENOISE))

    def test_it_is_what_whitenoise_makes_in_a_directory(self, life: Life) -> None:
        for moment in ("first", "only hashed"):
            ours, directorys = life.files(moment), life.files(f"directory, {moment}")
            assert {k: v.body for k, v in ours.items()} == {
                k: v.body for k, v in directorys.items()
            }, moment
            assert life.paths(moment) == life.paths(f"directory, {moment}"), moment

    def test_originals_are_left_out_by_whitenoises_own_setting(self, life: Life) -> None:
        names = {moment: life.keys(moment) for moment in ("first", "only hashed")}
        assert {moment: "css/a.css" in each for moment, each in names.items()} == {
            "first": True,
            "only hashed": False,
        }
        variants = {m: sum(key.endswith(".br") for key in each) for m, each in names.items()}
        assert variants == {"first": 6, "only hashed": 3}

    def test_a_variant_has_the_type_of_its_original_and_its_own_encoding(self, life: Life) -> None:
        paths, stored = life.paths("first"), life.stored["first"]
        encodings = {".gz": ("gzip", gzip.decompress), ".br": ("br", brotli.decompress)}
        for name in [*paths, *paths.values()]:
            if not name.endswith((".css", ".js")):
                continue
            original = stored[f"static/{name}"]
            assert "content-encoding" not in original.headers
            for extension, (encoding, decompress) in encodings.items():
                variant = stored[f"static/{name}{extension}"]
                assert decompress(variant.body) == original.body
                assert variant.headers["content-type"] == original.headers["content-type"]
                assert variant.headers["content-encoding"] == encoding

    def test_the_manifest_is_sent_when_all_else_is_stored(self, life: Life) -> None:
        first, *_ = life.notes["there before the manifest"]
        assert first == {*life.stored["first"]} - {f"static/{MANIFEST}"}

    def test_the_summary_counts_the_files_that_were_found(self, life: Life) -> None:
        for name in ("first", "only hashed"):
            assert life.deploys[name].summary.startswith("5 static files copied"), name
        for name in ("unchanged, warm cache", "unchanged, cold cache", "only hashed, again"):
            said = life.deploys[name].summary
            assert (said.split()[0], "5 unmodified" in said) == ("0", True), name

    def test_one_listing_tells_that_nothing_changed(self, life: Life) -> None:
        for name in ("unchanged, warm cache", "unchanged, cold cache", "only hashed, again"):
            assert not life.deploys[name].writes, name
            assert life.deploys[name].counts["LIST"] == 1, name

    def test_a_changed_file_sends_its_variants_and_the_manifest(self, life: Life) -> None:
        assert life.deploys["changed"].uploads == OBJECTS_OF_A_SCRIPT

    def test_a_dry_run_writes_nothing_and_says_what_the_real_run_sends(self, life: Life) -> None:
        assert not life.notes["changed by dry run: changed"]
        dry, real = life.deploys["changed, dry"], life.deploys["changed"]
        assert dry.summary == real.summary
        assert dry.run.stdout.count("Pretending to copy") == OBJECTS_OF_A_SCRIPT
        for run in (dry, real):
            assert f"{OBJECTS_OF_A_SCRIPT} objects" in run.run.stdout

    def test_verbosity_2_names_each_object(self, life: Life) -> None:
        hashed = life.paths("first")["js/app.js"]
        sent = life.deploys["first"].run.stdout.splitlines()
        skipped = life.deploys["unchanged, warm cache"].run.stdout
        assert sum(line.startswith("Copying '") for line in sent) == len(life.keys("first"))
        assert f"Post-processed 'js/app.js' as '{hashed}'" in sent
        assert f"Post-processed '{hashed}' as '{hashed}.br'" in sent
        assert [
            key for key in life.keys("first") if f"Skipping '{key}' (not modified)" not in skipped
        ] == []

    def test_clear_deletes_the_variants_of_what_is_gone(self, life: Life) -> None:
        keys, paths = life.keys("cleared"), life.paths("cleared")
        assert [key for key in keys if "app" in key] == []
        assert {*paths.values()} < keys
        assert sum(key.endswith(".br") for key in keys) == 4

    def test_nothing_is_left_on_this_machine(self, life: Life) -> None:
        assert _left(life) == []


class WhiteNoiseManifestBucket(WhiteNoiseBucket):
    """Questions about names, to a manifest storage that WhiteNoise's storage stages."""

    def test_this_process_knows_the_new_names(self, life: Life) -> None:
        assert life.paths("first")["css/a.css"] in life.notes["url"]

    def test_this_process_keeps_the_live_names_in_a_dry_run(self, life: Life) -> None:
        assert life.paths("first")["js/app.js"] in life.notes["url after a dry run"]

    def test_a_process_without_the_setting_knows_the_names(self, life: Life) -> None:
        assert life.paths("changed")["css/a.css"] in life.notes["url without the setting"]
        assert "Pretending to copy" not in life.deploys["without the setting"].run.stdout
