"""A driver outside the cluster: uses the submitter's own files, and looks at what its executors use.  Prints PROBE."""

import json
from collections.abc import Iterator
from pathlib import Path

import probe_module
import probe_package
from pyspark import SparkFiles
from pyspark.sql import SparkSession


def observe(_rows: Iterator[int]) -> Iterator[dict[str, str]]:
    """What an executor finds."""
    yield {
        "module": probe_module.MARKER,
        "package": probe_package.MARKER,
        "file": Path("probe.csv").read_text().strip(),
        "folder": probe_module.__file__,
    }


def main() -> None:
    """Look here and there, and print it."""
    spark = SparkSession.builder.appName("probe-client").getOrCreate()
    context = spark.sparkContext
    driver = {
        "module": probe_module.MARKER,
        "package": probe_package.MARKER,
        "jar": context._jvm.probe.dependency.Greeting.marker(),
        "file": Path(SparkFiles.get("probe.csv")).read_text().strip(),
    }
    spark.udf.registerJavaFunction("marker_on_executor", "probe.dependency.MarkerOnExecutor")
    executors = context.parallelize(range(4), 4).mapPartitions(observe).collect()
    jars = [row[0] for row in spark.range(0, 4, 1, 4).selectExpr("marker_on_executor(id)").collect()]
    print("PROBE", json.dumps({"driver": driver, "executors": executors, "jars": jars}), flush=True)  # noqa: T201 - the log is the answer
    spark.stop()


if __name__ == "__main__":
    main()
