"""Results of benchmarks as Markdown, as they stand at the end of benchmarks/README.md."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.markdown import main, to_markdown
from benchmarks.measure import OURS, Sample
from benchmarks.processes import Cost
from benchmarks.scenario import MIB, Outcome
from benchmarks.scenarios import ALL, ASKED_FOR
from benchmarks.targets import SERVER_PSS, TARGETS

MACHINE = {
    "processor": "a processor",
    "cores": 2,
    "kernel": "6.1.0-x",
    "python": "3.11.7",
    "nginx": "nginx version: nginx/1.22",
}


def a_document(*, speed: float, memory: float = 100) -> Any:
    sample = Sample(seconds=2, server=Cost(cpu=1, pss=100 * MIB), client=Cost(cpu=0.5, pss=MIB), others=0.1)
    outcome = Outcome(
        title="GET", size=100 * MIB, samples={OURS: [sample], "nginx": [sample]},
        figures={"speed/nginx": speed, SERVER_PSS: memory},
    )  # fmt: skip
    return msgspec.to_builtins({"machine": MACHINE, "scenarios": {"get": outcome}})


def test_each_target_is_of_a_scenario_that_exists() -> None:
    assert {target.scenario for target in TARGETS} <= {scenario.name for scenario in (*ALL, *ASKED_FOR)}


def test_the_table_says_what_was_reached_and_what_bounds_it() -> None:
    text = to_markdown([a_document(speed=0.5)])
    (line,) = [line for line in text.splitlines() if line.startswith("| GET 1 GiB, against nginx |")]
    assert "| >= 0.95 | 0.500 | missed | equal processor time" in line
    assert "reached" in next(line for line in text.splitlines() if "server's PSS" in line)


def test_the_table_of_sides_has_speed_and_cost() -> None:
    assert "| `get` | nginx | 2.000 | 50 | 1.00 | 0.50 | 100 | 0.10 |" in to_markdown([a_document(speed=1)])


def test_of_several_results_the_last_one_counts() -> None:
    assert "| 1 | reached |" in to_markdown([a_document(speed=0.5), a_document(speed=1.0)])


def test_the_tables_go_between_the_marks_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result, readme = tmp_path / "result.json", tmp_path / "README.md"
    result.write_bytes(msgspec.json.encode(a_document(speed=1)))
    readme.write_text("before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n")
    monkeypatch.setattr("sys.argv", ["markdown", str(result), "--into", str(readme)])
    assert main() == 0
    text = readme.read_text()
    assert text.startswith("before\n<!-- results -->\n")
    assert text.endswith("\n<!-- end of results -->\nafter\n")
    assert "old" not in text
    assert "GET 1 GiB" in text


def test_the_readme_of_the_benchmarks_has_a_place_for_results_and_names_every_scenario() -> None:
    readme = (Path(__file__).parents[2] / "benchmarks" / "README.md").read_text()
    assert readme.count("<!-- results -->") == readme.count("<!-- end of results -->") == 1
    assert [scenario.name for scenario in ALL if f"`{scenario.name}`" not in readme] == []
