"""What sweep, list, explain and start cost with ever more bundles: none of them may grow with what there is."""

import json
import shutil
import sys
from typing import Final

from benchmarks.clients import many_bundles
from benchmarks.measure import OURS, Sample
from benchmarks.processes import measure
from benchmarks.scenario import MIB, Bench, Outcome
from benchmarks.starting import measure_start

_EXPIRED: Final = 10
"""Bundles that end in the timed sweep: the same for all sizes, and fewer than the smallest one has in a namespace."""


def run(bench: Bench) -> Outcome:
    """Measure with 1,000 to 100,000 bundles."""
    return measured(bench, sizes=(1_000, 10_000) if bench.quick else (1_000, 10_000, 100_000))


def run_million(bench: Bench) -> Outcome:
    """Measure with a million bundles, too; the database takes 2 GB."""
    return measured(bench, sizes=(1_000, 1_000_000))


def measured(bench: Bench, *, sizes: tuple[int, ...]) -> Outcome:
    """Fill a database for each size, and measure in a process of its own, and a server's start."""
    figures, samples = dict[str, float](), list[Sample]()
    for size in sizes:
        bench.say(f"{size:,} bundles")
        folder = bench.folder / str(size) / "server"
        folder.parent.mkdir()
        measure([sys.executable, many_bundles.__file__, "fill", str(folder), str(size)])
        run_ = measure([sys.executable, many_bundles.__file__, "probe", str(folder), str(_EXPIRED)])
        samples.append(Sample.of(run_))
        for name, value in json.loads(run_.output.splitlines()[-1]).items():
            unit, amount = ("MiB", value / MIB) if name == "memory" else ("ms", value * 1000)
            figures[f"{name}, {unit}, {size:,} bundles"] = amount
        start = measure_start(folder.parent)
        figures[f"start of the server to its first answer, ms, {size:,} bundles"] = 1000 * start.whole
        figures[f"start from bind to ready, ms, {size:,} bundles"] = 1000 * start.ready
        shutil.rmtree(folder.parent)
    return Outcome(
        title=f"Sweep, list, explain and start with {' and '.join(f'{size:,}' for size in sizes)} bundles",
        size=0,
        samples={OURS: samples},
        figures=figures,
        notes=(
            f"The sweep of what expired ends {_EXPIRED} bundles.",
            "The start to the first answer includes that of the process, 0.6 s.",
            "Once a day, and after an upgrade, a sweep counts everything again; that is not in these figures.",
        ),
    )
