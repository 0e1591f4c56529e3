"""While files are post-processed, S3's storage is spared its client for each URL."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest
from storages.backends.s3 import S3ManifestStaticStorage

from collectfasta.strategies.boto3 import Boto3ManifestMemoryStrategy
from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.s3 import S3Cloud

MANIFEST = "storages.backends.s3.S3ManifestStaticStorage"
OPTIONS = {"bucket_name": "any", "access_key": "a", "secret_key": "b"}


class OwnUrls(S3ManifestStaticStorage):
    """Names all files as old ones."""

    def url(self, name: str, *args: Any, **kwargs: Any) -> str:
        return f"https://cdn.example.com/{name}?v=1"

    def _url(self, hashed_name_func: Any, name: str, *args: Any, **kwargs: Any) -> str:
        hashed: str = super()._url(hashed_name_func, name, *args, **kwargs)
        return hashed.replace("png", "old")

    def load_manifest(self) -> tuple[dict[str, str], str]:
        return {}, ""


class Unloaded(S3ManifestStaticStorage):
    """Asks no server when it is made."""

    def load_manifest(self) -> tuple[dict[str, str], str]:
        return {}, ""


class Signed(Unloaded):
    querystring_auth = True


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    static_tree.write("css/a.css", b'a { background: url("../img/b c+%C3%BC.png#x") }')
    static_tree.write("img/b c+ü.png", b"png")
    return static_tree


def style_sheet(cloud: S3Cloud) -> bytes:
    (key,) = (each for each in cloud.keys() if each.startswith("css/a.") and len(each) > 12)
    return cloud.get(key).body


def test_no_client_is_asked_for_a_url(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> NoReturn:
        raise AssertionError("A client was asked for.")

    monkeypatch.setattr(S3ManifestStaticStorage, "unsigned_connection", property(refuse))

    collectstatic(s3, backend=MANIFEST)

    assert len(s3.keys()) == 5


def test_style_sheet_is_that_of_django(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(s3, backend=MANIFEST)
    ours = style_sheet(s3)
    s3.empty()

    collectstatic(s3, backend=MANIFEST, disable_collectfasta=True)

    assert ours == style_sheet(s3)


def test_urls_of_a_class_of_ones_own_are_obeyed(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(s3, backend=f"{__name__}.OwnUrls")

    assert b".old" in style_sheet(s3)


@pytest.mark.parametrize(
    ("storage_class", "options", "is_spared"),
    [
        (Unloaded, {}, True),
        (Unloaded, {"custom_domain": "cdn.example.com"}, False),
        (Signed, {}, False),
        (OwnUrls, {}, False),
    ],
)
def test_only_plain_urls_are_worked_out(
    storage_class: type, options: dict[str, str], is_spared: bool
) -> None:
    strategy = Boto3ManifestMemoryStrategy(storage_class(**OPTIONS, **options))

    assert bool(strategy.staged_attributes()) is is_spared
