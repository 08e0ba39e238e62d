"""Where the time goes: `python -m benchmarks.profile NAME`, for scenarios with a side of ours.

Prints tables and leaves the stacks below `benchmarks/results/`, for any program that draws flame graphs.
py-spy needs the right to look into other processes: root, or `kernel.yama.ptrace_scope=0`.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from benchmarks import curl
from benchmarks.certificates import make_certificates
from benchmarks.data import random_file, random_files, settle
from benchmarks.flames import Profiler, native_table, python_table
from benchmarks.interrupts import end_on_signals
from benchmarks.pod import Pod
from benchmarks.processes import RunFailed, end_children, measure
from benchmarks.scenario import GIB, KIB, MIB
from benchmarks.scenarios.put import to_us
from benchmarks.scenarios.stage import stage_files
from benchmarks.scenarios.tls import to_us as to_us_over_tls
from benchmarks.staging import FORGET, staging_server

_DATA: Final = Path.home() / ".cache" / "spark-staging" / "benchmarks"
_RESULTS: Final = Path(__file__).parent / "results"
_ROWS: Final = 30


def main() -> int:
    """Profile what was asked for; 0 when it ran."""
    arguments = _arguments()
    end_on_signals()
    folded: Path = arguments.keep or _RESULTS / f"{arguments.name}.folded"
    for folder in (folded.parent, arguments.data):
        folder.mkdir(parents=True, exist_ok=True)
    folded.unlink(missing_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=arguments.data, prefix="profile-") as folder:
            profiler = Profiler(folded=folded.absolute(), perf_data=Path(folder) / "perf.data")
            try:
                _WORK[arguments.name](Path(folder), profiler, 64 * MIB if arguments.quick else GIB)
            finally:
                end_children()
            print(native_table(profiler.perf_data, rows=arguments.rows))
    except RunFailed as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    print(f"\n{python_table(folded, rows=arguments.rows)}\n\nfolded stacks: {folded}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description="Say where the time goes.")
    parser.add_argument("name", choices=sorted(_WORK))
    parser.add_argument("--quick", action="store_true", help="64 MiB instead of 1 GiB")
    parser.add_argument("--rows", type=int, default=_ROWS, help="rows of each table")
    parser.add_argument("--keep", type=Path, help="file for the folded stacks")
    parser.add_argument("--data", type=Path, default=_DATA, help=f"folder for data (default: {_DATA})")
    return parser.parse_args()


def _put(folder: Path, profiler: Profiler, size: int) -> None:
    """Look at the server while one client uploads."""
    with staging_server(folder, settings=FORGET) as ours:
        file = random_file(folder / "large.jar", size=size)
        to_us(ours, file=file)
        with profiler.attached(ours.pid):
            for _ in range(3):
                to_us(ours, file=file)


def _put_tls(folder: Path, profiler: Profiler, size: int) -> None:
    """Look at the server while one client uploads over TLS."""
    certificates = make_certificates(folder / "tls")
    with staging_server(folder, settings=FORGET, tls=certificates) as ours:
        files = random_files(folder / "files", count=1, size=size, suffix=".jar")
        to_us_over_tls(ours, files=files, ca=certificates.ca)
        with profiler.attached(ours.pid):
            for _ in range(3):
                to_us_over_tls(ours, files=files, ca=certificates.ca)


def _get(folder: Path, profiler: Profiler, size: int) -> None:
    """Look at the server while one client reads."""
    with staging_server(folder) as ours:
        file = random_file(folder / "large.jar", size=size)
        url, headers = ours.file_request(ours.stage([file]), file)
        command = curl.get(url, headers=headers, settings=folder / "curl")
        measure(command, server=ours.pid)
        with profiler.attached(ours.pid):
            for _ in range(5):
                measure(command, server=ours.pid)


def _resolve(folder: Path, profiler: Profiler, size: int) -> None:
    """Look at the init container while it puts one large file into place."""
    _resolved(folder, profiler, count=1, size=size)


def _resolve_small(folder: Path, profiler: Profiler, size: int) -> None:
    """Look at the init container while it puts many small files into place."""
    _resolved(folder, profiler, count=size // (512 * KIB), size=100 * KIB)


def _resolve_small_server(folder: Path, profiler: Profiler, size: int) -> None:
    """Look at the server while an init container reads many small files."""
    with staging_server(folder) as ours:
        paths = random_files(folder / "files", count=size // (512 * KIB), size=100 * KIB, suffix=".jar")
        bundle = ours.stage(paths)
        with profiler.attached(ours.pid):
            for number in range(3):
                pod = Pod(ours, bundle=bundle, root=folder / f"pod-{number}")
                measure(pod.command, server=ours.pid, environment=pod.environment)


def _stage_small(folder: Path, profiler: Profiler, size: int) -> None:
    """Look at the server while many small new files are staged."""
    with staging_server(folder, settings=FORGET) as ours:
        files = random_files(folder / "job", count=size // (512 * KIB), size=100 * KIB, suffix=".jar")
        stage_files(ours, files=files, cache=folder / "cache")
        with profiler.attached(ours.pid):
            stage_files(ours, files=files, cache=folder / "cache")


def _resolved(folder: Path, profiler: Profiler, *, count: int, size: int) -> None:
    with staging_server(folder) as ours:
        paths = random_files(folder / "files", count=count, size=size, suffix=".jar")
        bundle = ours.stage(paths)
        pod = Pod(ours, bundle=bundle, root=folder / "pod")
        settle()
        measure(profiler.around(pod.command), server=ours.pid, environment=pod.environment)
        again = Pod(ours, bundle=bundle, root=folder / "pod-again")
        if (by_perf := profiler.around_perf(again.command)) is not None:
            settle()
            measure(by_perf, server=ours.pid, environment=again.environment)


_WORK: Final[Mapping[str, Callable[[Path, Profiler, int], None]]] = {
    "get": _get,
    "put": _put,
    "put-tls": _put_tls,
    "resolve": _resolve,
    "resolve-small": _resolve_small,
    "resolve-small-server": _resolve_small_server,
    "stage-small": _stage_small,
}

if __name__ == "__main__":
    sys.exit(main())
