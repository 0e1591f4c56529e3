"""SIGKILL at random moments of a manifest deploy: nothing live breaks, and nothing is sent twice.

The moments are drawn from a seed: after a number of requests, of all or of one kind, before or
after the server has done what one asks for.
"""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CollectStatic, StaticTree
from tests.project import (
    MANIFEST,
    MANIFEST_BACKENDS,
    WAIT_SECONDS,
    Project,
    after,
    end,
    once,
    settle,
)
from tests.servers.clouds import RecordedCloud
from tests.servers.recorder import Match, Request

SEED = 20261127
UPLOADS = {"PUT", "UPLOAD", "MULTIPART", "PUT_BLOCK", "BLOCK_LIST"}
NAMES = [f"js/{number}.js" for number in range(6)]
STYLES = [f"css/{number}.css" for number in range(3)]
UNCHANGED = 2
# What the second release sends: each file that changes twice, and the manifest.
OBJECTS = 2 * (len(NAMES + STYLES) - UNCHANGED) + 1


@dataclass(frozen=True)
class Moment:
    """When a deploy is killed.

    Attributes:
        cloud: The name of its fixture.
        kind: Of which requests; any if empty.
        number: At the first behind so many of them.
        is_done: The server does what that one asks for; otherwise it never hears of it.
        threads: Of the deploy.
    """

    cloud: str
    kind: str
    number: int
    is_done: bool
    threads: int

    def __str__(self) -> str:
        when = "in" if self.is_done else "before"
        return f"{self.cloud}-{when}-{self.number}-{self.kind or 'any'}-{self.threads}"


def draw_moments() -> list[Moment]:
    draw = random.Random(SEED)
    clouds = ["s3_obstore"] * 11 + ["s3_boto3"] * 3 + ["gcs"] * 3 + ["azure"] * 3
    moments = []
    for cloud in clouds:
        threads, is_done = draw.choice([0, 4, 4]), draw.choice([True, False])
        # Some within the listing, and some within the commit.
        kinds = ["", "", "upload", "upload", "list"]
        # Google's uploads name their object in the body, where the proxy does not look.
        kind = draw.choice(kinds if cloud == "gcs" else [*kinds, "manifest"])
        most = {"": OBJECTS, "upload": OBJECTS - 1, "manifest": 1, "list": 1}[kind]
        moments.append(Moment(cloud, kind, draw.randrange(most), is_done, threads))
    return moments


def write_release(tree: StaticTree, release: str) -> None:
    """Write files of which some are the same in each release."""
    for name in NAMES[UNCHANGED:]:
        tree.write(name, f"let {release} = '{name}';".encode())
    for name in NAMES[:UNCHANGED]:
        tree.write(name, f"let it = '{name}';".encode())
    for style, name in zip(STYLES, NAMES[1:], strict=False):
        tree.write(style, f"/* {release} */ a {{ background: url(../{name}) }}".encode())


def bodies(cloud: RecordedCloud) -> dict[str, bytes]:
    return {key: stored.body for key, stored in cloud.objects().items()}


def assert_whole(stored: Mapping[str, bytes]) -> None:
    """Assert that the manifest names what exists, with the content that the names tell."""
    for name in json.loads(stored[MANIFEST])["paths"].values():
        digest = hashlib.md5(stored[name], usedforsecurity=False).hexdigest()
        assert digest[:12] in name


def is_upload(cloud: RecordedCloud) -> Match:
    return lambda request: cloud.kind(request) in UPLOADS


def matching(kind: str, cloud: RecordedCloud) -> Match:
    matches: dict[str, Match] = {
        "": lambda _: True,
        "list": lambda request: cloud.kind(request) == "LIST",
        "upload": is_upload(cloud),
        "manifest": lambda request: (
            cloud.kind(request) == "PUT" and request.path.endswith(f"/{MANIFEST}")
        ),
    }
    return matches[kind]


def kill_at(moment: Moment, cloud: RecordedCloud, project: Project) -> int:
    """Deploy, kill at the moment, and return the exit status."""
    is_it = once(after(moment.number, matching(moment.kind, cloud)))
    started: list[subprocess.Popen[str]] = []

    def kill(request: Request) -> None:
        if is_it(request):
            started[0].kill()
            started[0].wait(WAIT_SECONDS)
            if not moment.is_done:
                raise ConnectionAbortedError

    cloud.recorder.before(lambda _: True, kill)
    started.append(project.start("--verbosity=0"))
    ended = end(started[0])
    settle(cloud)
    return ended.status


@pytest.mark.parametrize("moment", draw_moments(), ids=str)
def test_live_site_stays_whole_and_the_next_run_sends_the_rest(
    moment: Moment,
    request: pytest.FixtureRequest,
    static_tree: StaticTree,
    collectstatic: CollectStatic,
    tmp_path: Path,
) -> None:
    cloud: RecordedCloud = request.getfixturevalue(moment.cloud)
    backend = MANIFEST_BACKENDS[cloud.backend]
    settings: dict[str, Any] = {"COLLECTFASTA_THREADS": moment.threads}
    write_release(static_tree, "first")
    collectstatic(cloud, backend=backend)
    live = bodies(cloud)
    write_release(static_tree, "second")
    project = Project(tmp_path / "project", cloud, static_tree, backend=backend, **settings)

    assert kill_at(moment, cloud, project) == -signal.SIGKILL

    left = bodies(cloud)
    assert_whole(left)

    cloud.recorder.reset()
    collectstatic(cloud, backend=backend)

    exact = bodies(cloud)
    assert_whole(exact)
    missing = [key for key in exact if left.get(key) != exact[key]]
    assert len([each for each in cloud.requests if is_upload(cloud)(each)]) == len(missing)
    cloud.empty()
    collectstatic(cloud, backend=backend)
    assert exact == {**live, **bodies(cloud)}
