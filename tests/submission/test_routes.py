"""What `explain` says of each dependency."""

import pytest

from staging_protocol.errors import ExitCode
from staging_protocol.manifest import Kind
from staging_protocol.pod_contract import FilesIn
from submission.classify import classify, main_dependency, named
from submission.routes import Route, client_routes, routes
from submission.spark.conf import SparkVersion
from tests.submission.conftest import Command

JOB = classify(
    [
        *named(Kind.JAR, ["lib.jar", "s3a://libs/b.jar", "local:///opt/c.jar"], by="--jars"),
        *named(Kind.FILE, ["prices.csv"], by="--files"),
        *named(Kind.PYFILE, ["rules.zip"], by="--py-files"),
        *named(Kind.ARCHIVE, ["env.tar.gz#env"], by="--archives"),
        main_dependency("nightly.py"),
    ]
)
SUBMIT = ("--deploy-mode", "cluster", "--conf", "spark.kubernetes.container.image=spark:4.3.0")


def in_cluster(*, spark: str = "4.3", spark_files: bool = True) -> dict[str, Route]:
    found = routes(
        JOB,
        size_of=lambda _item: 7,
        spark=SparkVersion.parse(spark),
        spark_files=spark_files,
        driver_files_in=FilesIn.DATA,
    )
    return {route.uri: route for route in found}


def test_what_is_staged_or_remote_comes_by_the_init_container_of_each_pod() -> None:
    found = in_cluster()
    assert "staging server" in found["lib.jar"].moved_by
    assert found["s3a://libs/b.jar"].moved_by == "each pod's init container, from where it lies"
    for uri in ("lib.jar", "s3a://libs/b.jar"):
        assert found[uri].driver == found[uri].executors == f"/var/spark-data/spark-jars/{uri.rpartition('/')[2]}"
        assert not found[uri].from_driver


def test_what_is_in_the_image_is_not_moved() -> None:
    route = in_cluster()["local:///opt/c.jar"]
    assert (route.driver, route.executors, route.size) == ("/opt/c.jar", "/opt/c.jar", None)
    assert route.moved_by == "nothing: it is in the image"


@pytest.mark.parametrize(
    ("spark", "spark_files", "fetched"), [("4.3", True, True), ("4.3", False, False), ("3.5", True, False)]
)
def test_files_are_fetched_from_the_driver_where_spark_is_told_of_them(
    spark: str, *, spark_files: bool, fetched: bool
) -> None:
    route = in_cluster(spark=spark, spark_files=spark_files)["prices.csv"]
    assert route.from_driver is fetched
    assert ("SparkFiles.get" in route.seen_as) is spark_files
    assert route.executors == "/var/spark-work/prices.csv"


def test_archives_and_python_files_are_seen_without_spark() -> None:
    found = in_cluster()
    assert found["env.tar.gz#env"].executors == "/var/spark-work/env"
    assert found["env.tar.gz#env"].seen_as == "unpacked as ./env"
    assert found["rules.zip"].seen_as == "on PYTHONPATH"
    assert found["nightly.py"].seen_as == "the application itself"


def test_a_driver_outside_uses_the_original_files_and_spark_moves_what_is_remote() -> None:
    found = {route.uri: route for route in client_routes(JOB, size_of=lambda _item: None)}
    assert found["lib.jar"].driver == "lib.jar"
    assert found["lib.jar"].executors == "/var/spark-data/spark-jars/lib.jar"
    assert found["s3a://libs/b.jar"].from_driver
    assert found["local:///opt/c.jar"].driver is None


def test_the_command_explains_a_command_line_without_asking_anybody(command: Command) -> None:
    del command.environment["SPARK_STAGING_URL"]
    for name in ("prices.csv", "nightly.py"):
        command.file(name, b"1234567")
    words = ("explain", *SUBMIT, "--files", "prices.csv", "nightly.py", "--not-ours")
    done = command.inside(*words)
    assert done.returncode == 0, done.stderr
    assert "prices.csv  (file, --files, 7 bytes)" in done.stdout
    assert "besides:   each executor fetches it from the driver" in done.stdout
    found = command.inside("explain", "-o", "json", *words[1:])
    assert '"executors": "/var/spark-work/prices.csv"' in found.stdout


def test_what_is_missing_is_told(command: Command) -> None:
    done = command.inside("explain", *SUBMIT, "--jars", "absent.jar", "nightly.py")
    assert done.returncode == ExitCode.NOT_FOUND
    assert "absent.jar" in done.stderr


def test_nothing_is_explained_of_a_kill(command: Command) -> None:
    assert command.inside("explain", "--kill", "jobs:x").returncode == ExitCode.USAGE
