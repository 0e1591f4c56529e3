"""Django's ``collectstatic``, with one deploy in place of copying file by file."""

from __future__ import annotations

from itertools import chain
from traceback import walk_tb
from typing import Any

from django.conf import STATICFILES_STORAGE_ALIAS
from django.contrib.staticfiles.management.commands import collectstatic
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import Storage
from django.core.management.base import CommandError, CommandParser

from collectfasta import checks, settings
from collectfasta.deploy.commit import StaleObjects
from collectfasta.deploy.deploy import Deploy
from collectfasta.deploy.report import Report, ReportError, check_path, summary, write_report
from collectfasta.errors import CollectfastaError, describe, printable, redact
from collectfasta.options import Options, add_options, read_options, refuse_ours
from collectfasta.patching import unwrapped
from collectfasta.strategies import Strategy, load_strategy
from collectfasta.strategies.selection import explain_unmade, strategy_for
from collectfasta.terminal.session import Session


class Command(collectstatic.Command):
    """Collect static files and send to the storage what it doesn't have.

    Django's command finds the files, asks for confirmation and writes its summary. Where a strategy
    goes with the storage, the files are deployed as a whole; otherwise Django does everything.
    """

    _is_process = False
    _session: Session | None = None
    deploy: Deploy | None = None
    facts: str | None = None

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

    def check(self, *args: Any, **kwargs: Any) -> None:
        """Run the checks; what breaks Django's own is put into words by Collectfasta's."""
        try:
            super().check(*args, **kwargs)
        except (AttributeError, TypeError):
            if self._session is not None:
                self._refuse_problems()
            raise

    def run_from_argv(self, argv: list[str]) -> None:
        """Run the command as what this process is for."""
        self._is_process = True
        super().run_from_argv(argv)

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command; after Django's summary print what it took, and write the report.

        Raises:
            CommandError: It failed, or was interrupted.
        """
        self.deploy, self.facts, self.report = None, None, Report()
        # Wrong settings are Collectfasta's to refuse.
        if options.get("disable_collectfasta") or settings.valid("enabled") is False:
            return self._execute(*args, **options)
        with Session(self, options, self._interrupted, is_process=self._is_process) as session:
            self._session = session
            try:
                output = self._execute_answered(*args, **options)
            except BaseException as error:
                self._report_failure(error)
                raise
            if self.facts and self.verbosity >= 1:
                self.stdout.write(self.facts, self.style.SUCCESS)
            try:
                self._write_report("succeeded", None)
            except ReportError as failure:
                raise CommandError(f"All is done, but: {failure}") from None
        return output

    def _execute(self, *args: Any, **options: Any) -> str | None:
        output: str | None = super().execute(*args, **options)
        return output

    def _execute_answered(self, *args: Any, **options: Any) -> str | None:
        try:
            return self._execute(*args, **options)
        except (EOFError, RuntimeError) as error:
            # By input(): stdin is at its end, or closed.
            if _functions_of(error)[-1] != "handle":
                raise
        raise CommandError("Nobody can answer whether to go on: add --noinput.")

    def _interrupted(self) -> str:
        """Return what the user has to know when the deploy was interrupted."""
        is_unpublished = self.deploy is not None and self.deploy.is_unpublished
        unpublished = "the manifest was not published, " if is_unpublished else ""
        text = f"Interrupted: what was sent stays, {unpublished}and the next run sends the rest."
        sent, asked = len(self.report.sent), self.report.asked
        # Those in flight may have come, too.
        return text + (f" At least {sent:,} of {asked:,} objects were sent." if asked else "")

    def _report_failure(self, error: BaseException) -> None:
        status, text = "failed", describe(error, settings.secrets())
        if isinstance(error, KeyboardInterrupt):
            status, text = "interrupted", self._interrupted()
        elif isinstance(error, CommandError):
            status, text = "differs" if self.report.differs else "failed", str(error)
        try:
            self._write_report(status, text)
        except ReportError as failure:
            # What has failed before is why the command ends.
            self.stderr.write(str(failure))

    def _write_report(self, status: str, error: str | None) -> None:
        path = self.report.options.report
        if path is not None:
            write_report(path, self.report, status=status, error=error)

    def set_options(self, **options: Any) -> None:
        """Take Django's options, and make the deploy unless Django's own way is asked for.

        Raises:
            CommandError: Collectfasta's settings or options can't be used.
        """
        super().set_options(**options)
        try:
            where = self._where_django_works(options)
            if where:
                refuse_ours(options, where)
                return
            self._refuse_problems()
            self._take(read_options(options))
            strategy = self._make_strategy()
            if strategy is None:
                # Nothing is known of what Django does, so there is nothing to report.
                self.report = Report()
                name = self.storage.__class__.__name__
                refuse_ours(options, f"for {name}, which it has no strategy for")
                return
        except (ReportError, ValueError) as error:
            raise CommandError(str(error)) from None
        self.storage = strategy.target_storage
        assert self._session is not None  # noqa: S101 - for the type checker
        self.deploy = Deploy(strategy, self.report, self, self._session.progress)

    def _where_django_works(self, options: dict[str, Any]) -> str | None:
        """Return what makes Django do everything, None where nothing does."""
        if options.get("disable_collectfasta"):
            return "with --disable-collectfasta"
        if self.symlink:
            return "with --link"
        return None if settings.enabled else "while COLLECTFASTA_ENABLED is False"

    def _take(self, options: Options) -> None:
        """Take the options of a run that begins now.

        Raises:
            ReportError: The report can't be written.
        """
        if options.report is not None:
            check_path(options.report)
        self.report = Report(options)
        self.dry_run = options.dry_run
        if options.check:
            # Nothing is written, so there is nothing to confirm.
            self.interactive = False

    @staticmethod
    def _load_strategy() -> type[Strategy[Storage]] | None:
        """Return the configured strategy, else the one for the storage; None if there is none."""
        configured = settings.strategy or strategy_for(staticfiles_storage.__class__)
        return load_strategy(configured) if configured else None

    @staticmethod
    def _refuse_problems() -> None:
        for problem in chain.from_iterable(check(None) for check in checks.ALL_CHECKS):
            # Warnings are shown before the command, where checks are run at all.
            if problem.is_serious():
                raise CommandError(f"{problem.msg} {problem.hint or ''}".rstrip())

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
        strategy.dry_run = self.report.options.dry_run
        return strategy

    def _explain_storage(self) -> str | None:
        """Make the storage, and return why it can't be made; None if it can.

        A manifest storage loads the manifest of the last deploy there, whatever that has become.
        """
        try:
            unwrapped(staticfiles_storage)
        except ImproperlyConfigured:
            raise
        except Exception as error:  # noqa: BLE001 - it may ask its remote, by any SDK
            full = self.report.options.full
            cause = describe(error, settings.secrets(), full=full)
            reason = explain_unmade(settings.entry("STORAGES", STATICFILES_STORAGE_ALIAS), error)
            if reason:
                reason = redact(reason, settings.secrets())
                return f"{reason}\n{cause}" if full else reason
            unmade = f"The storage of the static files can't be made: {cause}"
            if not _is_of_manifest(error):
                return unmade
            return (
                f"{unmade}\nThe manifest of an earlier deploy is damaged: delete it, and the next "
                "deploy writes another."
            )
        return None

    def log(self, msg: str, level: int = 2) -> None:
        """Print a line, in which no name of a file can end it or steer the terminal."""
        super().log(msg if self.deploy is None else printable(msg), level)

    def warn(self, msg: str) -> None:
        """Print a line that the user should see."""
        if self.verbosity >= 1:
            self.stdout.write(printable(msg), self.style.WARNING)

    def copy_file(self, path: str, prefixed_path: str, source_storage: Storage) -> None:
        """Gather a file that a finder has found; all are deployed as a whole later."""
        if self.deploy is None:
            super().copy_file(path, prefixed_path, source_storage)
        else:
            self.deploy.find(path, prefixed_path, source_storage)

    def clear_dir(self, path: str) -> None:
        """Delete nothing yet: stale objects are deleted when everything else is in place."""
        if self.deploy is None:
            super().clear_dir(path)

    def clear_stale(self, stale: StaleObjects) -> None:
        """Let Django's own method name, count and delete stale objects."""
        storage, verbosity = self.storage, self.verbosity
        self.storage = stale
        if self.report.options.prune and self.dry_run and verbosity:
            # From 6.0 on, Django prints these at verbosity 2; copies it prints at 1.
            self.verbosity = max(verbosity, 2)
        try:
            super().clear_dir("")
        finally:
            self.storage, self.verbosity = storage, verbosity

    def collect(self) -> dict[str, list[str]]:
        """Let Django find the files and post-process them, then deploy them.

        Raises:
            CommandError: They could not be deployed.
        """
        if self.deploy is None:
            return self._collect()
        storage = self.storage
        # All that Django's collect() asks of its storage is to post-process.
        self.storage = self.deploy
        try:
            with self.deploy:
                collected = self._collect()
                self.facts = self.deploy.finish()
        except CollectfastaError as error:
            failure = str(error)
        else:
            collected["modified"] = self.copied_files + self.symlinked_files
            self.facts = self.facts or self._summary()
            return collected
        finally:
            self.storage = storage
        # Out here it has no context, whose texts may hold a signed URL.
        raise CommandError(failure)

    def _collect(self) -> dict[str, list[str]]:
        collected: dict[str, list[str]] = super().collect()
        return collected

    def _summary(self) -> str:
        assert self.deploy is not None  # noqa: S101 - for the type checker
        cls = type(self.deploy.strategy)
        # Whoever has written a strategy knows it by its name.
        is_ours = cls.__module__.startswith("collectfasta.")
        service = (is_ours and self.deploy.sender.store.service) or cls.__name__
        return summary(self.report, service, verbose=self.verbosity >= 2)


def _is_of_manifest(error: BaseException) -> bool:
    """Return whether a manifest that was read is what an error is about."""
    names = _functions_of(error)
    # Django makes an error of its own of each of json's but this one.
    is_deep = isinstance(error, RecursionError) and "load_manifest" in names
    return is_deep or names[-1:] in (["load_manifest"], ["read_manifest"])


def _functions_of(error: BaseException) -> list[str]:
    """Return the names of the functions that an error went through; the last has raised it."""
    return [frame.f_code.co_name for frame, _ in walk_tb(error.__traceback__)]
