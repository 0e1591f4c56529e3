"""What is special about objects on S3: parameters, parts, ETags, keys, and custom storages."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.command import StaticTree
from tests.project import Project
from tests.servers.clouds.base import DEFAULT_STORAGE
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.s3 import S3Server

from . import storages, trees
from .site import Deploy, MakeCloud, MakeSite, Site
from .storages import path_of

pytestmark = pytest.mark.s3

MEGABYTE = 1024 * 1024
FILES = {"a.css": b"aaa", "b/b.js": b"bbb"}
STATIC = {"location": "static"}
BOTH = pytest.mark.parametrize("place", ["s3", "s3-boto3"])


def written_with(**parameters: object) -> dict[str, Any]:
    """Return options that write objects with some parameters."""
    return {"object_parameters": parameters}


class TestParametersThatChange:
    """What an object is written with is no part of its content, so that the cache has to know."""

    EXPIRES = datetime(2030, 1, 1, tzinfo=timezone.utc)
    # Each is compared with the one before.
    STATES: tuple[tuple[str, dict[str, Any]], ...] = (
        ("Cache-Control", written_with(CacheControl="a")),
        ("another Cache-Control", written_with(CacheControl="b")),
        ("no Cache-Control", {}),
        ("Content-Type", written_with(ContentType="text/x-own")),
        ("metadata", written_with(Metadata={"a": "b"})),
        ("other metadata", written_with(Metadata={"a": "c"})),
        ("ACL", {"default_acl": "public-read"}),
        ("compression", {"gzip": True}),
        ("no compression", {"gzip": False}),
    )

    @pytest.fixture(scope="class")
    @classmethod
    def site(cls, make_site: MakeSite) -> Site:
        return make_site("s3", {"a.css": trees.TEXT, "b.css": trees.TEXT})

    @pytest.fixture(scope="class")
    @classmethod
    def deploys(cls, site: Site) -> dict[str, list[Deploy]]:
        site.deploy(force=True)
        return {
            name: [site.deploy(options=options), site.deploy(options=options)]
            for name, options in cls.STATES
        }

    def test_all_objects_are_sent_with_the_new_ones(self, deploys: dict[str, list[Deploy]]) -> None:
        counts = {name: changed.counts for name, (changed, _) in deploys.items()}
        wrong = {name: each for name, each in counts.items() if each != {"LIST": 1, "PUT": 2}}
        assert wrong == {}

    def test_nothing_is_sent_again_then(self, deploys: dict[str, list[Deploy]]) -> None:
        kinds = {name: again.kinds for name, (_, again) in deploys.items()}
        assert {name: each for name, each in kinds.items() if each != ["LIST"]} == {}

    def test_the_new_ones_are_in_the_bucket(self, site: Site) -> None:
        site.deploy(options=written_with(CacheControl="max-age=1"), force=True)
        site.deploy(options=written_with(CacheControl="max-age=2"))
        headers = [stored.headers["cache-control"] for stored in site.cloud.objects().values()]
        assert headers == ["max-age=2", "max-age=2"]

    def test_an_expiry_that_moves_with_the_time_of_day_is_no_change(self, site: Site) -> None:
        site.deploy(options=written_with(Expires=self.EXPIRES))
        again = site.deploy(options=written_with(Expires=self.EXPIRES.replace(hour=1)))
        assert again.kinds == ["LIST"]


class TestCompressedByTheStorage:
    """Whatever the compressor makes of it."""

    @pytest.mark.parametrize("storage", [storages.S3RestlessCompressor, storages.S3Uppercase])
    def test_only_what_changed_is_sent(self, make_site: MakeSite, storage: type) -> None:
        site = make_site("s3", trees.COMPRESSIBLE, backend=path_of(storage), options={"gzip": True})
        site.deploy()
        before = site.bodies()

        again = site.deploy()
        site.tree.write("a.css", trees.TEXT.replace(b"red", b"tan"))
        changed = site.deploy()

        assert again.kinds == ["LIST"]
        assert changed.counts["PUT"] == 1
        assert {key for key, body in site.bodies().items() if body != before[key]} == {"a.css"}

    def test_a_large_body_has_no_name_in_the_file_system(
        self, make_site: MakeSite, patch: pytest.MonkeyPatch, tmp_path: Any
    ) -> None:
        site = make_site(
            "s3", {"a.css": trees.NOISE[:1_500_000]}, options={"gzip": True}, threads=0
        )
        patch.setattr("tempfile.tempdir", str(tmp_path))
        seen: list[object] = []
        assert isinstance(site.cloud, S3Cloud)
        site.cloud.recorder.before(
            lambda request: request.method == "PUT", lambda _: seen.extend(tmp_path.rglob("*"))
        )

        assert site.deploy().counts["PUT"] == 1

        assert seen == list(tmp_path.iterdir()) == []


def put_in_parts(cloud: S3Cloud, key: str, content: bytes, part_size: int) -> None:
    """Store an object in parts as some other tool would."""
    upload: Any = {"Bucket": cloud.name, "Key": key}
    upload["UploadId"] = cloud.client.create_multipart_upload(**upload)["UploadId"]
    parts: list[Any] = []
    for number, start in enumerate(range(0, len(content), part_size), 1):
        body = content[start : start + part_size]
        answer = cloud.client.upload_part(**upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    cloud.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


class TestParts:
    """Files that are sent in parts, and objects whose ETags are made of parts."""

    @BOTH
    @pytest.mark.needs_s3("ETags of uploads in parts")
    def test_only_what_differs_is_sent_in_parts(self, make_site: MakeSite, place: str) -> None:
        config = TransferConfig(multipart_threshold=10_000, multipart_chunksize=trees.PART)
        files = {"two.bin": trees.NOISE, "one.bin": trees.NOISE[:10_000]}
        site = make_site(place, files, options={"transfer_config": config})

        site.deploy()
        again = site.deploy()
        changed_content = trees.NOISE[:-1] + bytes([trees.NOISE[-1] ^ 1])
        site.tree.write("two.bin", changed_content)
        changed = site.deploy()

        assert again.kinds == ["LIST"]
        # One request to begin, one for each part, one to end.
        assert changed.counts == {"LIST": 1, "MULTIPART": 4}
        assert site.cloud.get("two.bin").body == changed_content
        assert site.cloud.version("two.bin").strip('"').endswith("-2")

    @pytest.mark.needs_s3("ETags of uploads in parts")
    def test_objects_in_parts_of_another_size_are_sent_once(self, make_site: MakeSite) -> None:
        files = {
            "as many.bin": bytes(8 * MEGABYTE + 1),
            "more.bin": bytes(trees.PART + 1),
            "same.bin": b"small",
        }
        site = make_site("s3", files)
        assert isinstance(site.cloud, S3Cloud)
        for name, content in files.items():
            # By default the storage sends parts of 8 MiB from 8 MiB on.
            part_size = trees.PART + MEGABYTE if name == "as many.bin" else trees.PART
            put_in_parts(site.cloud, name, content, part_size)

        first, again = site.deploy(), site.deploy()

        assert first.counts == {"LIST": 1, "PUT": 1, "MULTIPART": 4}
        assert again.kinds == ["LIST"]


ENCRYPTIONS: dict[str, dict[str, Any]] = {
    "KMS": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/static"},
    "C": {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": bytes(range(32))},
}


@pytest.mark.parametrize("encryption", ENCRYPTIONS.values(), ids=ENCRYPTIONS)
@pytest.mark.parametrize("engine", [None, "boto3"], ids=["obstore", "boto3"])
def test_etags_that_look_like_an_md5_and_are_not_one(
    opaque_server: S3Server, make_site: MakeSite, encryption: dict[str, Any], engine: str | None
) -> None:
    parts = bytes(10_000)
    options = {
        "object_parameters": encryption,
        "transfer_config": TransferConfig(multipart_threshold=10_000),
    }
    with S3Cloud(opaque_server, engine=engine) as cloud:
        site = make_site(
            cloud, {"a.css": b"aaa", "b.js": b"bbb", "parts.bin": parts}, options=options
        )
        site.deploy(disable_collectfasta=True)
        by_others, recognised, still = site.deploy(), site.deploy(), site.deploy()
        for name, content in (("b.js", b"xxx"), ("parts.bin", parts[:-1] + b"x")):
            site.tree.write(name, content)
        changed = site.deploy()
        written_by_deploy = site.deploy()
        body = cloud.get("b.js").body
        cloud.put("b.js", b"yyy")
        replaced = site.deploy()

        assert by_others.counts == {"LIST": 1, "PUT": 2, "MULTIPART": 3}
        assert recognised.kinds == still.kinds == written_by_deploy.kinds == ["LIST"]
        assert changed.counts == {"LIST": 1, "PUT": 1, "MULTIPART": 3}
        assert body == b"xxx"
        assert replaced.counts == {"LIST": 1, "PUT": 1}
        assert cloud.get("b.js").body == b"xxx"
        site.close()


def long_name(size: int) -> str:
    """Return a name of that many bytes, in parts that a file system takes."""
    return "/".join("x" * 99 for _ in range(20))[: size - 4] + ".css"


class TestKeys:
    """Keys that nobody's file has, and keys at their limits."""

    MARKERS = ("css/", "css/a.css/", "static/", "static/css/", "static//")
    ODD = ("static//a.css", "static/b//b.js", "static/./a.css", "static/b/../a.css")

    @pytest.fixture(scope="class", params=["s3", "s3-boto3"])
    @classmethod
    def site(cls, request: pytest.FixtureRequest, make_site: MakeSite) -> Site:
        """A site between keys that are no paths."""
        files = {"a.css": b"a", "b/b.js": b"b", "css/a.css": b"c", "css/empty": b""}
        site = make_site(request.param, files, options=STATIC)
        for key in cls.MARKERS:
            site.cloud.put(key, b"")
        for key in cls.ODD:
            site.cloud.put(key, b"odd")
        site.cloud.put("static/css/empty/", b"")
        return site

    @pytest.fixture(scope="class")
    @classmethod
    def deploys(cls, site: Site) -> list[Deploy]:
        return [site.deploy(), site.deploy(), site.deploy(clear=True)]

    def test_that_are_no_paths_stay_and_are_taken_for_no_file(
        self, site: Site, deploys: list[Deploy]
    ) -> None:
        first, again, _ = deploys
        ours = {f"static/{name}": site.tree.path(name).read_bytes() for name in site.tree.names()}
        theirs = dict.fromkeys((*self.MARKERS, "static/css/empty/"), b"")
        assert site.bodies() == {**theirs, **dict.fromkeys(self.ODD, b"odd"), **ours}
        assert first.counts["PUT"] == 4
        assert not again.writes

    def test_of_the_greatest_length_are_deployed_and_longer_ones_refused(
        self, make_site: MakeSite
    ) -> None:
        name = long_name(1024 - len("static/"))
        longer = [long_name(1025 - len("static/")), "/".join("\u00fc" * 99 for _ in range(6))]
        site = make_site("s3", {name: b"x"}, options=STATIC)

        site.deploy()
        for each in longer:
            site.tree.write(each, b"x")
        refused = site.refused()

        assert site.cloud.keys() == [f"static/{name}"]
        assert "longer than 1024 bytes" in refused.error
        assert [each for each in longer if repr(each) not in refused.error] == []
        assert repr(name) not in refused.error
        assert refused.kinds == []


