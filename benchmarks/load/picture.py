"""The plot of a run: the server's memory over time, and under it what the server did meanwhile, with which settings."""

import os
from typing import Final

from benchmarks.load.judge import MOST_MEMORY
from benchmarks.load.plan import SERVER, Plan
from benchmarks.load.plot import Plot
from benchmarks.load.run import Result
from benchmarks.scenario import GIB, KIB, MIB

_MINUTE: Final = 60


def memory_plot(result: Result) -> Plot:
    """Return the picture of a run's memory."""
    memory = result.memory
    slope, intercept = memory.line
    return Plot(
        title=f"The server's memory under load: {crowd_in_words(result.plan)}",
        subtitle=f"{memory_in_words(result)} after warming up (dashed: linear fit)",
        caption=_caption(result),
        x_label="time, minutes", y_label="PSS, MiB", x=[at / _MINUTE for at in memory.seconds], y=memory.mib,
        line=(slope * _MINUTE, intercept), bound=MOST_MEMORY, bound_label=f"at most {MOST_MEMORY:g} MiB",
    )  # fmt: skip


def memory_in_words(result: Result) -> str:
    """Return the highest sample and the growth."""
    return f"at most {result.memory.highest:.0f} MiB, {result.memory.growth:+.2f} MiB a minute"


def crowd_in_words(plan: Plan) -> str:
    """Return how many clients there are."""
    return f"{plan.uploaders} uploads and {plan.readers:,} reads at once"


def _caption(result: Result) -> tuple[str, str, str]:
    shares = result.summary.shares.values()
    up, down = (sum(sizes) / GIB for sizes in zip(*((s.bytes_up, s.bytes_down) for s in shares), strict=True))
    uploads, reads = sum(share.uploads for share in shares), sum(share.reads for share in shares)
    sizes = [size for size, _ in result.plan.sizes]
    settings = (
        "One process, SQLite, default settings but for retention: bundles end after "
        f"{SERVER['RETENTION__TIME_TO_LIVE']} s, unused blobs go after {SERVER['RETENTION__BLOB_KEEP']} s."
    )
    load = (
        f"Files of {_size(min(sizes))} to {_size(max(sizes))}: {uploads:,} uploads ({up:.1f} GiB) and {reads:,} reads "
        f"({down:.1f} GiB) by {len(result.plan.demands)} namespaces."
    )
    machine = (
        f"{len(os.sched_getaffinity(0))} processors, shared with the clients. "
        "PSS: resident memory; pages shared with others count by share."
    )
    return settings, load, machine


def _size(size: int) -> str:
    return f"{size // MIB} MiB" if size >= MIB else f"{size // KIB} KiB"
