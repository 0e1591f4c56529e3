"""Deploy: find, stage, plan, transfer, commit, delete what is stale."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from datetime import datetime, timezone
from types import TracebackType
from typing import Any, Protocol

from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.core.files.storage import InMemoryStorage, Storage

from collectfasta import settings
from collectfasta.deploy.commit import (
    StaleObjects,
    delete_stale,
    find_stale,
    list_stored,
    plan_elsewhere,
    publish,
    published_names,
    without_variants,
)
from collectfasta.deploy.plan import Decision, PlanError, Reason, check_sources
from collectfasta.deploy.report import Report, named, verdict
from collectfasta.deploy.stage import (
    PatchedStage,
    Stage,
    make_stage,
    printable_outcome,
    staging,
    without_originals,
)
from collectfasta.deploy.staging_storage import PostProcessed
from collectfasta.deploy.transfer import Target
from collectfasta.errors import CollectfastaError
from collectfasta.patching import is_overridden, noting_names
from collectfasta.remote import StoredObject
from collectfasta.source import SourceFile
from collectfasta.strategies.contract import Strategy
from collectfasta.terminal.progress import Progress


class UncheckedError(CollectfastaError):
    """A storage that can't be checked without writing to it."""


class Console(Protocol):
    """Django's command, as a deploy uses it: it prints, counts and deletes in its own words.

    Attributes:
        clear: ``--clear`` was given.
        copied_files: Gets the prefixed paths of the files that were sent.
        unmodified_files: Gets those of the files that did not have to be.
    """

    clear: bool
    copied_files: list[str]
    unmodified_files: list[str]

    def log(self, msg: str, level: int = 2) -> None:
        """Print a line at a verbosity."""

    def warn(self, msg: str) -> None:
        """Print a line that the user should see."""

    def clear_stale(self, stale: StaleObjects) -> None:
        """Let Django's ``clear_dir()`` name, count and delete stale objects."""


