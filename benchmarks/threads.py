"""Measure first deploys to S3 with different numbers of threads.

Run it from the top of the checkout: ``python -m benchmarks.threads``; ``--help`` tells the options.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.environment import clean_environment, machine
from benchmarks.fast_s3 import serve
from benchmarks.measured_process import ProcessError, Usage, measure
from benchmarks.side_path import BucketState, FastS3Server
from benchmarks.static_tree import write_tree
from benchmarks.tables import kinds, markdown_table, spread
from tests.servers.process import ServerError

_CHECKOUT = Path(__file__).resolve().parent.parent
_MANAGE = Path(__file__).resolve().parent / "project" / "manage.py"
_LOCATION = "static/"

_THREADS = [0, 4, 8, 16, 20, 32, 64]
_THREADS_HELP = f"numbers of threads to compare ({' '.join(map(str, _THREADS))})"
_LATENCY_HELP = "milliseconds by which the server holds back each answer (20)"
_DISTANT_HELP = "hold back each 100 Continue for as long, as a network's round trip does"
_PACKAGES = ("Django", "django-storages", "boto3", "botocore")


class BenchmarkError(Exception):
    """A bucket is not what it should be."""


@dataclass(frozen=True)
class Scenario:
    """What is deployed, how far away, by how many threads.

    Attributes:
        latency: Milliseconds by which the server holds back each answer.
        is_distant: It holds back each "100 Continue" for as long.
        files: How many files there are.
        threads: ``COLLECTFASTA_THREADS``; None sends nothing: a dry run, which does all the rest.
    """

    latency: float
    is_distant: bool
    files: int
    threads: int | None


@dataclass(frozen=True)
class Deploy:
    """What one deploy took.

    Attributes:
        scenario: What it was.
        usage: What the client's process took.
        requests: How many requests of each kind arrived at the server.
        server_cpu_seconds: What the server worked for it.
        load: The machine's load when it began: what else wanted a CPU.
    """

    scenario: Scenario
    usage: Usage
    requests: Mapping[str, int]
    server_cpu_seconds: float
    load: float

    def as_json(self) -> dict[str, Any]:
        """Return the figures in one level."""
        return {
            **asdict(self.scenario),
            **self.usage._asdict(),
            "requests": dict(self.requests),
            "server_cpu_seconds": self.server_cpu_seconds,
            "load": self.load,
        }


class Benchmark:
    """Deploys one tree, each time to a bucket that is empty.

    Args:
        root: An empty directory, for the tree.
        files: How many files the tree has.
    """

    def __init__(self, root: Path, files: int) -> None:
        self._root = root
        self._files = files
        self._checksums = write_tree(root, files)

    def deploys(
        self, latency: float, is_distant: bool, numbers: Sequence[int | None], repeats: int
    ) -> Iterator[Deploy]:
        """Deploy with each number of threads in turn, as often as asked.

        Args:
            latency: As a scenario's.
            is_distant: As a scenario's.
            numbers: Numbers of threads.
            repeats: How many deploys there are with each.

        Raises:
            BenchmarkError: A bucket does not hold the tree, byte for byte.
            ProcessError: A deploy failed.
            ServerError: The server does not start.
        """
        scenario = partial(Scenario, latency, is_distant, self._files)
        with serve(latency / 1000, is_distant=is_distant) as server:
            # The first process compiles the checkout's modules.
            self._deploy(server, scenario(None))
            for repeat in range(repeats):
                # There and back, so that a machine that slows down favours none.
                for number in numbers if repeat % 2 == 0 else reversed(numbers):
                    _tell(f"{latency:g} ms, round {repeat + 1}: {_label(number)} ...")
                    yield self._deploy(server, scenario(number))

    def _deploy(self, server: FastS3Server, scenario: Scenario) -> Deploy:
        bucket = "deploy"
        server.forget(bucket)
        before, load = server.look_at(bucket), os.getloadavg()[0]
        command = [sys.executable, str(_MANAGE), "collectstatic", "--noinput"]
        if scenario.threads is None:
            command.append("--dry-run")
        environment = {
            **clean_environment(),
            "PYTHONPATH": str(_CHECKOUT),
            "BENCHMARK_APPS": "collectfasta",
            "BENCHMARK_BUCKET": bucket,
            "BENCHMARK_S3_ENDPOINT": server.endpoint,
            "BENCHMARK_THREADS": str(scenario.threads or 0),
            "BENCHMARK_TREE": str(self._root),
        }
        usage = measure([command], environment)
        after = server.look_at(bucket)
        self._check(scenario, after)
        worked = after.server_cpu_seconds - before.server_cpu_seconds
        return Deploy(scenario, usage, after.requests, worked, load)

    def _check(self, scenario: Scenario, state: BucketState) -> None:
        expected = {_LOCATION + name: checksum for name, checksum in self._checksums.items()}
        if scenario.threads is None:
            expected = {}
        if state.objects != expected:
            wrong = {key for key, _ in state.objects.items() ^ expected.items()}
            raise BenchmarkError(
                f"{len(wrong)} objects are missing, wrong or too many after {scenario}, "
                f"such as {min(wrong)!r}."
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit status."""
    options = _parse(arguments)
    facts = _facts()
    # Like Ctrl-C, so that whatever ends the benchmark, it stops its server.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(_headline(facts), flush=True)
    deploys: list[Deploy] = []
    try:
        for measured in _measure_all(options):
            print(f"\n{_title(measured)}\n\n{_table(measured)}", flush=True)
            deploys += measured
            if options.json:
                _write(options.json, facts, deploys)
    except (BenchmarkError, ProcessError, ServerError) as error:
        _tell(str(error))
        return 1
    except KeyboardInterrupt:
        _tell("Interrupted.")
        return 130
    return 0


