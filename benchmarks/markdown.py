"""Results as Markdown tables: `python -m benchmarks.markdown RESULT.json … [--into benchmarks/README.md]`.

Of several results, a scenario counts as the last one has it.  `--into` writes between the two marks of a file.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec

from benchmarks.report import figure
from benchmarks.scenario import MIB
from benchmarks.targets import SERVER_PSS, TARGETS, Target

_BEGIN: Final = "<!-- results -->"
_END: Final = "<!-- end of results -->"

Document = Mapping[str, Any]
"""What `report.write` wrote."""


def main() -> int:
    """Print the tables, or write them into a file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.markdown", description="Results as Markdown tables.")
    parser.add_argument("results", nargs="+", type=Path, help="JSON files below benchmarks/results")
    parser.add_argument("--into", type=Path, help=f"file with the lines {_BEGIN} and {_END}")
    arguments = parser.parse_args()
    text = to_markdown([msgspec.json.decode(path.read_bytes()) for path in arguments.results])
    if arguments.into is None:
        print(text)
        return 0
    before, begin, rest = arguments.into.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        print(f"benchmarks: {arguments.into} has not the lines {_BEGIN} and {_END}", file=sys.stderr)
        return 1
    arguments.into.write_text(f"{before}{_BEGIN}\n{text}\n{_END}{after}")
    return 0


def to_markdown(documents: list[Document]) -> str:
    """Return the table of targets and the table of sides."""
    scenarios = {name: outcome for document in documents for name, outcome in document["scenarios"].items()}
    machine = documents[-1]["machine"]
    runs = max((len(samples) for one in scenarios.values() for samples in one["samples"].values()), default=0)
    where = f"{machine['processor']}, {machine['cores']} cores, Linux {machine['kernel'].partition('-')[0]}"
    versions = f"Python {machine['python']}, {machine['nginx'].rpartition(': ')[2]}"
    return "\n".join(
        [
            f"{where}, {versions}; medians of up to {runs} runs.",
            "", "| target | bound | measured | | what bounds it |", "|---|---|---|---|---|",
            *_targets(scenarios),
            "", "| scenario | side | s | MiB/s | server CPU s | client CPU s | server PSS MiB | others' cores |",
            "|---|---|---|---|---|---|---|---|",
            *(line for name, outcome in scenarios.items() for line in _sides(name, outcome)),
        ]
    )  # fmt: skip


def _targets(scenarios: Mapping[str, Any]) -> Iterator[str]:
    memory = []
    for target in TARGETS:
        value = scenarios.get(target.scenario, {"figures": {}})["figures"].get(target.figure)
        if value is None:
            continue
        if target.figure == SERVER_PSS:
            memory.append((target, value))
        else:
            yield _row(target.text, target, value)
    if memory:
        highest, value = max(memory, key=lambda pair: float(pair[1]))
        yield _row(
            f"server's PSS in {len(memory)} scenarios, MiB; the highest is that of `{highest.scenario}`", highest, value
        )


def _row(text: str, target: Target, value: float) -> str:
    verdict = "reached" if target.is_met(value) else "missed"
    return f"| {text} | {target.bound} | {figure(value)} | {verdict} | {target.bounded_by} |"


def _sides(name: str, outcome: Mapping[str, Any]) -> Iterator[str]:
    for side, samples in outcome["samples"].items():
        seconds = median(sample["seconds"] for sample in samples)
        speed = f"{outcome['size'] / MIB / seconds:.0f}" if outcome["size"] else ""
        others = median(sample["others"] for sample in samples)
        yield (
            f"| `{name}` | {side} | {seconds:.3f} | {speed} | {_cpu(samples, 'server')} | {_cpu(samples, 'client')} "
            f"| {_pss(samples)} | {others:.2f} |"
        )


def _cpu(samples: list[Mapping[str, Any]], who: str) -> str:
    known = [sample[who]["cpu"] for sample in samples if sample[who] is not None]
    return f"{median(known):.2f}" if known else ""


def _pss(samples: list[Mapping[str, Any]]) -> str:
    known = [sample["server"]["pss"] for sample in samples if sample["server"] is not None]
    return f"{max(known) / MIB:.0f}" if known else ""


if __name__ == "__main__":
    sys.exit(main())
