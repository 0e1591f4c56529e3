"""Fixtures that live as long as a class: a few deploys, of which its tests ask many questions."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest
from django.core.cache import caches

from tests.command import StaticTree
from tests.servers.clouds import Cloud
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.process import running
from tests.servers.s3 import S3Server

# Before it is imported: its classes assert what the modules' own would.
pytest.register_assert_rewrite("tests.end_to_end.lives")

from .lives import Life, be_alone  # noqa: E402
from .site import MakeCloud, MakeSite, Site  # noqa: E402

# moto answers with MD5s whatever the encryption is, so here each write gets a random ETag, as S3
# gives them under SSE-KMS and SSE-C
# (https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html).
OPAQUE_SERVER = """
import sys, uuid
from moto.s3.models import FakeKey
from moto.server import main

etag_of_content = FakeKey.etag.fget

def etag(self):
    if "opaque" not in vars(self):
        _, _, parts = etag_of_content(self).strip('"').partition("-")
        self.opaque = uuid.uuid4().hex + ("-" + parts if parts else "")
    return f'"{self.opaque}"'

FakeKey.etag = property(etag)
main(sys.argv[1:])
"""


@pytest.fixture(scope="session")
def opaque_server() -> Iterator[S3Server]:
    """An S3 server whose ETags say nothing about the content."""

    def command(port: int) -> list[str]:
        return [sys.executable, "-c", OPAQUE_SERVER, "-p", str(port)]

    with running("moto", command) as url:
        yield S3Server(url)


@pytest.fixture(scope="class")
def patch() -> Iterator[pytest.MonkeyPatch]:
    """What pytest's ``monkeypatch`` is, until the end of a class."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield monkeypatch


@pytest.fixture(scope="class")
def make_cloud(
    request: pytest.FixtureRequest,
    patch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[MakeCloud]:
    """Makes empty places that last for the tests of a class.

    By name: "s3", "s3-boto3" (without the other engine), "gcs", "azure" and "filesystem".
    """
    with ExitStack() as stack:

        def make(name: str) -> Cloud:
            cloud = stack.enter_context(_cloud(name, request, tmp_path_factory))
            # Also where it keeps something else than the static files.
            for variable, value in cloud.environment.items():
                patch.setenv(variable, value)
            return cloud

        yield make


def _cloud(
    name: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Cloud:
    """Make an empty place; a server starts, and its SDK is imported, when it is asked for."""
    if name == "filesystem":
        return FileSystemCloud(tmp_path_factory.mktemp("place") / "deployed")
    if name == "gcs":
        from tests.servers.clouds.google import GoogleCloud

        return GoogleCloud(request.getfixturevalue("gcs_emulator"))
    if name == "azure":
        from tests.servers.clouds.azure import AzureCloud

        return AzureCloud(request.getfixturevalue("azurite"))
    from tests.servers.clouds.s3 import S3Cloud

    engine = {"s3": None, "s3-boto3": "boto3"}[name]
    return S3Cloud(request.getfixturevalue("s3_server"), engine=engine)


@pytest.fixture(scope="class")
def make_site(
    make_cloud: MakeCloud,
    patch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[MakeSite]:
    """Makes sites that last for the tests of a class."""
    for alias in caches:
        caches[alias].clear()
    with ExitStack() as stack:

        def make(cloud: str | Cloud, files: Mapping[str, bytes], **defaults: Any) -> Site:
            tree = StaticTree(tmp_path_factory.mktemp("site") / "source")
            tree.write_all(files)
            place = make_cloud(cloud) if isinstance(cloud, str) else cloud
            site = Site(place, tree, patch, **defaults)
            stack.callback(site.close)
            return site

        yield make


@pytest.fixture(scope="class")
def life(
    request: pytest.FixtureRequest,
    make_site: MakeSite,
    make_cloud: MakeCloud,
    patch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Life:
    """What became of the site of a class that is derived from one of `lives`."""
    # A server that this starts has files of its own.
    cloud = make_cloud(request.cls.place)
    directory = be_alone(tmp_path_factory.mktemp("alone"), patch)
    life: Life = request.cls.live(make_site, cloud)
    life.notes["alone"] = directory
    return life