def _measure_all(options: argparse.Namespace) -> Iterator[list[Deploy]]:
    """Yield the deploys for each latency."""
    numbers = [None, *options.threads]
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        benchmark = Benchmark(Path(directory), options.files)
        for latency in options.latency:
            deploys = benchmark.deploys(latency, options.distant, numbers, options.repeats)
            yield list(deploys)


def _write(path: Path, facts: Mapping[str, Any], deploys: Sequence[Deploy]) -> None:
    record = {**facts, "deploys": [each.as_json() for each in deploys]}
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.threads", description=__doc__)
    add, least_0, least_1 = parser.add_argument, _at_least(0), _at_least(1)
    add("--files", type=least_1, default=300, metavar="N", help="files to deploy (300)")
    add("--latency", type=float, nargs="+", default=[20.0], metavar="MS", help=_LATENCY_HELP)
    add("--distant", action="store_true", help=_DISTANT_HELP)
    add("--threads", type=least_0, nargs="+", default=_THREADS, metavar="N", help=_THREADS_HELP)
    add("--repeats", type=least_1, default=5, metavar="N", help="deploys with each (5)")
    add("--json", type=Path, metavar="FILE", help="write the figures of each deploy to this file")
    return parser.parse_args(arguments)


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        return value

    return number


def _facts() -> dict[str, Any]:
    return {
        **machine(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
    }


def _headline(facts: Mapping[str, Any]) -> str:
    packages = ", ".join(f"{name} {number}" for name, number in facts["packages"].items())
    return (
        f"{facts['started']}, Python {facts['python']}, {packages}.\n"
        f"{facts['system']}, {facts['cpus']} CPUs."
    )


def _title(deploys: Sequence[Deploy]) -> str:
    scenario = deploys[0].scenario
    loads = [each.load for each in deploys]
    unit = "round trip" if scenario.is_distant else "request"
    return (
        f"**{scenario.files:,} files, {scenario.latency:g} ms per {unit}** "
        f"(load {min(loads):.1f}-{max(loads):.1f})"
    )


def _table(deploys: Sequence[Deploy]) -> str:
    """Return the deploys with one latency as an aligned table in Markdown."""
    groups: dict[int | None, list[Deploy]] = {}
    # The first round has them in the order that was asked for.
    for deploy in deploys:
        groups.setdefault(deploy.scenario.threads, []).append(deploy)
    dry = groups[None]
    head = ["threads", "wall s", "CPU s", "CPU ms/file", "peak MB", "server CPU s"]
    rows = [[*head, "requests"]]
    rows += [_row(_label(number), group, dry) for number, group in groups.items()]
    return markdown_table(rows)


def _row(label: str, group: Sequence[Deploy], dry: Sequence[Deploy]) -> list[str]:
    seconds = [each.usage.seconds for each in group]
    cpu_seconds = [each.usage.cpu_seconds for each in group]
    sending = median(cpu_seconds) - median(each.usage.cpu_seconds for each in dry)
    scenario = group[0].scenario
    return [
        label,
        spread(seconds),
        spread(cpu_seconds),
        "" if scenario.threads is None else f"{sending * 1000 / scenario.files:.1f}",
        f"{median(each.usage.peak_bytes for each in group) / 1e6:.0f}",
        f"{median(each.server_cpu_seconds for each in group):.2f}",
        kinds([each.requests for each in group]),
    ]


def _label(threads: int | None) -> str:
    return "dry run" if threads is None else str(threads)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