class TestOwnStorages:
    """Storages of the user's own class."""

    @pytest.mark.parametrize("storage", [storages.S3OwnConnection, storages.S3OwnSession])
    def test_that_connect_by_themselves_make_every_request(
        self, make_site: MakeSite, storage: type
    ) -> None:
        deploy = make_site("s3", FILES, backend=path_of(storage)).deploy()

        assert deploy.counts == {"LIST": 1, "PUT": 2}
        agents = [request.headers["user-agent"] for request in deploy.requests]
        assert [agent for agent in agents if "its-own" not in agent] == []
        assert ", 3 requests," in deploy.run.stdout

    def test_that_say_as_classes_where_and_how_are_obeyed(
        self, make_site: MakeSite, make_cloud: MakeCloud, patch: pytest.MonkeyPatch
    ) -> None:
        cloud = make_cloud("s3")
        for name, value in cloud.options().items():
            patch.setattr(storages.S3OwnAttributes, name, value, raising=False)
        own = {
            "default": {"BACKEND": DEFAULT_STORAGE},
            "staticfiles": {"BACKEND": path_of(storages.S3OwnAttributes)},
        }
        site = make_site(cloud, FILES, settings={"STORAGES": own})

        site.deploy()
        again = site.deploy()

        assert site.bodies() == {f"assets/{name}": content for name, content in FILES.items()}
        stored = cloud.get("assets/a.css")
        assert stored.headers["cache-control"] == "max-age=31536000"
        assert again.kinds == ["LIST"]

    @BOTH
    @pytest.mark.parametrize("clear", [False, True], ids=["deploy", "clear"])
    def test_that_do_not_overwrite_have_stale_objects_written_over_under_their_names(
        self, make_site: MakeSite, place: str, clear: bool
    ) -> None:
        ways: dict[str, dict[str, Any]] = {
            "file_overwrite": {"options": {**STATIC, "file_overwrite": False}},
            "own names": {"backend": path_of(storages.S3OwnNames), "options": STATIC},
            "own _save": {
                "backend": path_of(storages.S3Uppercase),
                "options": {**STATIC, "file_overwrite": False},
            },
        }
        for way, run in ways.items():
            site = make_site(place, FILES, **run)
            for key in ("static/a.css", "static/b/b.js", "static/old.js"):
                site.cloud.put(key, b"stale")

            if way == "own _save" and clear:
                # What was written since the deploy began might be the class's own; times have
                # whole seconds.
                time.sleep(1.1)
            # What a class has saved in its own way is looked at then.
            kinds = [kind for kind in site.deploy(clear=clear).kinds if kind != "HEAD"]

            bodies = site.bodies()
            assert ("static/old.js" in bodies) is not clear, way
            bodies.pop("static/old.js", None)
            assert sorted(bodies) == ["static/a.css", "static/b/b.js"], way
            assert b"stale" not in bodies.values(), way
            # What a class has written beside its files is listed again.
            again = ["LIST"] * (clear and way == "own _save")
            assert kinds == ["LIST", "PUT", "PUT", *again, *["DELETE_BATCH"] * clear], way


