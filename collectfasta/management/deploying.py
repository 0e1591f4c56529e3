"""The steps of a deploy, told by Django's command in its own words."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from django.contrib.staticfiles.management.commands import collectstatic

from collectfasta import settings
from collectfasta.commit import commit, without_manifest
from collectfasta.deploy import Deploy, in_words
from collectfasta.leftovers import Leftovers, find_leftovers, list_stored
from collectfasta.options import Options
from collectfasta.plan import Plan, Reason, check_sources
from collectfasta.shadowing import noting_names
from collectfasta.source import SourceFile
from collectfasta.staging import PostProcessed, Stage, staging, without_originals
from collectfasta.strategies import Strategy
from collectfasta.transfer import again_if_passing

PostProcessing = Generator[PostProcessed, None, None]


class DeployingCommand(collectstatic.Command):
    """Deploy the files that were found: stage, plan, transfer, commit, delete what is left over.

    Attributes:
        sources: The files, in the order in which they were found; a dict, to be asked for one too.
        strategy: Knows the storage; None where Django's own way is taken.
        options: What the run was asked for.
        is_unpublished: A manifest is yet to be published.
        facts: What it took, when all is done.
    """

    sources: dict[SourceFile, None]
    strategy: Strategy[Any] | None = None
    options = Options()
    is_unpublished = False
    facts: str | None = None

    def deploy(self, strategy: Strategy[Any], is_post_processing: bool) -> PostProcessing:
        """Deploy in one pass or in two; yield what Django's post-processing yields."""
        sender = strategy.second_pass_strategy()
        if sender is None:
            yield from self._deploy_directly(strategy, is_post_processing)
        elif is_post_processing:
            yield from self._deploy_staged(strategy, sender)
        else:
            yield from self._deploy_directly(sender, is_post_processing)

    def _deploy_directly(self, strategy: Strategy[Any], is_post_processing: bool) -> PostProcessing:
        """Send what was found, then let the storage post-process."""
        kept = {source.name for source in self.sources}
        with self._deploying(strategy) as deploy:
            with in_words(strategy, full=self.options.full):
                stored = self._list_stored(strategy)
                plan = deploy.plan([*self.sources])
                self._announce(strategy, plan)
                if not self.dry_run:
                    deploy.send(plan.uploads, partial(self._on_sent, strategy))
                self._count(plan, {each.name: each for each in self.sources}.get)
            if is_post_processing and hasattr(strategy.target_storage, "post_process"):
                with noting_names(strategy.target_storage, dry_run=self.dry_run) as names:
                    for processed in self._post_process(strategy):
                        kept |= {name for name in processed[:2] if name}
                        yield processed
                kept |= names
            with in_words(strategy, full=self.options.full):
                self._delete_leftovers(deploy, stored, kept)

    def _deploy_staged(self, strategy: Strategy[Any], sender: Strategy[Any]) -> PostProcessing:
        """Post-process locally, send the difference, the manifest last."""
        with in_words(sender, full=self.options.full):
            check_sources([*self.sources], sender)
        self.is_unpublished = True
        with self._deploying(sender) as deploy, ExitStack() as stack:
            with in_words(sender, full=self.options.full):
                stored = self._list_stored(sender)
            with staging(sender.secrets, full=self.options.full):
                stage = stack.enter_context(strategy.stage([*self.sources]))
                stack.enter_context(self._withdrawing(stage))
                yield from stage.post_process(dry_run=self.dry_run)
            with in_words(sender, full=self.options.full):
                self._send_staged(deploy, stage, stored)

    def _send_staged(self, deploy: Deploy, stage: Stage, stored: list[str] | None) -> None:
        sender = deploy.strategy
        files = without_originals(stage) if settings.hashed_only else stage.files
        hashed = stage.hashed_files
        places = {each.name: sender.place(each) for each in files}
        batch = [*places.values(), *_manifest_for(sender, stage)]
        plan = deploy.plan(batch)
        self._announce(sender, plan)
        kept = {getattr(sender.target_storage, "manifest_name", ""), *_names(batch)}
        if not self.dry_run:
            deploy.send(without_manifest(plan, stage), partial(self._on_sent, sender))
            self.is_unpublished = False
            kept |= _names(commit(deploy, plan, stage, partial(self._on_sent, sender)))
            stage.is_published = True
        self._count(plan, lambda name: places.get(name) or places.get(hashed.get(name, "")))
        self._delete_leftovers(deploy, stored, kept)

    @contextmanager
    def _deploying(self, strategy: Strategy[Any]) -> Iterator[Deploy]:
        """Make a deploy ready and, however it ends, remember what it has done."""
        with in_words(strategy, full=self.options.full):
            deploy = Deploy(strategy, self.options)
        try:
            yield deploy
        finally:
            deploy.remember()
        self.facts = deploy.tell(type(self.strategy).__name__, verbose=self.verbosity >= 2)

    @contextmanager
    def _withdrawing(self, stage: Stage) -> Iterator[None]:
        """Let the process's storage name the last deploy's files, unless this one succeeds."""
        try:
            yield
        finally:
            if not stage.is_published:
                stage.withdraw()

    def _post_process(self, strategy: Strategy[Any]) -> Iterator[PostProcessed]:
        found = {each.prefixed_path: (each.storage, each.path) for each in self.sources}
        with in_words(strategy, full=self.options.full):
            yield from strategy.target_storage.post_process(found, dry_run=self.dry_run)

    def _announce(self, strategy: Strategy[Any], plan: Plan) -> None:
        """Say what stays and, in a dry run, what would be sent."""
        for each in plan.decisions:
            source = each.source
            if each.reason is Reason.UNMODIFIED:
                self.log(f"Skipping '{source.path}' (not modified)")
                if not self.dry_run:
                    strategy.on_skip_hook(source.path, source.prefixed_path, source.storage)
            elif self.dry_run:
                self.log(f"Pretending to copy '{self._label(source)}'", level=1)

    def _label(self, source: SourceFile) -> str:
        """Return the path of a file that was found, and the name of one that was made of it."""
        return source.label if source in self.sources else source.name

    def _count(self, plan: Plan, place: Callable[[str], SourceFile | None]) -> None:
        """Fill Django's lists: they count the files that were found, not what is made of them.

        Args:
            plan: What became of the files that are deployed.
            place: Tells the file that is deployed for a name that was found.
        """
        reasons = {each.source.name: each.reason for each in plan.decisions}
        for source in self.sources:
            deployed = place(source.name)
            if deployed is None:
                continue
            is_unmodified = reasons[deployed.name] is Reason.UNMODIFIED
            files = self.unmodified_files if is_unmodified else self.copied_files
            files.append(source.prefixed_path)

    def _on_sent(self, strategy: Strategy[Any], source: SourceFile) -> None:
        self.log(f"Copying '{self._label(source)}'")
        strategy.post_copy_hook(source.path, source.prefixed_path, source.storage)

    def _list_stored(self, strategy: Strategy[Any]) -> list[str] | None:
        """List for ``--clear`` what there is before anything is sent."""
        if not self.clear:
            return None
        warn = partial(self.log, level=1)
        return again_if_passing(strategy, lambda: list_stored(strategy, warn=warn))

    def _delete_leftovers(self, deploy: Deploy, stored: list[str] | None, kept: set[str]) -> None:
        """Delete what earlier deploys left, through Django's clear_dir() for its messages."""
        if not self.clear:
            return
        strategy = deploy.strategy
        names = again_if_passing(
            strategy, lambda: find_leftovers(strategy, stored, deploy.pairs, kept)
        )
        storage, self.storage = self.storage, Leftovers(names)
        try:
            super().clear_dir("")
            deleted = self.storage.deleted
            again_if_passing(strategy, lambda: strategy.delete_files(deleted))
        finally:
            self.storage = storage


def _manifest_for(sender: Strategy[Any], stage: Stage) -> list[SourceFile]:
    """Return the manifest, if it goes where the files go."""
    if stage.manifest is None or stage.manifest_storage:
        return []
    stage.manifest = sender.place(stage.manifest)
    return [stage.manifest]


def _names(files: Iterable[SourceFile]) -> set[str]:
    return {each.name for each in files}
