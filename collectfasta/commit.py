"""The end of a manifest deploy: the manifest is published when all that it names is stored."""

from __future__ import annotations

from collections.abc import Callable

from collectfasta.deploy import Deploy, in_words
from collectfasta.plan import Decision, Plan
from collectfasta.source import SourceFile
from collectfasta.staging import Stage
from collectfasta.strategies.selection import sending_strategy


def without_manifest(plan: Plan, stage: Stage) -> list[Decision]:
    """Return what has to be stored before the manifest is."""
    return [each for each in plan.uploads if each.source is not stage.manifest]


def commit(
    deploy: Deploy, plan: Plan, stage: Stage, on_sent: Callable[[SourceFile], None]
) -> list[SourceFile]:
    """Publish the manifest, to the storage that it belongs into.

    Args:
        deploy: The deploy of all files that it names; none of them has failed.
        plan: The plan of that deploy, with the manifest if it goes to the same storage.
        stage: Has made the manifest.
        on_sent: Called with the manifest if it is sent.

    Returns:
        What a class with a ``save_manifest()`` of its own has saved.

    Raises:
        TransferError: It could not be sent.
    """
    manifest = [each for each in plan.uploads if each.source is stage.manifest]
    deploy.send(manifest, on_sent)
    own = stage.publish()
    if stage.manifest_storage is None:
        deploy.send(deploy.plan(own).uploads if own else (), on_sent)
        return own
    elsewhere = [each for each in (*own, stage.manifest) if each]
    strategy = sending_strategy(stage.manifest_storage)
    with in_words(strategy, full=deploy.options.full):
        other = deploy.to(strategy)
        other.send(other.plan(elsewhere).uploads, on_sent)
    return own


def plan_elsewhere(deploy: Deploy, stage: Stage) -> tuple[Deploy, Plan] | None:
    """Compare a manifest with the storage of its own that it belongs into, for a dry run.

    Args:
        deploy: The deploy of all files that it names.
        stage: Has made the manifest.

    Returns:
        None: There is none, or it goes where the files go.
    """
    if stage.manifest is None or stage.manifest_storage is None:
        return None
    strategy = sending_strategy(stage.manifest_storage)
    with in_words(strategy, full=deploy.options.full):
        other = deploy.to(strategy)
        return other, other.plan([stage.manifest])
