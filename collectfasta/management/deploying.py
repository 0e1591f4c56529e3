"""The steps of a deploy, told by Django's command in its own words."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import partial
from typing import Any

from collectfasta import settings
from collectfasta.commit import commit, plan_elsewhere, without_manifest
from collectfasta.deploy import Deploy, in_words, why
from collectfasta.difference import refuse_unchecked, stage_to_check, verdict
from collectfasta.management.clearing import ClearingCommand
from collectfasta.plan import Plan, PlanError, Reason, check_sources
from collectfasta.shadowing import noting_names
from collectfasta.source import SourceFile
from collectfasta.staging import PostProcessed, Stage, staging, without_originals
from collectfasta.strategies import Strategy

PostProcessing = Generator[PostProcessed, None, None]
MakeStage = Callable[[Sequence[SourceFile]], AbstractContextManager[Stage]]


class DeployingCommand(ClearingCommand):
    """Deploy the files that were found: stage, plan, transfer, commit, delete what is left over.

    Attributes:
        sources: The files, in the order in which they were found; a dict, to be asked for one too.
        strategy: Knows the storage; None where Django's own way is taken.
        is_unpublished: A manifest is yet to be published.
        facts: What it took, when all is done.
    """

    sources: dict[SourceFile, None]
    strategy: Strategy[Any] | None = None
    is_unpublished = False
    facts: str | None = None

    def deploy(self, strategy: Strategy[Any], is_post_processing: bool) -> PostProcessing:
        """Deploy in one pass or in two; yield what Django's post-processing yields."""
        try:
            yield from self._deploy(strategy, is_post_processing)
        except PlanError as error:
            self.record.note_refusal(error)
            raise
        if self.options.check:
            self.facts = verdict(self.record)

    def _deploy(self, strategy: Strategy[Any], is_post_processing: bool) -> PostProcessing:
        sender, make_stage = strategy.second_pass_strategy(), strategy.stage
        storage = strategy.target_storage
        if self.options.check and sender is None and hasattr(storage, "post_process"):
            sender, make_stage = strategy, partial(stage_to_check, storage)
        if sender and is_post_processing:
            yield from self._deploy_staged(make_stage, sender)
        else:
            yield from self._deploy_directly(sender or strategy, is_post_processing)

    def _deploy_directly(self, strategy: Strategy[Any], is_post_processing: bool) -> PostProcessing:
        """Send what was found, then let the storage post-process."""
        in_place = is_post_processing and hasattr(strategy.target_storage, "post_process")
        kept = {source.name for source in self.sources}
        kept |= self.names_in_use(strategy, is_replaced=in_place)
        with self._deploying(strategy) as deploy:
            with in_words(strategy, full=self.options.full):
                stored = self.list_stored(strategy)
                plan = deploy.plan([*self.sources])
                self._announce(strategy, plan)
                if not self.dry_run:
                    deploy.send(plan.uploads, partial(self._on_sent, strategy))
                self._count(plan, {each.name: each for each in self.sources}.get)
            if in_place:
                storage, saved = strategy.target_storage, self.record.saved
                with noting_names(storage, dry_run=self.dry_run, sizes=saved) as names:
                    for processed in self._post_process(strategy):
                        kept |= {name for name in processed[:2] if name}
                        yield processed
                kept |= names
            with in_words(strategy, full=self.options.full):
                self.delete_leftovers(deploy, stored, kept)

    def _deploy_staged(self, make_stage: MakeStage, sender: Strategy[Any]) -> PostProcessing:
        """Post-process locally, send the difference, the manifest last."""
        with in_words(sender, full=self.options.full):
            check_sources([*self.sources], sender)
        self.is_unpublished = True
        in_use = self.names_in_use(sender, is_replaced=True)
        with self._deploying(sender) as deploy, ExitStack() as stack:
            with in_words(sender, full=self.options.full):
                stored = self.list_stored(sender)
            with staging(sender.secrets, full=self.options.full):
                stage = stack.enter_context(make_stage([*self.sources]))
                if self.options.check:
                    refuse_unchecked(stage)
                stack.enter_context(self._withdrawing(stage))
                yield from self._counted(stage.post_process(dry_run=self.dry_run))
            with in_words(sender, full=self.options.full):
                kept = in_use | self._send_staged(deploy, stage)
                self.delete_leftovers(deploy, stored, kept)

    def _send_staged(self, deploy: Deploy, stage: Stage) -> set[str]:
        """Send what was staged, and return the names of all that belongs to the deploy."""
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
        elif elsewhere := plan_elsewhere(deploy, stage):
            self.record.elsewhere, its_plan = elsewhere
            self._announce(self.record.elsewhere.strategy, its_plan)
        self._count(plan, lambda name: places.get(name) or places.get(hashed.get(name, "")))
        return kept

    @contextmanager
    def _deploying(self, strategy: Strategy[Any]) -> Iterator[Deploy]:
        """Make a deploy ready and, however it ends, remember what it has done."""
        with in_words(strategy, full=self.options.full):
            deploy = self.record.deploy = Deploy(strategy, self.options, self.progress)
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
            processed = strategy.target_storage.post_process(found, dry_run=self.dry_run)
            yield from self._counted(processed)

    def _counted(self, outcomes: Iterable[PostProcessed]) -> PostProcessing:
        """Yield what becomes of the files, and count each once: there may be more outcomes."""
        waiting = {each.prefixed_path for each in self.sources}
        progress = self.progress.step("Post-processing", total=len(waiting))
        # What post-processes ends with this, though a traceback may hold on to it: it would keep
        # the storage redirected.
        with progress as step, closing(_each(outcomes)) as each:
            for outcome in each:
                step.advance(int(outcome[0] in waiting))
                waiting.discard(outcome[0])
                yield outcome

    def _announce(self, strategy: Strategy[Any], plan: Plan) -> None:
        """Say what stays and, in a dry run, what would be sent."""
        for each in plan.decisions:
            source = each.source
            if each.reason is Reason.UNMODIFIED:
                self.log(f"Skipping '{source.path}' (not modified)")
                if not self.dry_run:
                    strategy.on_skip_hook(source.path, source.prefixed_path, source.storage)
                continue
            if self.dry_run:
                self.log(f"Pretending to copy '{self._label(source)}'", level=1)
            self.log(f"To be sent: '{source.name}' ({why(each.reason, 1, strategy)})", level=3)

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


def _each(outcomes: Iterable[PostProcessed]) -> PostProcessing:
    """Yield all of them. Closing this closes them too, where they can be."""
    yield from outcomes


def _manifest_for(sender: Strategy[Any], stage: Stage) -> list[SourceFile]:
    """Return the manifest, if it goes where the files go."""
    if stage.manifest is None or stage.manifest_storage:
        return []
    stage.manifest = sender.place(stage.manifest)
    return [stage.manifest]


def _names(files: Iterable[SourceFile]) -> set[str]:
    return {each.name for each in files}
