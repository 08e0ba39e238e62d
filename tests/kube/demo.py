"""Shows the main job on the cluster of the current kubeconfig: `make demo-kube`, or `python -m tests.kube.demo --keep`.

It installs the embedded server, runs a Java and a PySpark job on two versions of unmodified Spark through their stock
`spark-submit`, and prints which dependencies were used where, what the init containers reported, and what executors
fetched from their driver.
"""

import argparse
import sys

from rich.console import Console
from rich.table import Table

from tests.kube.probe import EXECUTORS, Finished
from tests.kube.processes import CommandFailedError, MissingError
from tests.kube.session import Session, session
from tests.kube.settings import read_settings
from tests.kube.verdict import DEPENDENCIES, faults
from tests.kube.workshop import workshop

CONSOLE = Console(highlight=False, soft_wrap=True)


def main() -> int:
    """Run the demo; 0 when every check holds, 1 when one does not, 2 when something is missing, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="demo-kube", description="Real Spark jobs on the current cluster.")
    parser.add_argument("--keep", action="store_true", help="leave the namespace for a look around")
    try:
        keep = parser.parse_args().keep
        with workshop(settings=read_settings(), say=_say) as made, session(made, keep=keep) as running:
            finished = [running.run(job) for job in running.jobs()]
            _show(running, finished)
    except MissingError as error:
        CONSOLE.print(f"demo-kube cannot run here: {error}", markup=False)
        return 2
    except CommandFailedError as error:
        CONSOLE.print(f"demo-kube failed: {error}", markup=False)
        return 1
    except KeyboardInterrupt:
        CONSOLE.print("demo-kube was interrupted; its namespace is being removed, unless it was to stay")
        return 130
    return 1 if any(faults(job) for job in finished) else 0


def _say(line: str) -> None:
    CONSOLE.print(f"· {line}", style="dim", markup=False)


def _show(running: Session, finished: list[Finished]) -> None:
    for table in (_used(finished), _fetched(finished), _resolved(finished)):
        CONSOLE.print(table)
    CONSOLE.print(f"$ spark-staging bundles explain {finished[-1].bundle}", markup=False)
    explained = running.installation.client("bundles", "explain", finished[-1].bundle).decode()
    CONSOLE.print("\n".join(f"  {line}" for line in explained.splitlines()), markup=False)
    broken = [f"{job.job.name}: {fault}" for job in finished for fault in faults(job)]
    for line in broken:
        CONSOLE.print(f"FAULT {line}", style="red", markup=False)
    if not broken:
        CONSOLE.print(f"{len(finished)} jobs: every dependency was used by the driver and by {EXECUTORS} executors.")


def _used(finished: list[Finished]) -> Table:
    table = Table(title="Used by drivers + executors (each dependency holds a marker that is nowhere else)")
    table.add_column("job", no_wrap=True)
    for dependency in DEPENDENCIES:
        table.add_column(dependency, no_wrap=True)
    for job in finished:
        cells = (f"{int(job.used_by_driver(name))} + {job.used_by_executors(name)}" for name in DEPENDENCIES)
        table.add_row(job.job.name, *cells)
    return table


def _fetched(finished: list[Finished]) -> Table:
    table = Table(title="Fetches of executors from their driver (spark://) by kind, and jars from their own disk")
    table.add_column("job", no_wrap=True)
    kinds = list(finished[0].fetches)
    for heading in (*kinds, "own disk"):
        table.add_column(heading, justify="right", no_wrap=True)
    for job in finished:
        table.add_row(job.job.name, *(str(job.fetches[kind]) for kind in kinds), str(sum(job.own_disk)))
    return table


def _resolved(finished: list[Finished]) -> Table:
    """Driver first, then executors; as their termination messages say."""
    table = Table(title="Init containers: driver, executors; and how many reports the server has")
    table.add_column("job", no_wrap=True)
    for heading in ("exit codes", "files", "bytes", "seconds", "reports"):
        table.add_column(heading, justify="right", no_wrap=True)
    for job in finished:
        codes = " ".join(str(outcome.exit_code) for outcome in job.inits)
        said = [_said(job, field) for field in ("files", "size")]
        said.append(" ".join(f"{outcome.message.get('seconds', 0):.1f}" for outcome in job.inits))
        table.add_row(job.job.name, codes, *said, str(len(job.reports)))
    return table


def _said(job: Finished, field: str) -> str:
    values = [str(outcome.message.get(field, "-")) for outcome in job.inits]
    return values[0] if len(set(values)) == 1 else " ".join(values)


if __name__ == "__main__":
    sys.exit(main())
