"""The bench's command line."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import uvloop

from tests.bench import plot, report
from tests.bench.bench import Bench
from tests.bench.figures import Broken, Figure
from tests.bench.process import Cores
from tests.bench.scenarios import cold, crowd, indexing, moments, presence, reading, searching, talking
from tests.bench.sizes import FULL, QUICK

SCENARIOS: dict[str, Callable[[Bench], Awaitable[list[Figure]]]] = {
    "cold": cold.measure_cold,
    "pairs": talking.measure_pairs,
    "light": talking.measure_light,
    "fanout": crowd.measure_fanout,
    "auth": crowd.measure_auth,
    "history": reading.measure_history,
    "mixed": talking.measure_mixed,
    "growth": talking.measure_growth,
    "moments": moments.measure_moments,
    "search": searching.measure_search,
    "indexing": indexing.measure_indexing,
    "idle": crowd.measure_idle,
    "logins": crowd.measure_logins,
    "presence": presence.measure_presence,
}


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(
        prog="bin/bench",
        description="Measures chatd, as a process of its own, beside two yardsticks.",
        epilog="The exit status is 1 where a run failed: something lost, doubled, wrong or stalled.",
    )
    options.add_argument("--quick", action="store_true", help="smaller sizes and one run each, within a minute")
    options.add_argument("--only", nargs="+", choices=SCENARIOS, metavar="NAME", help=f"of: {', '.join(SCENARIOS)}")
    options.add_argument("--runs", type=int, metavar="N", help="repeat each measurement so often")
    options.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON lines")
    options.add_argument("--plot", type=Path, metavar="FILE", help="write the targets as an SVG")
    options.add_argument("--folder", type=Path, metavar="DIR", help="keep the databases here (for their disk)")
    return options


async def measure(bench: Bench, names: Sequence[str]) -> tuple[list[Figure], dict[str, str]]:
    """Run scenarios. Returns their figures, and why those failed that did."""
    figures: list[Figure] = []
    failures: dict[str, str] = {}
    for name in names:
        try:
            figures += await SCENARIOS[name](bench)
        except* (Broken, OSError, TimeoutError) as group:
            reasons = [f"{error}".strip() or type(error).__name__ for error in _leaves(group)]
            notes = [note for error in _leaves(group) for note in getattr(error, "__notes__", ())]
            failures[name] = "\n".join([*reasons, *notes])
    return figures, failures


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]


async def _until_told_to_stop(bench: Bench, names: Sequence[str]) -> tuple[list[Figure], dict[str, str]]:
    task = asyncio.current_task()
    if task is not None:  # SIGINT does this already: either way the servers are stopped
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await measure(bench, names)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the bench. Returns the exit status."""
    arguments = parser().parse_args(argv)
    sizes = QUICK if arguments.quick else FULL
    if arguments.runs is not None:
        sizes = replace(sizes, runs=max(1, arguments.runs), cold_starts=max(1, arguments.runs))
    cores = Cores()
    with tempfile.TemporaryDirectory(prefix="chatd-bench-", dir=arguments.folder) as folder, cores.generating():
        about = report.machine(cores, sizes, Path(folder))
        bench = Bench(sizes=sizes, folder=Path(folder), cores=cores)
        try:
            figures, failures = uvloop.run(_until_told_to_stop(bench, arguments.only or list(SCENARIOS)))
        except (KeyboardInterrupt, asyncio.CancelledError):
            print("\nbench: stopped", file=sys.stderr)
            return 130
        bench.say("done\n")
    if figures:
        print(report.table(figures))
    print(f"\n{report.summary(figures, failures)}\n\n{report.told(about)}")
    if arguments.json is not None:
        arguments.json.write_bytes(report.json_lines(about, figures, failures))
    if arguments.plot is not None:
        arguments.plot.write_text(plot.svg(figures, "chatd: how much of each target is used"), encoding="utf-8")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