class TestTwoPlaces:
    """On one cache, or of one tree."""

    def test_the_same_path_under_two_prefixes_is_two_files(
        self, make_site: MakeSite, tmp_path: Any
    ) -> None:
        for prefix in ("one", "two"):
            StaticTree(tmp_path / prefix).write("app.js", prefix.encode())
        folders = [(prefix, str(tmp_path / prefix)) for prefix in ("one", "two")]
        site = make_site("s3", {}, settings={"STATICFILES_DIRS": folders})

        site.deploy()
        both = site.bodies()
        (tmp_path / "two" / "app.js").write_bytes(b"one")
        changed = site.deploy()

        assert both == {"one/app.js": b"one", "two/app.js": b"two"}
        assert changed.counts == {"LIST": 1, "PUT": 1}
        assert site.bodies() == {"one/app.js": b"one", "two/app.js": b"one"}

    @pytest.mark.parametrize("apart", ["bucket", "location"])
    def test_what_is_known_of_one_says_nothing_about_the_other(
        self, make_site: MakeSite, make_cloud: MakeCloud, apart: str
    ) -> None:
        # The same content, thus the same ETags, sent with other parameters.
        parameters = [written_with(CacheControl=f"max-age={age}") for age in (1, 2)]
        first_cloud = make_cloud("s3")
        second_cloud = make_cloud("s3") if apart == "bucket" else first_cloud
        locations = ["", ""] if apart == "bucket" else ["one", "two"]
        first, second = (
            make_site(cloud, FILES, options={**each, "location": location})
            for cloud, each, location in zip(
                (first_cloud, second_cloud), parameters, locations, strict=True
            )
        )

        first.deploy()
        second_deploy = second.deploy()
        again = first.deploy()

        assert second_deploy.counts["PUT"] == 2
        assert again.kinds == ["LIST"]
        ages = {
            stored.headers["cache-control"]
            for cloud in (first_cloud, second_cloud)
            for stored in cloud.objects().values()
        }
        assert ages == {"max-age=1", "max-age=2"}


