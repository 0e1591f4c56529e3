"""The settings on the pages about storages: each is executed, and its bucket looked at."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import CollectStatic, StaticTree
from tests.loop import for_each
from tests.pages import PageProject, Place, Section, examples, sections
from tests.project import MANIFEST, Ended
from tests.servers.clouds import Cloud, StoredObject
from tests.servers.clouds.s3 import S3Cloud

FILES = {
    "css/site.css": b"body { background: url(../img/dot.png) }\n" * 40,
    "img/dot.png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "js/app.js": b"console.log('collected');\n" * 40,
    "robots.txt": b"User-agent: *\n",
}
# By its engine that is the default; "s3_obstore" tells the S3 suite that it is one of its tests.
CLOUDS = {
    "s3": "s3_obstore",
    "s3-compatible": "s3_obstore",
    "google": "gcs",
    "azure": "azure",
    "filesystem": "filesystem",
}
CACHE_CONTROL = re.compile(r'"(?:CacheControl|cache_control)": "(.*?)"')


@dataclass(frozen=True)
class Deployed:
    """What an example has deployed."""

    example: Section
    project: PageProject
    cloud: Cloud
    ended: Ended
    location: str

    @property
    def names(self) -> list[str]:
        return [key.removeprefix(self.location) for key in self.cloud.keys()]

    def get(self, name: str) -> StoredObject:
        return self.cloud.get(self.location + name)

    def says(self, *texts: str) -> bool:
        return any(text in code for code in self.example.files.values() for text in texts)


def _s3(request: pytest.FixtureRequest, root: Path) -> tuple[Cloud, Place]:
    server = request.getfixturevalue("s3_server")
    cloud = S3Cloud(server)
    options = cloud.options()
    if not server.is_live:
        # Requests are signed for the region that the page says.
        del options["region_name"]
    variables = {
        "AWS_ACCESS_KEY_ID": options.pop("access_key"),
        "AWS_SECRET_ACCESS_KEY": options.pop("secret_key"),
        "AWS_SESSION_TOKEN": options.pop("security_token", None),
    }
    environment = {name: value for name, value in variables.items() if value}
    return cloud, Place(options, environment)


def _google(request: pytest.FixtureRequest, root: Path) -> tuple[Cloud, Place]:
    from tests.servers.clouds.google import GoogleCloud

    cloud = GoogleCloud(request.getfixturevalue("gcs_emulator"))
    return cloud, Place({"bucket_name": cloud.name})


def _azure(request: pytest.FixtureRequest, root: Path) -> tuple[Cloud, Place]:
    from tests.servers.clouds.azure import AzureCloud

    cloud = AzureCloud(request.getfixturevalue("azurite"))
    # The endpoint is in the connection string only, which wins over the other credentials.
    return cloud, Place(cloud.options(), {"AZURE_ACCOUNT_KEY": "bm90IHRoZSBrZXk="})


def _filesystem(request: pytest.FixtureRequest, root: Path) -> tuple[Cloud, Place]:
    from tests.servers.clouds.filesystem import FileSystemCloud

    cloud = FileSystemCloud(root / "deployed")
    caches = {
        "default": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": str(root / "cache"),
        }
    }
    return cloud, Place(settings={"STATIC_ROOT": str(cloud.root), "CACHES": caches})


MAKERS: dict[str, Callable[[pytest.FixtureRequest, Path], tuple[Cloud, Place]]] = {
    "s3_obstore": _s3,
    "gcs": _google,
    "azure": _azure,
    "filesystem": _filesystem,
}
EXAMPLES = [
    pytest.param((CLOUDS[page], example), id=f"{page}: {example.heading}")
    for page in CLOUDS
    for example in examples(page)
]
# Without these, no request is signed.
SIGNED = {"x-amz-content-sha256", "x-amz-date"}


Check = Callable[["Deployed"], None]
CHECKS: list[tuple[Check, tuple[str, ...]]] = []


def check(*texts: str) -> Callable[[Check], Check]:
    """Look so at the examples that have one of these texts in them; at all where there is none."""

    def register(look: Check) -> Check:
        CHECKS.append((look, texts))
        return look

    return register


@pytest.fixture(params=EXAMPLES)
def deployed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    name, example = request.param
    root = tmp_path_factory.mktemp("example")
    tree = StaticTree(root / "source")
    for path, content in FILES.items():
        tree.write(path, content)
    cloud, place = MAKERS[name](request, root)
    with cloud:
        project = PageProject(example.files, root / "project", cloud, tree, place)
        ended = project.deploy("-v", "2")
        location = "" if name == "filesystem" else "static/"
        yield Deployed(example, project, cloud, ended, location)


@check()
def the_deploy_ends_well(deployed: Deployed) -> None:
    assert (deployed.ended.status, deployed.ended.stderr) == (0, "")


@check()
def each_file_is_stored_under_the_location(deployed: Deployed) -> None:
    assert set(deployed.names) >= FILES.keys()


@check()
def nothing_is_stored_elsewhere(deployed: Deployed) -> None:
    assert [key for key in deployed.cloud.keys() if not key.startswith(deployed.location)] == []


@check()
def each_file_has_its_content(deployed: Deployed) -> None:
    stored = {name: deployed.get(name) for name in FILES}
    assert {
        name: gzip.decompress(each.body) if "content-encoding" in each.headers else each.body
        for name, each in stored.items()
    } == FILES


@check()
def no_header_of_s3_is_sent_but_those_that_the_page_says(deployed: Deployed) -> None:
    if deployed.example.page != "s3-compatible":
        return
    sent = {name for request in deployed.cloud.requests for name in request.headers}
    asked_for = {"x-amz-acl"} if deployed.says("default_acl") else set()
    assert {name for name in sent if name.startswith("x-amz-")} == SIGNED | asked_for


@check()
def boto3_sends_nothing_but_acls(deployed: Deployed) -> None:
    if deployed.example.page != "s3-compatible":
        return
    engines = "obstore and boto3 (ACL)" if deployed.says("default_acl") else "obstore"
    assert f" requests by {engines}, " in deployed.ended.stdout


@check()
def the_next_deploy_sends_nothing(deployed: Deployed) -> None:
    ended = deployed.project.deploy()
    assert "\n0 static files copied" in ended.stdout


@check("CacheControl", "cache_control")
def each_object_has_the_header_that_the_settings_say(deployed: Deployed) -> None:
    said = CACHE_CONTROL.findall("".join(deployed.example.files.values()))
    objects = deployed.cloud.objects().values()
    assert [{each.headers["cache-control"] for each in objects}] == [{text} for text in said]


@check("ManifestStaticStorage", "ManifestStaticFilesStorage", "ManifestFilesMixin")
def what_the_manifest_names_is_stored(deployed: Deployed) -> None:
    paths = json.loads(deployed.get(MANIFEST).body)["paths"]
    assert {*paths} >= FILES.keys()
    assert {*paths.values()} <= {*deployed.names}


@check("ManifestStaticStorage", "ManifestFilesMixin")
def the_files_are_hashed_here(deployed: Deployed) -> None:
    # In place only the files that were found would be sent, and counted.
    sent = re.search(r"^[\w ]+: (\d+) objects ", deployed.ended.stdout, re.MULTILINE)
    assert sent is not None
    assert int(sent[1]) > len(FILES)


@check('"gzip": True')
def texts_are_compressed(deployed: Deployed) -> None:
    stored = {name: deployed.get(name).headers.get("content-encoding") for name in FILES}
    assert stored["css/site.css"] == stored["js/app.js"] == "gzip"
    assert stored["img/dot.png"] is None


@check("whitenoise")
def variants_are_stored_with_their_encodings(deployed: Deployed) -> None:
    paths = json.loads(deployed.get(MANIFEST).body)["paths"]
    hashed = paths["css/site.css"]
    encodings = [
        deployed.get(hashed + suffix).headers["content-encoding"] for suffix in (".gz", ".br")
    ]
    assert encodings == ["gzip", "br"]


def test_example(deployed: Deployed) -> None:
    failed = []
    for look, texts in CHECKS:
        if not texts or deployed.says(*texts):
            try:
                look(deployed)
            except AssertionError as error:
                failed.append(f"{look.__name__}: {error}")

    assert failed == []


def test_deletions_by_obstore_carry_the_checksums_that_the_page_says(
    s3_obstore: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic
) -> None:
    static_tree.write("a.css", b"")
    s3_obstore.put("static/left.css", b"")

    collectstatic(s3_obstore, options={"location": "static"}, clear=True)

    (deletion,) = (each for each in s3_obstore.requests if s3_obstore.kind(each) == "DELETE_BATCH")
    checksums = {"content-md5", "x-amz-checksum-sha256"}
    assert {name for name in deletion.headers if "checksum" in name or "md5" in name} == checksums


@for_each("page", CLOUDS)
def test_every_block_of_python_is_part_of_an_example(page: str) -> None:
    told = [
        (each.heading, block.text.splitlines()[0])
        for each in sections(page)
        for block in each.blocks
        if block.language == "python"
    ]
    assert told == [(each.heading, f"# {path}") for each in examples(page) for path in each.files]


@for_each("page", [page for page in CLOUDS if page != "s3-compatible"])
def test_a_page_begins_with_an_example(page: str) -> None:
    assert sections(page)[0] == examples(page)[0]
