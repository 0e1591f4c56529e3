"""Django's ``collectstatic``, with one deploy in the place of copying file by file."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import chain
from types import SimpleNamespace
from typing import Any

from django.conf import STATICFILES_STORAGE_ALIAS
from django.conf import settings as django_settings
from django.contrib.staticfiles.management.commands import collectstatic
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import Storage
from django.core.management.base import CommandError, CommandParser

from collectfasta import checks, settings
from collectfasta.commit import commit, without_manifest
from collectfasta.deploy import Deploy, in_words
from collectfasta.errors import CollectfastaError, describe, printable, redact
from collectfasta.interrupts import terminable
from collectfasta.leftovers import Leftovers, find_leftovers
from collectfasta.plan import Plan, Reason, check_sources
from collectfasta.shadowing import noting_names, unwrapped
from collectfasta.source import SourceFile
from collectfasta.staging import PostProcessed, Stage, printable_outcome, without_originals
from collectfasta.strategies import Strategy, load_strategy
from collectfasta.strategies.selection import explain_unmade, strategy_for

PostProcessing = Generator[PostProcessed, None, None]


class Command(collectstatic.Command):
    """Collect static files and send to the storage what it doesn't have.

    Django's command finds the files, asks its questions and writes its summary. Where a strategy
    goes with the storage, what is found is planned, transferred and committed as a whole;
    otherwise all is Django's.
    """

    strategy: Strategy[Any] | None = None
    traceback = False
    is_unpublished = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # In the order in which they are found; a dict, to be asked for one as well.
        self.sources: dict[SourceFile, None] = {}
        self.facts: str | None = None

    def add_arguments(self, parser: CommandParser) -> None:
        """Add ``--disable-collectfasta`` to Django's options."""
        super().add_arguments(parser)
        parser.add_argument(
            "--disable-collectfasta",
            action="store_true",
            help="Run Django's own collectstatic command.",
        )
        parser.add_argument(
            "--force",
            action="store_true",
            help="Send every file, also those that the storage has already.",
        )

    def get_check_kwargs(self, options: dict[str, Any]) -> Any:
        """Leave Collectfasta's checks out where Django's own command is asked for."""
        kwargs: Any = super().get_check_kwargs(options)
        if options.get("disable_collectfasta"):
            kwargs["app_configs"] = checks.all_other_apps()
        return kwargs

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command and, behind Django's summary, say what it took."""
        output: str | None = super().execute(*args, **options)
        if self.facts and self.verbosity >= 1:
            self.stdout.write(self.facts)
        return output

    def handle(self, **options: Any) -> str | None:
        """Run Django's command, and end cleanly if told to stop.

        Raises:
            CommandError: The deploy was interrupted or failed, or Django's command did.
        """
        if options.get("disable_collectfasta") or not self._is_enabled():
            return self._handle(**options)
        self.is_unpublished = False
        try:
            with terminable():
                return self._handle(**options)
        except KeyboardInterrupt:
            unpublished = "the manifest was not published, " if self.is_unpublished else ""
            raise CommandError(
                f"Interrupted: what was sent stays, {unpublished}and the next run sends the rest.",
                returncode=130,
            ) from None

    def _handle(self, **options: Any) -> str | None:
        output: str | None = super().handle(**options)
        return output

    def set_options(self, **options: Any) -> None:
        """Take Django's options, and make the strategy unless Django's own way is asked for.

        Raises:
            CommandError: Collectfasta's settings can't be used.
        """
        disabled = options.pop("disable_collectfasta", False)
        forced = options.pop("force", False)
        super().set_options(**options)
        self.is_forced = self.clear or forced
        self.traceback = options.get("traceback", False)
        self.sources, self.strategy, self.facts = {}, None, None
        if disabled or self.symlink or not self._is_enabled():
            return
        self.strategy = self._make_strategy()

    @staticmethod
    def _is_enabled() -> bool:
        try:
            return settings.enabled
        except ValueError as error:
            raise CommandError(str(error)) from None

    @staticmethod
    def _load_strategy() -> type[Strategy[Storage]] | None:
        """Return the configured strategy, else the one for the storage; None if there is none."""
        configured = settings.strategy or strategy_for(staticfiles_storage.__class__)
        return load_strategy(configured) if configured else None

    def _make_strategy(self) -> Strategy[Any] | None:
        for problem in chain.from_iterable(check(None) for check in checks.ALL_CHECKS):
            # Warnings are told before the command, where checks are run at all.
            if problem.is_serious():
                raise CommandError(f"{problem.msg} {problem.hint or ''}".rstrip())
        failure = self._explain_storage()
        if failure:
            raise CommandError(failure)
        strategy_class = self._load_strategy()
        if strategy_class is None:
            name = self.storage.__class__.__name__
            self.log(f"Collectfasta has no strategy for {name}: Django's own way is taken.")
            return None
        strategy = strategy_class(self.storage)
        strategy.dry_run = self.dry_run
        self.storage = strategy.target_storage
        return strategy

    def _explain_storage(self) -> str | None:
        """Make the storage, and say why it can't be made; None if it can.

        A manifest storage loads the manifest of the last deploy there, whatever that has become.
        """
        try:
            unwrapped(staticfiles_storage)
        except ImproperlyConfigured:
            raise
        except Exception as error:  # noqa: BLE001 - it may ask its remote, by any SDK
            cause = describe(error, settings.secrets(), full=self._is_full)
            reason = explain_unmade(django_settings.STORAGES[STATICFILES_STORAGE_ALIAS], error)
            if reason:
                reason = redact(reason, settings.secrets())
                return f"{reason}\n{cause}" if self._is_full else reason
            return (
                f"The storage of the static files can't be made: {cause}\n"
                "If it is the manifest of an earlier deploy that can't be loaded, delete that: it "
                "is written anew."
            )
        return None

    def log(self, msg: str, level: int = 2) -> None:
        """Print a line, in which no name of a file can end it or steer the terminal."""
        super().log(msg if self.strategy is None else printable(msg), level)

    def copy_file(self, path: str, prefixed_path: str, source_storage: Storage) -> None:
        """Gather a file that a finder found; all are deployed as a whole later."""
        if self.strategy is None:
            super().copy_file(path, prefixed_path, source_storage)
        else:
            source = SourceFile(path, prefixed_path, source_storage)
            self.sources[self.strategy.place(source)] = None

    def clear_dir(self, path: str) -> None:
        """Delete nothing yet: what is left over is deleted when everything else is in place."""
        if self.strategy is None:
            super().clear_dir(path)

    def collect(self) -> dict[str, list[str]]:
        """Let Django find the files, and deploy them when it would post-process them."""
        if self.strategy is None:
            return self._collect()
        steps = self._deploy(self.strategy, self.post_process)
        storage, post_process = self.storage, self.post_process
        # All that Django's collect() asks of its storage is to post-process.
        stand_in = SimpleNamespace(post_process=lambda *_, **__: map(printable_outcome, steps))
        self.storage, self.post_process = stand_in, True
        try:
            # Closed, because Django's loop may end before it does: what it has set up ends here.
            with closing(steps):
                return self._collect()
        except CollectfastaError as error:
            failure = str(error)
        finally:
            self.storage, self.post_process = storage, post_process
        # Out here it has no context, whose texts may hold a signed URL.
        raise CommandError(failure)

    def _collect(self) -> dict[str, list[str]]:
        collected: dict[str, list[str]] = super().collect()
        return collected

    def _deploy(self, strategy: Strategy[Any], is_post_processing: bool) -> PostProcessing:
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
            with in_words(strategy, full=self._is_full):
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
            with in_words(strategy, full=self._is_full):
                self._delete_leftovers(deploy, kept)

    def _deploy_staged(self, strategy: Strategy[Any], sender: Strategy[Any]) -> PostProcessing:
        """Post-process locally, send the difference, the manifest last."""
        with in_words(sender, full=self._is_full):
            check_sources([*self.sources], sender)
        self.is_unpublished = True
        with strategy.stage([*self.sources]) as stage, self._withdrawing(stage):
            yield from stage.post_process(dry_run=self.dry_run)
            with self._deploying(sender) as deploy, in_words(sender, full=self._is_full):
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
                self._delete_leftovers(deploy, kept)

    @contextmanager
    def _deploying(self, strategy: Strategy[Any]) -> Iterator[Deploy]:
        """Make a deploy ready and, however it ends, remember what it has done."""
        with in_words(strategy, full=self._is_full):
            deploy = Deploy(
                strategy, dry_run=self.dry_run, forced=self.is_forced, full=self._is_full
            )
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
        with in_words(strategy, full=self._is_full):
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

    def _delete_leftovers(self, deploy: Deploy, kept: set[str]) -> None:
        """Delete what earlier deploys left, through Django's clear_dir() for its messages."""
        if not self.clear:
            return
        strategy, warn = deploy.strategy, lambda text: self.log(text, level=1)
        names = find_leftovers(strategy, deploy.pairs, kept, warn=warn)
        storage, self.storage = self.storage, Leftovers(names)
        try:
            super().clear_dir("")
            strategy.delete_files(self.storage.deleted)
        finally:
            self.storage = storage

    @property
    def _is_full(self) -> bool:
        return self.traceback or settings.debug


def _manifest_for(sender: Strategy[Any], stage: Stage) -> list[SourceFile]:
    """Return the manifest, if it goes where the files go."""
    if stage.manifest is None or stage.manifest_storage:
        return []
    stage.manifest = sender.place(stage.manifest)
    return [stage.manifest]


def _names(files: Iterable[SourceFile]) -> set[str]:
    return {each.name for each in files}
