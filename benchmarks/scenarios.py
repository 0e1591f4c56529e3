"""What is measured: the states that a deploy begins with."""

from __future__ import annotations

from dataclasses import dataclass

COLLECT = ("collectstatic", "--noinput")


@dataclass(frozen=True)
class Scenario:
    """The state that a deploy begins with.

    Attributes:
        name: What options and results call it.
        label: What tables and charts call it.
        is_deployed: The tree was deployed before. Else the bucket is empty.
        is_warm: The cache knows what is deployed. Else it is empty.
        keeps_root: ``STATIC_ROOT`` is as the deploy before left it. Else it is empty.
        is_fresh: All files have just been written, as in a new checkout.
        is_changed: One percent of the files is not what was deployed.
        command: What Django is told to do.
        scale: How many times as large as usual each image is.
    """

    name: str
    label: str
    is_deployed: bool = True
    is_warm: bool = False
    keeps_root: bool = False
    is_fresh: bool = False
    is_changed: bool = False
    command: tuple[str, ...] = COLLECT
    scale: int = 1

    @property
    def sends(self) -> bool:
        """Whether it is a deploy. Else it is a part of one, which sends nothing."""
        return self.command == COLLECT


FIRST = Scenario("first", "first deploy", is_deployed=False)
WARM = Scenario("unchanged-warm", "nothing changed, warm cache", is_warm=True, keeps_root=True)
COLD = Scenario("unchanged-cold", "nothing changed, cold cache", keeps_root=True)
FRESH = Scenario("fresh-checkout", "fresh checkout, nothing changed", is_fresh=True)
CHANGED = Scenario(
    "changed", "1 % changed, warm cache", is_warm=True, keeps_root=True, is_changed=True
)
# What sending costs is what a first deploy takes more than this.
DRY = Scenario(
    "dry-run", "dry run of a first deploy", is_deployed=False, command=(*COLLECT, "--dry-run")
)
# Less than what it takes Django to start is not to be had.
START = Scenario("start", "manage.py check", is_deployed=False, command=("check",))
# 300 files are 300 MB: what a deploy's memory depends on.
LARGE = Scenario("large-images", "first deploy, 2 MB an image", is_deployed=False, scale=53)

SCENARIOS = {each.name: each for each in (FIRST, WARM, COLD, FRESH, CHANGED, DRY, START, LARGE)}


@dataclass(frozen=True)
class Case:
    """What is deployed, whereto, in what state.

    Attributes:
        files: How many files there are.
        storage: ``plain`` or ``manifest``.
        latency: Milliseconds by which the server holds back each answer.
        scenario: The state that the deploy begins with.
    """

    files: int
    storage: str
    latency: float
    scenario: Scenario

    @property
    def name(self) -> str:
        """What ``--only`` and ``--skip`` call it."""
        return f"{self.files}/{self.storage}/{self.latency:g}/{self.scenario.name}"
