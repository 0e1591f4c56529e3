"""Measure whole deploys to S3 side by side: this tool and what else there is.

Run it from the top of the checkout: ``make benchmark ARGS="--help"`` tells the options.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import inf
from pathlib import Path

from benchmarks.contents import ContentError
from benchmarks.environment import machine
from benchmarks.fast_s3 import serve
from benchmarks.measured_process import ProcessError, measure
from benchmarks.options import Options, parse
from benchmarks.report import publish, write_report
from benchmarks.results import Results, Run
from benchmarks.scenarios import FIRST, Case
from benchmarks.side_path import FastS3Server
from benchmarks.states import States
from benchmarks.tools import Tool
from tests.servers.process import ServerError

_WARM_UP_FILES = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit status."""
    options = parse(arguments)
    # Like Ctrl-C, so that whatever ends the benchmark, it stops its server.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    benchmark = Benchmark(options)
    try:
        results = benchmark.run()
    except (ContentError, ProcessError, ServerError) as error:
        _tell(str(error))
        return 1
    except KeyboardInterrupt:
        _tell(f"Interrupted. What was measured is in {options.output}.")
        return 130
    print(write_report(results, options.output))
    if options.docs:
        publish(results)
    for failure in benchmark.failures:
        _tell(failure)
    return 1 if benchmark.failures else 0


class Benchmark:
    """Measures what the options ask for.

    Args:
        options: What is asked for.

    Attributes:
        failures: What went wrong, a message for each. What else is measured does not end by it.
    """

    def __init__(self, options: Options) -> None:
        self.failures: list[str] = []
        self._options = options
        self._runs: list[Run] = []
        versions = {tool.name: tool.versions() for tool in options.tools}
        self._results = Results(
            {**machine(), "name": options.name, "versions": versions}, self._runs
        )

    def run(self) -> Results:
        """Measure everything and return the figures, which are on disk after each deploy.

        Raises:
            ContentError: A tool does not deploy at all, as ProcessError.
            ProcessError: A tool can't be run.
            ServerError: The server does not start.
        """
        with serve(latency=0) as server:
            self._warm_up(server)
            for cases in self._options.cases_by_tree():
                with _states(server, cases[0]) as states:
                    self._measure_tree(server, states, cases)
        return self._results

    def _warm_up(self, server: FastS3Server) -> None:
        """Let each tool deploy a little, so that what it reads and compiles is there."""
        case = Case(files=_WARM_UP_FILES, storage="plain", latency=0, scenario=FIRST)
        with _states(server, case) as states:
            for tool in self._options.tools:
                _tell(f"{tool.name}, warming up ...")
                _deploy(server, states, case, tool)

    def _measure_tree(self, server: FastS3Server, states: States, cases: Sequence[Case]) -> None:
        for case in cases:
            for run in self._measure(server, states, case):
                self._runs.append(run)
                self._results.write(self._options.output / f"{self._options.name}.json")

    def _measure(self, server: FastS3Server, states: States, case: Case) -> Iterator[Run]:
        tools = self._options.tools_for(case)
        taken: dict[str, float] = defaultdict(float)
        for number in range(self._options.repeats):
            # There and back, so that a machine that slows down favours none.
            for tool in tools if number % 2 == 0 else reversed(tools):
                if number and taken[tool.name] > self._options.patience:
                    continue
                _tell(f"{case.name}/{tool.name}, run {number + 1} ...")
                try:
                    run = _deploy(server, states, case, tool)
                except (ContentError, ProcessError) as error:
                    self.failures.append(f"{case.name}/{tool.name}: {error}")
                    taken[tool.name] = inf
                    continue
                taken[tool.name] += run.usage.seconds
                yield run


@contextmanager
def _states(server: FastS3Server, case: Case) -> Iterator[States]:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        states = States(Path(directory), server, case.files, case.scenario.scale)
        yield states
        states.close()


def _deploy(server: FastS3Server, states: States, case: Case, tool: Tool) -> Run:
    server.hold_back(0)
    deployment = states.prepare(tool, case.storage, case.scenario)
    server.hold_back(case.latency / 1000)
    before, load = server.look_at(deployment.bucket), os.getloadavg()[0]
    usage = measure(tool.commands(deployment), tool.environment(deployment))
    after = server.look_at(deployment.bucket)
    states.check(deployment, case.scenario)
    return Run(
        case,
        tool,
        usage,
        requests=after.requests,
        bytes_sent=after.bytes_sent,
        objects=len(after.objects),
        tree_bytes=states.tree_bytes,
        server_cpu_seconds=after.server_cpu_seconds - before.server_cpu_seconds,
        load=load,
    )


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
