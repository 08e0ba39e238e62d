"""What people read, and the JSON with every single run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.machine import Facts
from benchmarks.measure import Sample, seconds
from benchmarks.processes import Cost
from benchmarks.scenario import MIB, Outcome
from benchmarks.targets import Verdict


def show(console: Console, outcome: Outcome) -> None:
    """Print the table of one scenario."""
    table = Table(title=outcome.title, title_justify="left", title_style="bold")
    table.add_column("side")
    for name in ("seconds", "min-max", "MiB/s", "CPU s\nserver", "CPU s\nclient", "PSS MiB\nserver", "PSS MiB\nclient",
                 "others'\ncores"):  # fmt: skip
        table.add_column(name, justify="right")
    for side, samples in outcome.samples.items():
        table.add_row(side, *_cells(samples, size=outcome.size))
    console.print(table)
    for name, value in outcome.figures.items():
        console.print(f"  {name}: [bold]{figure(value)}[/bold]", highlight=False)
    for note in outcome.notes:
        console.print(f"  [dim]{note}[/dim]", highlight=False)
    console.print()


def show_verdicts(console: Console, verdicts: Sequence[Verdict]) -> None:
    """Print which targets were reached."""
    table = Table(title="Targets", title_justify="left", title_style="bold")
    for name, justify in (("target", "left"), ("bound", "right"), ("measured", "right"), ("", "left")):
        table.add_column(name, justify="right" if justify == "right" else "left")
    for verdict in verdicts:
        met = "[green]reached[/green]" if verdict.met else "[red]missed[/red]"
        table.add_row(verdict.target.text, verdict.target.bound, figure(verdict.value), met)
    console.print(table)


def write(path: Path, *, facts: Facts, outcomes: Mapping[str, Outcome], verdicts: Sequence[Verdict]) -> None:
    """Write everything that was measured as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "machine": facts,
        "scenarios": {name: asdict(outcome) for name, outcome in outcomes.items()},
        "targets": [
            {"text": verdict.target.text, "bound": verdict.target.bound, "value": verdict.value, "met": verdict.met}
            for verdict in verdicts
        ],
    }
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))


def _cells(samples: Sequence[Sample], *, size: int) -> list[str]:
    every = [sample.seconds for sample in samples]
    return [
        f"{median(every):.3f}",
        f"{min(every):.3f}-{max(every):.3f}",
        f"{size / MIB / seconds(samples):.0f}" if size else "",
        _cpu([sample.server for sample in samples]),
        _cpu([sample.client for sample in samples]),
        _pss([sample.server for sample in samples]),
        _pss([sample.client for sample in samples]),
        f"{median(sample.others for sample in samples):.2f}",
    ]


def _cpu(costs: Sequence[Cost | None]) -> str:
    known = [cost.cpu for cost in costs if cost is not None]
    return f"{median(known):.2f}" if known else ""


def _pss(costs: Sequence[Cost | None]) -> str:
    known = [cost.pss for cost in costs if cost is not None]
    return f"{max(known) / MIB:.1f}" if known else ""


def figure(value: float) -> str:
    """Return a figure as people read it."""
    return f"{value:.3f}" if value < 10 and value != round(value) else f"{value:,.0f}"
