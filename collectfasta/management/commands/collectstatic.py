"""Django's ``collectstatic``, with one deploy in the place of copying file by file."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from django.contrib.staticfiles.management.commands import collectstatic
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.files.storage import Storage
from django.core.management.base import CommandError, CommandParser
from django.template.defaultfilters import filesizeformat

from collectfasta import checks, settings
from collectfasta.checksums import Pair
from collectfasta.commit import commit, load_pairs, remember
from collectfasta.errors import describe, redact
from collectfasta.leftovers import Leftovers, find_leftovers, noting_names
from collectfasta.plan import Plan, PlanError, Reason, make_plan
from collectfasta.source import SourceFile
from collectfasta.strategies import Strategy, load_strategy
from collectfasta.strategies.selection import strategy_for
from collectfasta.transfer import Report, TransferError, transfer

PostProcessed = tuple[str, str | None, bool | Exception]


class Command(collectstatic.Command):
    """Collect static files and send to the storage what it doesn't have.

    Django's command finds the files, asks its questions and writes its summary. Where a strategy
    goes with the storage, what is found is planned, transferred and committed as a whole;
    otherwise all is Django's.
    """

    strategy: Strategy[Any] | None = None
    traceback = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sources: list[SourceFile] = []
        self.facts: str | None = None

    def add_arguments(self, parser: CommandParser) -> None:
        """Add ``--disable-collectfasta`` to Django's options."""
        super().add_arguments(parser)
        parser.add_argument(
            "--disable-collectfasta",
            action="store_true",
            help="Run Django's own collectstatic command.",
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

    def set_options(self, **options: Any) -> None:
        """Take Django's options, and make the strategy unless Django's own way is asked for.

        Raises:
            CommandError: Collectfasta's settings can't be used.
        """
        disabled = options.pop("disable_collectfasta", False)
        super().set_options(**options)
        self.traceback = options.get("traceback", False)
        self.sources, self.strategy, self.facts = [], None, None
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
        for check in (checks.check_settings, checks.check_cache, checks.check_strategy):
            for problem in check(None):
                raise CommandError(f"{problem.msg} {problem.hint or ''}".rstrip())
        strategy_class = self._load_strategy()
        if strategy_class is None:
            name = self.storage.__class__.__name__
            self.log(f"Collectfasta has no strategy for {name}: Django's own way is taken.")
            return None
        strategy = strategy_class(self.storage)
        strategy.dry_run = self.dry_run
        self.storage = strategy.wrapped_storage
        return strategy

    def copy_file(self, path: str, prefixed_path: str, source_storage: Storage) -> None:
        """Gather a file that a finder found; all are deployed as a whole later."""
        if self.strategy is None:
            super().copy_file(path, prefixed_path, source_storage)
        else:
            args = self.strategy.copy_args_hook((path, prefixed_path, source_storage))
            self.sources.append(SourceFile(*args))

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
        self.storage, self.post_process = SimpleNamespace(post_process=lambda *_, **__: steps), True
        try:
            return self._collect()
        finally:
            self.storage, self.post_process = storage, post_process

    def _collect(self) -> dict[str, list[str]]:
        collected: dict[str, list[str]] = super().collect()
        return collected

    def _deploy(self, strategy: Strategy[Any], is_post_processing: bool) -> Iterator[PostProcessed]:
        """Plan, transfer, post-process, commit; yield what Django's post-processing yields."""
        started = time.monotonic()
        report = Report()
        kept = {source.name for source in self.sources}
        with self._in_words(strategy):
            threads = _connect(strategy)
            cache, pairs = load_pairs(strategy)
            plan = make_plan(
                self.sources,
                strategy,
                pairs,
                threads=threads,
                forced=self.clear,
                full=self._is_full,
            )
            self._announce(plan)
        try:
            with self._in_words(strategy):
                if not self.dry_run:
                    transfer(plan, strategy, report, threads=threads, on_sent=self._on_sent)
                    commit(report, strategy, full=self._is_full)
                self.copied_files += [each.source.prefixed_path for each in plan.uploads]
            if is_post_processing and hasattr(strategy.wrapped_storage, "post_process"):
                with noting_names(strategy.wrapped_storage, dry_run=self.dry_run) as names:
                    for processed in self._post_process(strategy.wrapped_storage):
                        kept |= {name for name in processed[:2] if name}
                        yield processed
                kept |= names
            with self._in_words(strategy):
                if self.clear:
                    self._delete_leftovers(strategy, pairs, kept)
        finally:
            if cache and not self.dry_run:
                remember(cache, plan, report)
        self.facts = _tell(strategy, plan, report, time.monotonic() - started, self.dry_run)

    def _post_process(self, storage: Any) -> Iterator[PostProcessed]:
        found = {each.prefixed_path: (each.storage, each.path) for each in self.sources}
        yield from storage.post_process(found, dry_run=self.dry_run)

    def _announce(self, plan: Plan) -> None:
        for each in plan.decisions:
            source = each.source
            if each.reason is Reason.UNMODIFIED:
                self.unmodified_files.append(source.prefixed_path)
                self.log(f"Skipping '{source.path}' (not modified)")
                if not self.dry_run:
                    self._call_hook("on_skip_hook", source)
            elif self.dry_run:
                self.log(f"Pretending to copy '{source.label}'", level=1)

    def _on_sent(self, source: SourceFile) -> None:
        self.log(f"Copying '{source.label}'")
        self._call_hook("post_copy_hook", source)

    def _call_hook(self, name: str, source: SourceFile) -> None:
        getattr(self.strategy, name)(source.path, source.prefixed_path, source.storage)

    def _delete_leftovers(
        self, strategy: Strategy[Any], pairs: Mapping[str, Pair], kept: Iterable[str]
    ) -> None:
        """Delete what earlier deploys left, through Django's clear_dir() for its messages."""
        names = find_leftovers(strategy, pairs, kept, warn=lambda text: self.log(text, level=1))
        storage, self.storage = self.storage, Leftovers(names)
        try:
            super().clear_dir("")
            strategy.delete_files(self.storage.deleted)
        finally:
            self.storage = storage

    @property
    def _is_full(self) -> bool:
        return self.traceback or settings.debug

    @contextmanager
    def _in_words(self, strategy: Strategy[Any]) -> Iterator[None]:
        """Turn expected errors into one that the command line shows without a traceback."""
        try:
            yield
        except (TransferError, PlanError) as error:
            raise CommandError(str(error)) from None
        except Exception as error:
            reason = strategy.explain_error(error)
            if reason is None and isinstance(error, strategy.remote_errors):
                reason = describe(error)
            if reason is None:
                raise
            if self._is_full:
                reason += "\n" + describe(error, full=True)
            # Without its cause, whose text may hold a signed URL.
            raise CommandError(redact(reason, strategy.secrets)) from None


def _connect(strategy: Strategy[Any]) -> int:
    """Make a strategy ready and return how many threads it gets."""
    threads = settings.threads
    if threads is None:
        threads = strategy.default_threads
    strategy.connect(threads)
    return threads


def _tell(strategy: Strategy[Any], plan: Plan, report: Report, seconds: float, is_dry: bool) -> str:
    """Say what a deploy took, in a line."""
    number, size = len(report.sent), report.size
    if is_dry:
        number = len(plan.uploads)
        size = sum(each.source.size or 0 for each in plan.uploads)
    objects = f"{number} object{'' if number == 1 else 's'}"
    # A narrow terminal may break the line here.
    amount = filesizeformat(size).replace("\xa0", " ")
    requests = strategy.requests_made
    made = "" if requests is None else f", {requests} request{'' if requests == 1 else 's'}"
    return (
        f"{type(strategy).__name__}: {objects} ({amount}) {'to be sent' if is_dry else 'sent'} "
        f"to {strategy.target_name}{made}, {seconds:.1f} s."
    )
