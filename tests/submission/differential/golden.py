"""What stock Spark made of every case: `golden/<version>/<case>.yaml`.

    python -m tests.submission.differential.golden [--spark VERSION] [CASE …]      records them anew

Needs etcd and kube-apiserver (`KUBEBUILDER_ASSETS`), Java 17, and at the first run PyPI.
"""

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml

from tests.services.kube_api import KubeApiMissingError, running_kube_api
from tests.services.spark_distributions import ALL_VERSIONS, Spark, SparkMissingError, install_spark
from tests.submission.differential.cases import CASES, Case
from tests.submission.differential.stock import Refused, World, made_by_stock

FOLDER: Final = Path(__file__).parent / "golden"
REFUSED: Final = "refused"
"""Key of a golden file whose command stock Spark does not take; the value says why."""
_AT_ONCE: Final = 2


def path_of(case: Case, *, version: str) -> Path:
    """Return the golden file of a case."""
    return FOLDER / version / f"{case.name}.yaml"


def recorded(case: Case, *, version: str) -> dict[str, Any]:
    """Return what stock Spark made of a case when it was recorded."""
    content = yaml.safe_load(path_of(case, version=version).read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def record(case: Case, *, spark: Spark, world: World, folder: Path) -> dict[str, Any]:
    """Return what stock Spark makes of a case now; `folder` is new."""
    try:
        return made_by_stock(case, spark=spark, world=world, folder=folder)
    except Refused as error:
        return {REFUSED: str(error)}


def write(content: dict[str, Any], path: Path) -> None:
    """Keep what was recorded."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    path.write_text(text, encoding="utf-8")


def main() -> int:
    """Record what is asked for; 0 when all was recorded, 2 when a program is missing."""
    parser = argparse.ArgumentParser(prog="golden", description="Record what stock spark-submit creates.")
    parser.add_argument("--spark", choices=ALL_VERSIONS, action="append", help="version; default: all")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="name of a case; default: all")
    asked = parser.parse_args()
    try:
        with ExitStack() as stack:
            kube = stack.enter_context(running_kube_api())
            folder = stack.enter_context(TemporaryDirectory(prefix="golden-"))
            world = stack.enter_context(closing(World(kube, folder=Path(folder))))
            sparks = [install_spark(version) for version in asked.spark or ALL_VERSIONS]
            for line in _record_all(list(_jobs(asked.cases, sparks)), world=world, folder=Path(folder)):
                print(line, flush=True)  # noqa: T201 - a program
    except (KubeApiMissingError, SparkMissingError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - a program
        return 2
    return 0


def _jobs(names: list[str], sparks: list[Spark]) -> Iterator[tuple[Case, Spark]]:
    unknown = set(names) - {case.name for case in CASES}
    if unknown:
        sys.exit(f"no such case: {', '.join(sorted(unknown))}")
    for case in CASES:
        if not names or case.name in names:
            yield from ((case, spark) for spark in sparks if spark.version in case.versions)


def _record_all(jobs: list[tuple[Case, Spark]], *, world: World, folder: Path) -> Iterator[str]:
    def one(job: tuple[Case, Spark]) -> str:
        case, spark = job
        own = folder / spark.version / case.name
        own.mkdir(parents=True)
        content = record(case, spark=spark, world=world, folder=own)
        write(content, path_of(case, version=spark.version))
        return f"{spark.version} {case.name}: {content.get(REFUSED) or f'{len(content)} objects'}"

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(one, jobs)


if __name__ == "__main__":
    sys.exit(main())