def read_by_anyone(server: S3Server, cloud: S3Cloud, key: str) -> bytes:
    """Read an object without credentials."""
    config = Config(signature_version=UNSIGNED, s3={"addressing_style": "path"})
    client = boto3.client(
        "s3", endpoint_url=server.endpoint, region_name=server.region, config=config
    )
    try:
        return client.get_object(Bucket=cloud.name, Key=key)["Body"].read()
    finally:
        client.close()


@pytest.mark.needs_s3("anonymous requests")
class TestAccessByAnyone:
    """Nothing here is simulated: the server checks it."""

    @BOTH
    def test_is_given_by_the_acl(
        self, make_site: MakeSite, s3_server: S3Server, place: str
    ) -> None:
        site = make_site(
            place,
            {**FILES, "large.bin": trees.NOISE[:1000]},
            settings={"AWS_DEFAULT_ACL": "public-read"},
            options={"transfer_config": TransferConfig(multipart_threshold=1000)},
        )
        site.deploy()
        assert isinstance(site.cloud, S3Cloud)
        for name in site.tree.names():
            body = read_by_anyone(s3_server, site.cloud, name)
            assert body == site.tree.path(name).read_bytes(), name

    def test_is_refused_without_one(self, make_site: MakeSite, s3_server: S3Server) -> None:
        site = make_site("s3", FILES)
        site.deploy()
        assert isinstance(site.cloud, S3Cloud)
        with pytest.raises(ClientError, match=r"AccessDenied|Forbidden"):
            read_by_anyone(s3_server, site.cloud, "a.css")


