"""Run the ``staticfiles_tests`` of a Django source distribution through Collectfasta's command.

Usage: ``python staticfiles_suite.py path/to/django/tests``, in an environment that has that Django
and Collectfasta. No setting changes but the installed apps: wherever Django's tests install
``django.contrib.staticfiles``, ``collectfasta`` goes in front of it. That every ``collectstatic``
which then ran was our command is counted, not assumed. Out of reach are the few calls of methods
on an instance that a test makes of Django's own class.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from django.apps import AppConfig
from django.contrib.staticfiles.management.commands.collectstatic import Command as DjangoCommand
from django.core.management.base import BaseCommand
from django.test.utils import override_settings

from collectfasta.management.commands.collectstatic import Command


def in_front(installed_apps: Sequence[str]) -> list[str]:
    """Return the apps with ``collectfasta`` in front of ``django.contrib.staticfiles``, if there.

    An entry may also be the path of an app configuration, such as the one in Django's tests that
    extends that of ``staticfiles``.
    """
    apps = list(installed_apps)
    if "collectfasta" in apps:
        return apps
    for position, entry in enumerate(apps):
        if AppConfig.create(entry).name == "django.contrib.staticfiles":
            return [*apps[:position], "collectfasta", *apps[position:]]
    return apps


def install_collectfasta(runtests: Any) -> None:
    """Let Django's tests install ``collectfasta``.

    It is there from the start, in each override of the settings, and in the settings that a test
    writes for a subprocess.
    """
    runtests.ALWAYS_INSTALLED_APPS = in_front(runtests.ALWAYS_INSTALLED_APPS)
    scripts = importlib.import_module("admin_scripts.tests").AdminScriptTestCase
    enable = override_settings.enable
    write_settings = scripts.write_settings

    def enable_in_front(self: override_settings) -> None:
        if "INSTALLED_APPS" in self.options:
            self.options["INSTALLED_APPS"] = in_front(self.options["INSTALLED_APPS"])
        enable(self)

    def write_settings_in_front(
        self: object, filename: str, apps: Sequence[str], *args: Any, **options: Any
    ) -> None:
        write_settings(self, filename, in_front(apps), *args, **options)

    mock.patch.object(override_settings, "enable", enable_in_front).start()
    mock.patch.object(scripts, "write_settings", write_settings_in_front).start()


def count_commands() -> Counter[type[BaseCommand]]:
    """Count from now on every command that runs, by its class."""
    counts: Counter[type[BaseCommand]] = Counter()
    execute = BaseCommand.execute

    def execute_and_count(self: BaseCommand, *args: Any, **options: Any) -> str | None:
        counts[type(self)] += 1
        return execute(self, *args, **options)

    mock.patch.object(BaseCommand, "execute", execute_and_count).start()
    return counts


def run_tests(runtests: Any) -> int:
    """Run them in this process and return the number of failures."""
    with tempfile.TemporaryDirectory(prefix="django_") as directory:
        # As runtests.py does where it is the main program.
        tempfile.tempdir = os.environ["TMPDIR"] = directory
        failures: int = runtests.django_tests(
            verbosity=1,
            interactive=False,
            failfast=False,
            keepdb=False,
            reverse=False,
            test_labels=["staticfiles_tests"],
            debug_sql=False,
            parallel=1,
            tags=None,
            exclude_tags=None,
            test_name_patterns=None,
            start_at=None,
            start_after=None,
            pdb=False,
            buffer=False,
            timing=False,
            shuffle=False,
        )
    return failures


def went_through_collectfasta(counts: Counter[type[BaseCommand]]) -> bool:
    """Print how often ``collectstatic`` ran, and return whether it was always our command."""
    runs = {each: n for each, n in counts.items() if issubclass(each, DjangoCommand)}
    others = {each: n for each, n in runs.items() if not issubclass(each, Command)}
    ours = sum(runs.values()) - sum(others.values())
    print(f"collectstatic ran {sum(runs.values())} times, {ours} of them as Collectfasta's.")
    for command, count in others.items():
        print(f"{command.__module__}.{command.__qualname__} ran {count} times.", file=sys.stderr)
    return ours > 0 and not others


def main() -> int:
    """Run the tests and return the exit status."""
    tests = Path(sys.argv[1])
    sys.path.insert(0, str(tests))
    os.environ["DJANGO_SETTINGS_MODULE"] = "test_sqlite"
    runtests = importlib.import_module("runtests")
    install_collectfasta(runtests)
    counts = count_commands()
    failures = run_tests(runtests)
    return 0 if went_through_collectfasta(counts) and not failures else 1


if __name__ == "__main__":
    sys.exit(main())
