"""The command line: `python -m benchmarks [NAME …] [--runs N] [--quick]`."""

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.curl import CurlMissing, check_curl
from benchmarks.interrupts import end_on_signals
from benchmarks.machine import facts, load_average
from benchmarks.measure import OURS
from benchmarks.processes import RunFailed, end_children
from benchmarks.report import show, show_verdicts, write
from benchmarks.scenario import MIB, Bench, Outcome, Scenario
from benchmarks.scenarios import ALL, ASKED_FOR, REMOTE
from benchmarks.targets import SERVER_PSS, verdicts
from tests.services.nginx import NginxMissing, fetch_nginx

_RESULTS: Final = Path(__file__).parent / "results"
_DATA: Final = Path.home() / ".cache" / "spark-staging" / "benchmarks"
"""On a disk, unlike /tmp on some machines; 10 GB are free there, or `--data` names another folder."""

_WIDTH: Final = 110
"""Columns that the tables need; into a pipe, rich would take 80."""


def main() -> int:
    """Run the scenarios that were asked for; 0 when all of them ran, whatever they found."""
    arguments = _arguments(sys.argv[1:])
    end_on_signals()
    console = Console()
    console.width = max(console.width, _WIDTH)
    try:
        check_curl()
        nginx = fetch_nginx()
        names = arguments.names or [one.name for one in ALL]
        chosen = [scenario for scenario in (*ALL, *ASKED_FOR) if scenario.name in names]
        _run(chosen, arguments=arguments, console=console, nginx=nginx)
    except (CurlMissing, NginxMissing, RunFailed) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    return 0


def _run(scenarios: Sequence[Scenario], *, arguments: argparse.Namespace, console: Console, nginx: Path) -> None:
    began, outcomes = datetime.now(tz=UTC), dict[str, Outcome]()
    arguments.data.mkdir(parents=True, exist_ok=True)
    machine = facts(arguments.data, nginx=nginx) | {"began": began.isoformat(), "quick": arguments.quick}
    path = _RESULTS / f"{began:%Y%m%dT%H%M%SZ}.json"
    for scenario in scenarios:
        before = load_average()
        outcomes[scenario.name] = _measured(scenario, arguments=arguments, console=console)
        machine[f"load average/{scenario.name}"] = f"{before} before, {load_average()} after"
        show(console, outcomes[scenario.name])
        write(path, facts=machine, outcomes=outcomes, verdicts=verdicts(outcomes))
    show_verdicts(console, verdicts(outcomes))
    if arguments.quick:
        console.print("These sizes are too small to judge by: start-up and single requests outweigh everything.")
    console.print(f"{machine['processor']}, {machine['cores']} cores, load {load_average()}; every run: {path}")


def _measured(scenario: Scenario, *, arguments: argparse.Namespace, console: Console) -> Outcome:
    with (
        tempfile.TemporaryDirectory(dir=arguments.data, prefix=f"{scenario.name}-") as folder,
        console.status(scenario.name) as status,
    ):
        bench = Bench(
            folder=Path(folder), runs=arguments.runs, quick=arguments.quick,
            say=lambda text: status.update(f"{scenario.name}: {text}"),
        )  # fmt: skip
        try:
            outcome = scenario.run(bench)
            return outcome if scenario in REMOTE else _with_memory(outcome)  # there the server is somebody else's
        finally:
            end_children()


def _with_memory(outcome: Outcome) -> Outcome:
    peaks = [sample.server.pss for sample in outcome.samples[OURS] if sample.server is not None]
    figures = {**outcome.figures, SERVER_PSS: max(peaks) / MIB} if peaks else outcome.figures
    return dataclasses.replace(outcome, figures=figures)


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure side by side with peers.")
    names = [scenario.name for scenario in (*ALL, *ASKED_FOR)]
    listed = f"which of: {', '.join(names)} (default: all but the last)"
    parser.add_argument("names", nargs="*", metavar="NAME", help=listed)
    parser.add_argument("--runs", type=int, help="counted rounds after the warm-up (default: 5, with --quick 2)")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that everything works")
    parser.add_argument("--data", type=Path, default=_DATA, help=f"folder for data, some 10 GB (default: {_DATA})")
    arguments = parser.parse_args(words)
    arguments.runs = arguments.runs or (2 if arguments.quick else 5)
    unknown = set(arguments.names) - set(names)
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
