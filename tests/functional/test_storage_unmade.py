"""A manifest storage whose constructor, which reads the manifest, can't reach its bucket."""

from __future__ import annotations

import pytest
from django.core.management import CommandError

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.process import free_port

BACKEND = "storages.backends.s3.S3ManifestStaticStorage"


def test_server_that_is_down_is_one_line_that_says_what_to_do(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic
) -> None:
    static_tree.write("a.css", b"a")
    url = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(CommandError) as caught:
        collectstatic(s3, backend=BACKEND, options={"endpoint_url": url})

    message = str(caught.value)
    assert message.startswith(f"S3 can't be used at {url}: Could not connect")
    assert message.endswith(
        "Run the command again when the service answers: it sends only what is missing."
    )
    assert len(message.splitlines()) == 1


def test_bucket_that_is_missing_is_one_line_that_names_it(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic
) -> None:
    static_tree.write("a.css", b"a")

    with pytest.raises(CommandError, match=r"\AThe bucket 'missing-bucket' does not exist at .*\Z"):
        collectstatic(s3, backend=BACKEND, options={"bucket_name": "missing-bucket"})
