"""Looks for every dependency on the driver and on each executor; prints what it saw as one line: PROBE and JSON.

    --wait-for FILE    the driver prints WAITING, and looks at the executors once the file is in its working folder
    --task SECONDS     each task takes so long; under dynamic allocation a longer one brings another executor
    --stay             the job does not end by itself

The archive's interpreter runs this file and the executors' Python workers (`spark.pyspark.python`).
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import probe_env
import probe_module
import probe_package
from pyspark import SparkContext, SparkFiles
from pyspark.sql import SparkSession

# Written into the staged copy of this file; nothing else holds the value.
MAIN_MARKER = "@MARKER@"
EXECUTORS = 2
ROUNDS = 20


def or_failure(read: Callable[[], str]) -> str:
    """What was read, or why it was not: a job that dies shows less than one that reports."""
    try:
        return read().strip()
    except Exception as error:  # noqa: BLE001 - whatever it is belongs in the report
        return f"failed: {error!r}"


def observe() -> dict[str, str]:
    """The marker of each dependency, as this very process finds it by using that dependency."""
    return {
        "main": MAIN_MARKER,
        "archive": probe_env.MARKER,
        "module": probe_module.MARKER,
        "package": probe_package.MARKER,
        "file": or_failure(Path("probe.csv").read_text),
        "spark_files": or_failure(lambda: Path(SparkFiles.get("probe.csv")).read_text()),
    }


def observe_on_executors(context: SparkContext, *, task: float) -> dict[str, dict[str, str]]:
    """Run short tasks until every executor has answered: Spark gives no way to address one."""

    def observe_in_task(_rows: Iterator[int]) -> Iterator[tuple[str, dict[str, str]]]:
        """One executor's answer, late enough that no executor can take every task before the others ask for one."""
        time.sleep(task)
        yield os.environ["SPARK_EXECUTOR_ID"], observe()  # noqa: TID251 - Spark tells a worker its executor so

    seen: dict[str, dict[str, str]] = {}
    for _ in range(ROUNDS):
        if len(seen) == EXECUTORS:
            break
        seen.update(context.parallelize(range(2 * EXECUTORS), 2 * EXECUTORS).mapPartitions(observe_in_task).collect())
    return seen


def jar_on_executors(spark: SparkSession) -> dict[str, str]:
    """The jar's marker by executor id, found by a Java function inside the executors' JVMs."""
    spark.udf.registerJavaFunction("marker_on_executor", "probe.dependency.MarkerOnExecutor")
    seen: dict[str, str] = {}
    for _ in range(ROUNDS):
        if len(seen) == EXECUTORS:
            break
        rows = spark.range(0, 2 * EXECUTORS, 1, 2 * EXECUTORS).selectExpr("marker_on_executor(id)").collect()
        seen.update(row[0].split("=", maxsplit=1) for row in rows)
    return seen


def wait_for(name: str) -> None:
    """Wait until somebody has put a file into the working folder."""
    print("WAITING", flush=True)  # noqa: T201 - the log is the answer
    while not Path(name).exists():
        time.sleep(0.2)


def main() -> None:
    """Observe here and there, and print it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--wait-for", metavar="FILE")
    parser.add_argument("--task", type=float, default=0.3, metavar="SECONDS")
    parser.add_argument("--stay", action="store_true")
    options = parser.parse_args()
    spark = SparkSession.builder.appName("probe-python").getOrCreate()
    context = spark.sparkContext
    driver = observe() | {"jar": context._jvm.probe.dependency.Greeting.marker()}
    if options.wait_for:
        wait_for(options.wait_for)
    executors = observe_on_executors(context, task=options.task)
    for executor, marker in jar_on_executors(spark).items():
        executors.setdefault(executor, {})["jar"] = marker
    print("PROBE", json.dumps({"driver": driver, "executors": executors}, sort_keys=True), flush=True)  # noqa: T201 - the log is the answer
    while options.stay:
        time.sleep(1)
    spark.stop()


if __name__ == "__main__":
    main()