WITHOUT_OBSTORE = """
import sys
from django.core.management import execute_from_command_line

sys.modules["obstore"] = None
execute_from_command_line(sys.argv)
"""


class TestEngines:
    """Which client makes the requests."""

    AGENTS: Callable[[Deploy], Counter[str]] = staticmethod(
        lambda deploy: Counter(
            request.headers["user-agent"].partition("/")[0] for request in deploy.requests
        )
    )

    def test_obstore_makes_all_requests_by_default_and_no_boto3_client_is_made(
        self, make_site: MakeSite, patch: pytest.MonkeyPatch
    ) -> None:
        site = make_site("s3", {**FILES, "large.bin": bytes(9 * MEGABYTE)})

        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("A boto3 client was made.")

        with patch.context() as within:
            within.setattr("botocore.client.ClientCreator.create_client", refuse)
            first, again = site.deploy(verbosity=2), site.deploy()

        assert first.counts == {"LIST": 1, "PUT": 2, "MULTIPART": 4}
        # Listings are asked for by botocore's connections.
        assert self.AGENTS(first) == {"object_store": 6, "python-urllib3": 1}
        assert "7 requests by obstore," in first.run.stdout
        assert again.kinds == ["LIST"]

    def test_boto3_makes_them_by_the_setting_and_without_obstore(
        self, make_site: MakeSite, make_cloud: MakeCloud, tmp_path: Any
    ) -> None:
        by_setting = make_site("s3-boto3", FILES).deploy(verbosity=2)
        site = make_site("s3", FILES)
        project = Project(tmp_path / "project", site.cloud, site.tree, backend=site.cloud.backend)
        project.manage(WITHOUT_OBSTORE)
        ended = project.run("--verbosity=2")

        assert self.AGENTS(by_setting) == {"Boto3": 3}
        assert "3 requests by boto3 (COLLECTFASTA_S3_ENGINE)," in by_setting.run.stdout
        assert ended.status == 0, ended.stderr
        assert "3 requests by boto3 (obstore is not installed)," in ended.stdout
        assert site.cloud.keys() == [*FILES]
