"""The command line: `python -m benchmarks.load [--minutes 10] [--quick]`; it ends with 1 when something was wrong."""

import argparse
import random
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.interrupts import end_on_signals
from benchmarks.load.judge import MOST_GROWTH, fairness, faults
from benchmarks.load.picture import crowd_in_words, memory_in_words, memory_plot
from benchmarks.load.plan import FRESH, LARGE, SERVER, SMALL, Plan, demands
from benchmarks.load.run import Result, run
from benchmarks.load.tally import Share, percentile
from benchmarks.machine import load_average
from benchmarks.processes import RunFailed, end_children
from benchmarks.scenario import MIB

_RESULTS: Final = Path(__file__).parent.parent / "results"
_DATA: Final = Path.home() / ".cache" / "spark-staging" / "benchmarks"
_SAY_EVERY: Final = 10
_WIDTH: Final = 110


def main() -> int:
    """Load a server and say what happened."""
    arguments = _arguments()
    end_on_signals()
    arguments.data.mkdir(parents=True, exist_ok=True)
    if arguments.plot is not None:
        arguments.plot.parent.mkdir(parents=True, exist_ok=True)
    plan = Plan(
        demands=demands(uploaders=arguments.uploads, readers=arguments.reads),
        sizes=SMALL if arguments.quick else LARGE,
        seconds=20 if arguments.quick else arguments.minutes * 60,
        fresh=FRESH,
    )
    console = Console()
    console.width = max(console.width, _WIDTH)
    try:
        with tempfile.TemporaryDirectory(dir=arguments.data, prefix="load-") as folder:
            try:
                result = run(plan, folder=Path(folder), settings=SERVER, seed=arguments.seed, say=_say)
            finally:
                end_children()
    except RunFailed as error:
        print(f"load: {error}", file=sys.stderr)
        return 1
    wrong = faults(result, most_growth=None if arguments.quick else MOST_GROWTH)
    _show(console, result)
    _write(console, result, wrong=wrong, arguments=arguments)
    for fault in wrong:
        console.print(f"[red]wrong[/red]: {fault}", highlight=False)
    for sample in result.summary.samples:
        console.print(f"  {sample}", markup=False, highlight=False)
    return 1 if wrong else 0


def _say(line: dict[str, float]) -> None:
    if round(line["seconds"]) % _SAY_EVERY == 0:
        print(
            f"{line['seconds']:5.0f} s  {line['uploads']:,.0f} uploads ({line['bytes up'] / MIB:,.0f} MiB)  "
            f"{line['reads']:,.0f} reads ({line['bytes down'] / MIB:,.0f} MiB)  "
            f"{line['asked to come again']:,.0f} asked to come again  {line['failures']:,.0f} failures",
            flush=True,
        )


def _show(console: Console, result: Result) -> None:
    summary, fair = result.summary, fairness(result)
    table = Table(title=crowd_in_words(result.plan), title_justify="left", title_style="bold")
    for name in (
        "namespace",
        "uploaders",
        "readers",
        "uploads",
        "MiB/s up",
        "wait s p50",
        "p99",
        "max",
        "reads",
        "MiB/s down",
    ):
        table.add_column(name, justify="left" if name == "namespace" else "right")
    for demand in result.plan.demands:
        share = summary.shares.get(demand.namespace, Share())
        table.add_row(
            demand.namespace, str(demand.uploaders), str(demand.readers), f"{share.uploads:,}",
            f"{share.bytes_up / MIB / summary.seconds:.1f}", *(f"{percentile(share.waits, at):.2f}" for at in (50, 99)),
            f"{max(share.waits, default=0):.2f}", f"{share.reads:,}", f"{share.bytes_down / MIB / summary.seconds:.1f}",
        )  # fmt: skip
    console.print(table)
    console.print(
        "  answers: " + ", ".join(f"{name}: {count:,}" for name, count in summary.answers.items()), highlight=False
    )
    console.print(
        f"  verified: {summary.verified:,} reads compared with their digest\n"
        f"  memory: {memory_in_words(result)} in the second half\n"
        f"  server: {result.cpu / summary.seconds:.2f} cores; the crowd was late by at most {summary.late:.1f} s\n"
        f"  one against an average client of hundred: {fair.up:.2f} times the uploads, {fair.down:.2f} the reads, "
        f"{fair.wait:.2f} of the wait\n"
        f"  Jain's index of four equal namespaces: {fair.jain_up:.3f} up, {fair.jain_down:.3f} down",
        highlight=False,
    )  # fmt: skip


def _write(console: Console, result: Result, *, wrong: list[str], arguments: argparse.Namespace) -> None:
    path = _RESULTS / f"load-{datetime.now(tz=UTC):%Y%m%dT%H%M%SZ}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {
        "result": result, "fairness": fairness(result), "growth": result.memory.growth, "faults": wrong,
        "seed": arguments.seed, "load average": load_average(),
    }  # fmt: skip
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
    picture = arguments.plot or path.with_suffix(".svg")
    picture.write_text(memory_plot(result).to_svg())
    console.print(f"  every sample: {path}\n  plot: {picture}\n  again: --seed {arguments.seed}", highlight=False)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description="Load a server for minutes.")
    # The caches of a server under load fill for some five minutes; what grows afterwards is a leak.
    parser.add_argument("--minutes", type=float, default=10, help="how long (default: 10)")
    parser.add_argument("--uploads", type=int, default=200, help="uploads at once (default: 200)")
    parser.add_argument("--reads", type=int, default=1000, help="reads at once (default: 1000)")
    parser.add_argument("--quick", action="store_true", help="20 seconds of small files, to see that everything works")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().getrandbits(32), help="repeats a run's choices"
    )
    parser.add_argument("--plot", type=Path, help="SVG file of the memory (default: beside the results)")
    parser.add_argument("--data", type=Path, default=_DATA, help=f"folder for data, some 10 GB (default: {_DATA})")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
