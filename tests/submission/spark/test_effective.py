"""Properties in force are those that stock SparkSubmit hands to its Kubernetes client."""

import pytest

from staging_protocol.errors import InvalidRequest
from submission.spark.command_line import SubmitCommand, parse_arguments
from submission.spark.effective import effective, fallbacks, for_driver, ignored, resolved_master
from submission.spark.submission import Submission, submission

CLUSTER = ("--master", "k8s://https://host:6443", "--deploy-mode", "cluster")


def read(*arguments: str, file: dict[str, str] | None = None, variables: dict[str, str] | None = None) -> Submission:
    command = parse_arguments([*CLUSTER, *arguments])
    assert isinstance(command, SubmitCommand)
    return submission(
        command, from_file=file or {}, master=None, deploy_mode=None, from_environment=fallbacks(variables or {})
    )


@pytest.mark.parametrize(
    ("option", "key"),
    [
        ("--driver-memory", "spark.driver.memory"),
        ("--driver-java-options", "spark.driver.extraJavaOptions"),
        ("--driver-library-path", "spark.driver.extraLibraryPath"),
        ("--driver-class-path", "spark.driver.extraClassPath"),
        ("--driver-default-class-path", "spark.driver.defaultExtraClassPath"),
        ("--driver-cores", "spark.driver.cores"),
        ("--executor-cores", "spark.executor.cores"),
        ("--executor-memory", "spark.executor.memory"),
        ("--num-executors", "spark.executor.instances"),
        ("--name", "spark.app.name"),
        ("--principal", "spark.kerberos.principal"),
        ("--keytab", "spark.kerberos.keytab"),
        ("--exclude-packages", "spark.jars.excludes"),
        ("--repositories", "spark.jars.repositories"),
        ("--jars", "spark.jars"),
        ("--files", "spark.files"),
        ("--archives", "spark.archives"),
        ("--py-files", "spark.submit.pyFiles"),
    ],
)
def test_an_option_is_a_property(option: str, key: str) -> None:
    assert effective(read(option, "7", "local:///app.jar"))[key] == "7"


def test_an_option_wins_over_conf_over_the_file_over_the_environment() -> None:
    variables = {"SPARK_EXECUTOR_MEMORY": "4g", "SPARK_EXECUTOR_CORES": "4", "SPARK_DRIVER_MEMORY": "4g"}
    given = read(
        "--executor-memory", "1g", "--conf", "spark.executor.memory=2g", "--conf", "spark.executor.cores=2", "app.jar",
        file={"spark.executor.memory": "3g", "spark.executor.cores": "3", "spark.executor.instances": "3"},
        variables=variables,
    )  # fmt: skip

    found = effective(given)

    assert found["spark.executor.memory"] == "1g"
    assert found["spark.executor.cores"] == "2"
    assert found["spark.executor.instances"] == "3"
    assert found["spark.driver.memory"] == "4g"


def test_of_the_launchers_options_and_conf_the_last_one_counts() -> None:
    option_first = read("--driver-memory", "1g", "--conf", "spark.driver.memory=2g", "app.jar")
    option_last = read("--conf", "spark.driver.memory=2g", "--driver-memory", "1g", "app.jar")

    assert effective(option_first)["spark.driver.memory"] == "2g"
    assert effective(option_last)["spark.driver.memory"] == "1g"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--name", "given", "--class", "demo.Main", "/x/app.jar"], "given"),
        (["--conf", "spark.app.name=said", "--class", "demo.Main", "/x/app.jar"], "said"),
        (["--class", "demo.Main", "/x/app.jar"], "demo.Main"),
        (["/x/app.jar"], "app.jar"),
    ],
)
def test_a_name_is_found_as_spark_finds_it(arguments: list[str], name: str) -> None:
    assert effective(read(*arguments))["spark.app.name"] == name


def test_what_is_not_sparks_does_not_count_and_is_told() -> None:
    given = read("--conf", "mine=1", "--queue", "q", "app.jar", file={"other.key": "2", "spark.x": "3"})

    assert effective(given).keys() & {"mine", "other.key"} == set()
    assert effective(given)["spark.x"] == "3"
    told = "\n".join(ignored(given))
    assert "--queue has no effect on Kubernetes" in told
    assert "mine, other.key" in told


def test_the_drivers_address_is_not_the_persons_in_cluster_mode() -> None:
    given = read("--conf", "spark.driver.host=1.2.3.4", "app.jar")

    assert "spark.driver.host" not in effective(given)
    assert any("spark.driver.host" in line for line in ignored(given))


@pytest.mark.parametrize(
    ("master", "resolved"),
    [
        ("k8s://https://host:6443", "k8s://https://host:6443"),
        ("k8s://http://host", "k8s://http://host"),
        ("k8s://host:6443", "k8s://https://host:6443"),
    ],
)
def test_a_master_without_a_scheme_is_https(master: str, resolved: str) -> None:
    assert resolved_master(master) == resolved


@pytest.mark.parametrize("master", ["k8s://", "k8s://ftp://host", "k8s://https://"])
def test_a_master_that_is_no_address_is_refused(master: str) -> None:
    with pytest.raises(InvalidRequest, match="names no API server"):
        resolved_master(master)


@pytest.mark.parametrize(
    "arguments",
    [
        ["pyspark-shell"],
        ["sparkr-shell"],
        ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"],
        ["--class", "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2", "spark-internal"],
    ],
)
def test_shells_and_servers_for_shells_are_refused_in_cluster_mode(arguments: list[str]) -> None:
    with pytest.raises(InvalidRequest, match="cannot run in cluster mode"):
        effective(read(*arguments))


def test_the_driver_is_told_our_lists_and_the_main_jar_last() -> None:
    found = effective(read("--jars", "a.jar", "--files", "f", "--py-files", "u.py", "app.jar"))

    told = for_driver(found, told={"spark.jars": "local:///a.jar"}, main="local:///app.jar", submitted=5)

    assert told["spark.jars"] == "local:///a.jar,local:///app.jar"
    assert told["spark.submit.pyFiles"] == ""
    assert told["spark.app.submitTime"] == "5"
    assert "spark.files" not in told


def test_a_driver_in_python_is_told_no_jars() -> None:
    told = for_driver(effective(read("main.py")), told={}, main=None, submitted=5)

    assert "spark.jars" not in told
