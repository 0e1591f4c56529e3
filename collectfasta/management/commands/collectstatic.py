"""Django's ``collectstatic``, with one deploy in the place of copying file by file."""

from __future__ import annotations

from contextlib import closing
from itertools import chain
from types import SimpleNamespace
from typing import Any

from django.conf import STATICFILES_STORAGE_ALIAS
from django.conf import settings as django_settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import Storage
from django.core.management.base import CommandError, CommandParser

from collectfasta import checks, settings
from collectfasta.errors import CollectfastaError, describe, printable, redact
from collectfasta.management.deploying import DeployingCommand
from collectfasta.management.reporting import reporting
from collectfasta.options import Options, add_options, read_options, refuse_ours
from collectfasta.record import Record
from collectfasta.report import ReportError, check_path
from collectfasta.shadowing import unwrapped
from collectfasta.source import SourceFile
from collectfasta.staging import printable_outcome
from collectfasta.strategies import Strategy, load_strategy
from collectfasta.strategies.selection import explain_unmade, strategy_for
from collectfasta.terminal.session import Session


class Command(DeployingCommand):
    """Collect static files and send to the storage what it doesn't have.

    Django's command finds the files, asks its questions and writes its summary. Where a strategy
    goes with the storage, what is found is planned, transferred and committed as a whole;
    otherwise all is Django's.
    """

    _is_process = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sources = {}

    def add_arguments(self, parser: CommandParser) -> None:
        """Add Collectfasta's options to Django's."""
        super().add_arguments(parser)
        add_options(parser)

    def get_check_kwargs(self, options: dict[str, Any]) -> Any:
        """Leave Collectfasta's checks out where Django's own command is asked for."""
        kwargs: Any = super().get_check_kwargs(options)
        if options.get("disable_collectfasta"):
            kwargs["app_configs"] = checks.all_other_apps()
        return kwargs

    def run_from_argv(self, argv: list[str]) -> None:
        """Run the command as what this process is for, whose end depends on it too."""
        self._is_process = True
        super().run_from_argv(argv)

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command.

        Raises:
            CommandError: It was interrupted, or failed.
            ImproperlyConfigured: Settings can't be used. A process says so in a line instead.
        """
        if self._is_off(options):
            return self._execute(*args, **options)
        session = Session(self, options, self.interrupted, is_process=self._is_process)
        with session:
            self.progress = session.progress
            return self._execute(*args, **options)

    def _is_off(self, options: dict[str, Any]) -> bool:
        """Return whether Collectfasta is off; settings that are yet to be refused are its own."""
        try:
            return bool(options.get("disable_collectfasta")) or not settings.enabled
        except ValueError:
            return False

    def interrupted(self) -> str:
        """Return what the user has to know when the deploy was interrupted."""
        unpublished = "the manifest was not published, " if self.is_unpublished else ""
        return f"Interrupted: what was sent stays, {unpublished}and the next run sends the rest."

    def _execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command; behind Django's summary say what it took, and write the report."""
        self.is_unpublished, self.options, self.record = False, Options(), Record()
        with reporting(lambda: self.record, self.interrupted, lambda text: self.stderr.write(text)):
            output: str | None = super().execute(*args, **options)
        if self.facts and self.verbosity >= 1:
            self.stdout.write(self.facts, self.style.SUCCESS)
        return output

    def set_options(self, **options: Any) -> None:
        """Take Django's options, and make the strategy unless Django's own way is asked for.

        Raises:
            CommandError: Collectfasta's settings can't be used.
        """
        super().set_options(**options)
        self.sources, self.strategy, self.facts = {}, None, None
        where = self._where_django_works(options)
        if where:
            self._refuse_ours(options, where)
            return
        self._refuse_problems()
        self._take(self._read_options(options))
        self.strategy = self.record.strategy = self._make_strategy()
        if self.strategy is None:
            # Nothing is known of what Django does, so there is nothing to report.
            self.record = Record()
            name = self.storage.__class__.__name__
            self._refuse_ours(options, f"for {name}, which it has no strategy for")

    def _where_django_works(self, options: dict[str, Any]) -> str | None:
        """Return what makes Django's own way to be taken, None where nothing does."""
        if options.get("disable_collectfasta"):
            return "with --disable-collectfasta"
        if self.symlink:
            return "with --link"
        return None if self._is_enabled() else "while COLLECTFASTA_ENABLED is False"

    @staticmethod
    def _refuse_ours(options: dict[str, Any], where: str) -> None:
        try:
            refuse_ours(options, where)
        except ValueError as error:
            raise CommandError(str(error)) from None

    def _take(self, options: Options) -> None:
        """Take the options of a run that begins now.

        Raises:
            CommandError: The report can't be written.
        """
        if options.report is not None:
            try:
                check_path(options.report)
            except ReportError as error:
                raise CommandError(str(error)) from None
        self.options, self.record = options, Record(options)
        self.dry_run = options.dry_run
        if options.check:
            # Nothing is written, so there is nothing to confirm.
            self.interactive = False

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

    @staticmethod
    def _refuse_problems() -> None:
        for problem in chain.from_iterable(check(None) for check in checks.ALL_CHECKS):
            # Warnings are told before the command, where checks are run at all.
            if problem.is_serious():
                raise CommandError(f"{problem.msg} {problem.hint or ''}".rstrip())

    @staticmethod
    def _read_options(options: dict[str, Any]) -> Options:
        try:
            return read_options(options)
        except ValueError as error:
            raise CommandError(str(error)) from None

    def _make_strategy(self) -> Strategy[Any] | None:
        failure = self._explain_storage()
        if failure:
            raise CommandError(failure)
        strategy_class = self._load_strategy()
        if strategy_class is None:
            name = self.storage.__class__.__name__
            self.log(f"Collectfasta has no strategy for {name}: Django's own way is taken.")
            return None
        strategy = strategy_class(self.storage)
        strategy.dry_run = self.options.dry_run
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
            cause = describe(error, settings.secrets(), full=self.options.full)
            reason = explain_unmade(django_settings.STORAGES[STATICFILES_STORAGE_ALIAS], error)
            if reason:
                reason = redact(reason, settings.secrets())
                return f"{reason}\n{cause}" if self.options.full else reason
            return (
                f"The storage of the static files can't be made: {cause}\n"
                "If it is the manifest of an earlier deploy that can't be loaded, delete that: it "
                "is written anew."
            )
        return None

    def log(self, msg: str, level: int = 2) -> None:
        """Print a line, in which no name of a file can end it or steer the terminal."""
        super().log(msg if self.strategy is None else printable(msg), level)

    def warn(self, msg: str) -> None:
        """Print a line that the user should see."""
        if self.verbosity >= 1:
            self.stdout.write(printable(msg), self.style.WARNING)

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
        steps = self.deploy(self.strategy, self.post_process)
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