class Deploy:
    """Deploy files to a storage: a context manager, used by Django's ``collect()``.

    ``find()`` is called for each file. Then Django asks for ``post_process()``, as of its storage,
    unless ``--no-post-process`` is given. ``finish()`` does the rest.

    Args:
        strategy: Goes with the storage.
        report: Gets what every step has planned and done.
        console: Says it.
        progress: Shows how far the steps have come.

    Attributes:
        is_unpublished: A manifest is yet to be published.
    """

    def __init__(
        self, strategy: Strategy[Any], report: Report, console: Console, progress: Progress
    ) -> None:
        self.strategy, self.report, self.progress = strategy, report, progress
        self.sender = strategy.second_pass_strategy() or strategy
        self.is_unpublished = False
        self.options = report.options
        report.chosen, report.strategy = strategy, self.sender
        self._console = console
        self._storage: Any = self.sender.target_storage
        # In the order in which they were found; a dict, to be asked for one too.
        self._sources: dict[SourceFile, None] = {}
        self._stage: Stage | None = None
        self._stored: list[StoredObject] | None = None
        self._kept: set[str] = set()
        # What post-processing in place saves or finds there; None where it is not done.
        self._noted: set[str] | None = None
        self._began = datetime.now(timezone.utc)
        self._exit = ExitStack()

    def __enter__(self) -> Deploy:
        self.target = Target(self.sender, self.report, self.progress)
        self._exit.callback(self.target.remember)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cache what is known of the storage, also when the deploy has failed."""
        if isinstance(error, PlanError):
            self.report.refused = dict(error.causes)
        self._exit.__exit__(kind, error, traceback)

    # Find and stage, within Django's collect()

    def find(self, path: str, prefixed_path: str, storage: Storage) -> None:
        """Gather a file that a finder has found."""
        source = _placed(SourceFile(path, prefixed_path, storage), self.strategy)
        self._sources[source] = None

    def post_process(
        self, found: Mapping[str, tuple[Storage, str]], dry_run: bool = False
    ) -> Iterator[PostProcessed]:
        """Post-process as Django's command asks its storage to: on a stage, or in place."""
        has_post_process = hasattr(self._storage, "post_process")
        if self.sender is not self.strategy:
            outcomes = self._post_process_staged(make_stage(self.strategy, self._found_files))
        elif has_post_process and self.options.check:
            outcomes = self._post_process_staged(self._stage_to_check())
        elif has_post_process:
            outcomes = self._post_process_in_place(dry_run)
        else:
            return iter(())
        # Django's loop may end before it does: what it has patched is restored all the same.
        self._exit.enter_context(closing(outcomes))
        return outcomes

    @property
    def _found_files(self) -> list[SourceFile]:
        return [*self._sources]

    def _stage_to_check(self) -> AbstractContextManager[Stage]:
        """Make a stage for a storage that post-processes in place, which a check must not."""
        if not isinstance(self._storage, ManifestFilesMixin):
            raise self._unchecked("post_process()")
        return nullcontext(PatchedStage(self._storage, self._found_files, InMemoryStorage()))

    def _unchecked(self, method: str) -> UncheckedError:
        return UncheckedError(
            f"--check {self._untold(method)}: leave --check out, or add --no-post-process to "
            "compare the files as they were found."
        )

    def _untold(self, method: str) -> str:
        return (
            f"can't tell what {method} of {type(self._storage).__name__} would write, because it "
            "is none of Django's and may write anywhere"
        )

    @property
    def _posts_itself(self) -> bool:
        """Whether a class post-processes in place, in its own way."""
        return self._noted is not None and is_overridden(type(self._storage), "post_process")

    @property
    def _uncalled(self) -> str | None:
        """The method that this dry run does not call, so that it can't know everything."""
        if not self.options.dry_run:
            return None
        if self._stage:
            return self._stage.skipped_in_dry_runs
        return "post_process()" if self._posts_itself else None

    def _post_process_staged(
        self, making: AbstractContextManager[Stage]
    ) -> Generator[PostProcessed, None, None]:
        with self.target.explaining():
            check_sources(self._found_files, self.sender)
        self.is_unpublished = True
        self._keep_published(is_replaced=True)
        explaining = staging(self.sender.store.secrets, full=self.options.full)
        with explaining:
            stage = self._stage = self._exit.enter_context(making)
        self._exit.callback(_restore_unpublished, stage)
        if self.options.check and stage.skipped_in_dry_runs:
            raise self._unchecked(stage.skipped_in_dry_runs)
        outcomes = stage.post_process(dry_run=self.options.dry_run)
        return self._counted(outcomes, staging(self.sender.store.secrets, full=self.options.full))

    def _post_process_in_place(self, dry_run: bool) -> Generator[PostProcessed, None, None]:
        """Send what was found, then let the storage post-process."""
        self._send_found(is_replaced=True)
        noting = noting_names(self._storage, dry_run=dry_run, sizes=self.report.saved)
        self._noted = self._exit.enter_context(noting)
        found = {each.prefixed_path: (each.storage, each.path) for each in self._sources}
        with self.target.explaining():
            outcomes = self._storage.post_process(found, dry_run=dry_run)
        return self._counted(outcomes, self.target.explaining())

    def _counted(
        self, outcomes: Iterable[PostProcessed], explaining: AbstractContextManager[None]
    ) -> Generator[PostProcessed, None, None]:
        """Yield what becomes of the files, and count each once: there may be more outcomes."""
        waiting = {each.prefixed_path for each in self._sources}
        progress = self.progress.step("Post-processing", total=len(waiting))
        with explaining, progress as step, closing(_each(outcomes)) as each:
            for outcome in each:
                step.advance(int(outcome[0] in waiting))
                waiting.discard(outcome[0])
                if self._noted is not None:
                    self._noted |= {name for name in outcome[:2] if name}
                yield printable_outcome(outcome)

    # The rest: plan, transfer, commit, delete what is stale

    def finish(self) -> str | None:
        """Do what is left to do when Django has found and post-processed the files.

        Returns:
            The verdict of ``--check``, None without that option.

        Raises:
            CollectfastaError: The files are not deployed.
        """
        if self._stage:
            self._send_staged(self._stage)
        elif self._noted is None:
            self._send_found(is_replaced=False)
        self._kept |= self._noted or set()
        if self._uncalled:
            untold = self._untold(self._uncalled)
            self._console.warn(f"A dry run {untold}: what is stale is left out.")
        with self.target.explaining():
            self._delete_stale()
        return verdict(self.report) if self.options.check else None

    def _send_found(self, *, is_replaced: bool) -> None:
        self._keep_published(is_replaced=is_replaced)
        self._kept |= {source.name for source in self._sources}
        with self.target.explaining():
            self._list_stored()
            decisions = self.target.plan(self._found_files)
            self._announce(decisions)
            if not self.options.dry_run:
                self.target.send(decisions, self._on_sent)
            self._count(decisions, {each.name: each for each in self._sources}.get)

    def _send_staged(self, stage: Stage) -> None:
        """Send what was staged, the manifest last."""
        sender, hashed = self.sender, stage.hashed_files
        files = without_originals(stage) if settings.hashed_only else stage.files
        places = {each.name: _placed(each, sender) for each in files}
        batch = [*places.values()]
        if stage.manifest and not stage.manifest_storage:
            stage.manifest = _placed(stage.manifest, sender)
            batch.append(stage.manifest)
        self._kept |= {getattr(self._storage, "manifest_name", ""), *_names(batch)}
        with self.target.explaining():
            self._list_stored()
            decisions = self.target.plan(batch)
            self._announce(decisions)
            if self.options.dry_run:
                self._announce(plan_elsewhere(self.target, stage))
            else:
                manifest = [each for each in decisions if each.source is stage.manifest]
                others = [each for each in decisions if each.source is not stage.manifest]
                self.target.send(others, self._on_sent)
                self.is_unpublished = False
                self._kept |= _names(publish(self.target, manifest, stage, self._on_sent))
            self._count(
                decisions, lambda name: places.get(name) or places.get(hashed.get(name, ""))
            )

    def _list_stored(self) -> None:
        if self._console.clear or self.options.prune:
            self._stored = list_stored(
                self.target,
                prune=self.options.prune,
                grace=self.options.grace,
                warn=self._console.warn,
            )

    def _keep_published(self, *, is_replaced: bool) -> None:
        """Keep what the manifest of the last deploy names, where pruning has to.

        Args:
            is_replaced: There will be another manifest.
        """
        if self.options.prune and not (is_replaced and self.options.grace is None):
            self._kept |= published_names(self._storage)

    def _delete_stale(self) -> None:
        if not (self._console.clear or self.options.prune):
            return
        names: list[str] = []
        if not self._uncalled:
            names = find_stale(self.target, self._stored, self._kept, self.options.grace)
            if self._posts_itself or self.sender.store.saves_itself:
                names = without_variants(
                    self.target, names, self._kept, self._began, self._console.warn
                )
        stale = StaleObjects(names)
        self._console.clear_stale(stale)
        if self.options.dry_run:
            self.report.deleted += stale.names
        else:
            delete_stale(self.sender, stale.deleted, self.report.deleted, self.progress)

    # What is said of it

    def _announce(self, decisions: Sequence[Decision]) -> None:
        """Say what stays and, in a dry run, what would be sent."""
        for each in decisions:
            source = each.source
            if each.reason is Reason.UNMODIFIED:
                self._console.log(f"Skipping '{source.path}' (not modified)")
                if not self.options.dry_run:
                    self.sender.on_skip_hook(source.path, source.prefixed_path, source.storage)
                continue
            if self.options.dry_run:
                self._console.log(f"Pretending to copy '{self._label(source)}'", level=1)
            self._console.log(f"To be sent: '{source.name}' ({named(each.reason, 1)})", level=3)

    def _on_sent(self, source: SourceFile) -> None:
        self._console.log(f"Copying '{self._label(source)}'")
        self.sender.post_copy_hook(source.path, source.prefixed_path, source.storage)

    def _label(self, source: SourceFile) -> str:
        """Return the path of a file that was found, and the name of one that was made of it."""
        return source.label if source in self._sources else source.name

    def _count(
        self, decisions: Sequence[Decision], place: Callable[[str], SourceFile | None]
    ) -> None:
        """Fill Django's lists: they count the files that were found, not what is made of them.

        Args:
            decisions: What became of the files that are deployed.
            place: Returns the file that is deployed for a name that was found.
        """
        reasons = {each.source.name: each.reason for each in decisions}
        for source in self._sources:
            deployed = place(source.name)
            if deployed is None:
                continue
            is_unmodified = reasons[deployed.name] is Reason.UNMODIFIED
            console = self._console
            counted = console.unmodified_files if is_unmodified else console.copied_files
            counted.append(source.prefixed_path)


def _placed(source: SourceFile, strategy: Strategy[Any]) -> SourceFile:
    """Return a file where a strategy's ``copy_args_hook`` wants it."""
    args = source.path, source.prefixed_path, source.storage
    placed = strategy.copy_args_hook(args)
    return source if placed == args else SourceFile(*placed)


def _names(files: Iterable[SourceFile]) -> set[str]:
    return {each.name for each in files}


def _restore_unpublished(stage: Stage) -> None:
    """Let the process's storage name the last deploy's files, unless this one has succeeded."""
    if not stage.is_published:
        stage.restore()


def _each(outcomes: Iterable[PostProcessed]) -> Generator[PostProcessed, None, None]:
    """Yield all of them. Closing this closes them too, where they can be."""
    yield from outcomes
