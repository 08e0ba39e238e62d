"""All properties in force, as `SparkSubmit` hands them to its Kubernetes client: options, files and its own additions.

    option  >  --conf  >  --properties-file  >  spark-defaults.conf  >  SPARK_DRIVER_MEMORY and its like

with one exception that stock Spark has: its launcher rewrites five of the driver's options into `--conf`, so that among
those and `--conf` the last one given counts.  Pure.
"""

from collections.abc import Iterator, Mapping
from posixpath import basename
from typing import Final

from staging_protocol.errors import InvalidRequest
from staging_protocol.manifest import Kind
from submission.spark.command_line import PROPERTIES, SubmitCommand
from submission.spark.submission import Submission

NAME: Final = "spark.app.name"
MASTER: Final = "spark.master"

_PYFILES: Final = PROPERTIES[Kind.PYFILE]
_JARS: Final = PROPERTIES[Kind.JAR]

_BY_LAUNCHER: Final = {
    "--driver-memory": "spark.driver.memory",
    "--driver-java-options": "spark.driver.extraJavaOptions",
    "--driver-library-path": "spark.driver.extraLibraryPath",
    "--driver-class-path": "spark.driver.extraClassPath",
    "--driver-default-class-path": "spark.driver.defaultExtraClassPath",
}
"""What the launcher turns into `--conf` (`SparkSubmitCommandBuilder`)."""

_OPTIONS: Final = {
    "--name": NAME,
    "--driver-cores": "spark.driver.cores",
    "--executor-cores": "spark.executor.cores",
    "--executor-memory": "spark.executor.memory",
    "--num-executors": "spark.executor.instances",
    "--principal": "spark.kerberos.principal",
    "--keytab": "spark.kerberos.keytab",
    "--exclude-packages": "spark.jars.excludes",
    "--repositories": "spark.jars.repositories",
    "--jars": _JARS,
    "--files": PROPERTIES[Kind.FILE],
    "--archives": PROPERTIES[Kind.ARCHIVE],
    "--py-files": _PYFILES,
}
"""What `SparkSubmit` itself turns into properties for Kubernetes."""

_FALLBACKS: Final = {
    "spark.driver.memory": "SPARK_DRIVER_MEMORY",
    "spark.executor.memory": "SPARK_EXECUTOR_MEMORY",
    "spark.executor.cores": "SPARK_EXECUTOR_CORES",
}
_OLD_NAMES: Final = {
    "spark.kerberos.principal": "spark.yarn.principal",
    "spark.kerberos.keytab": "spark.yarn.keytab",
}

_IGNORED: Final = {
    "--queue": "it is for YARN; name the queue in the way of your scheduler, for example with a label",
    "--supervise": "it is for Spark's own standalone cluster",
    "--total-executor-cores": "it is for Spark's own standalone cluster; give --num-executors and --executor-cores",
}
"""Options that stock Spark takes and ignores on Kubernetes."""

_OVERWRITTEN: Final = {
    "spark.driver.host": "the driver's Service is its address",
    "spark.app.id": "every submission gets an id of its own",
}
"""Properties that stock Spark sets in cluster mode, whatever is given."""

_SHELLS: Final = {
    "pyspark-shell": "the Python shell",
    "sparkr-shell": "the R shell",
    "spark-shell": "the shell",
    "org.apache.spark.sql.hive.thriftserver.SparkSQLCLIDriver": "the SQL shell",
    "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2": "the Thrift server",
    "org.apache.spark.sql.connect.service.SparkConnectServer": "the Spark Connect server",
}
"""Main resources and classes that only run beside the person."""


def fallbacks(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the properties that Spark takes from the environment when nothing else names them."""
    return {key: variables[name] for key, name in _FALLBACKS.items() if variables.get(name)}


def effective(submission: Submission) -> dict[str, str]:
    """Return the properties in force; lists of dependencies are as they were written.

    Raises:
        InvalidRequest: stock Spark refuses such a command on Kubernetes.
    """
    command = submission.command
    _refuse_shells(command, is_cluster=submission.is_cluster)
    properties = {key: value for key, value in submission.from_file.items() if _is_sparks(key)}
    for option in command.options:
        if option.conf is not None and _is_sparks(option.conf[0]):
            properties[option.conf[0]] = option.conf[1]
        elif option.name in _BY_LAUNCHER and option.value is not None:
            properties[_BY_LAUNCHER[option.name]] = option.value
    properties |= {_OPTIONS[one.name]: one.value for one in command.options if one.name in _OPTIONS and one.value}
    for key, old in _OLD_NAMES.items():
        if old in properties:
            properties.setdefault(key, properties[old])
    properties = {**submission.from_environment, **properties}
    properties["spark.submit.deployMode"] = "cluster" if submission.is_cluster else "client"
    properties.setdefault(NAME, command.last("--class") or basename(command.main))
    if submission.master is not None:
        properties[MASTER] = resolved_master(submission.master)
    if submission.is_cluster:
        properties.pop("spark.driver.host", None)  # the driver's own Service is its address
    return properties


def for_driver(
    properties: Mapping[str, str], *, told: Mapping[str, str], main: str | None, submitted: int
) -> dict[str, str]:
    """Return what a driver in the cluster is told.

    Args:
        properties: those in force.
        told: what our own delivery adds; it replaces every list of dependencies.
        main: jar that is the main resource, as the driver finds it; None for Python, R and `spark-internal`.
        submitted: when, in milliseconds since 1970.
    """
    lists = frozenset(PROPERTIES.values())
    kept = {key: value for key, value in properties.items() if key not in lists}
    # SparkSubmit writes the list of Python files in any case, and adds the main jar at the end of the jars.
    result = {"spark.app.submitTime": str(submitted), **kept, _PYFILES: "", **told}
    if main is not None:
        result[_JARS] = ",".join([*filter(None, [result.get(_JARS)]), main])
    return result


def resolved_master(master: str) -> str:
    """Return the address of the API server as `Utils.checkAndGetK8sMasterUrl` completes it.

    Raises:
        InvalidRequest: it is none.
    """
    address = master.removeprefix("k8s://")
    scheme, separator, rest = address.partition("://")
    if not address or (separator and (scheme.lower() not in {"http", "https"} or not rest)):
        msg = f"the master {master} names no API server; expected k8s://https://HOST:PORT"
        raise InvalidRequest(msg)
    return master if separator else f"k8s://https://{address}"


def ignored(submission: Submission) -> Iterator[str]:
    """Yield a line for all that was said and has no effect on Kubernetes, as with stock Spark."""
    for name, why in _IGNORED.items():
        if submission.command.has(name):
            yield f"{name} has no effect on Kubernetes: {why}"
    others = sorted(key for key in {**submission.from_file, **submission.command.conf} if not _is_sparks(key))
    if others:
        yield f"only properties that begin with spark. count; not these: {', '.join(others)}"
    for key, why in _OVERWRITTEN.items():
        if submission.is_cluster and key in submission.properties:
            yield f"{key} has no effect in cluster mode: {why}"


def _is_sparks(key: str) -> bool:
    return key.startswith("spark.")


def _refuse_shells(command: SubmitCommand, *, is_cluster: bool) -> None:
    shell = _SHELLS.get(command.main) or _SHELLS.get(command.last("--class") or "")
    if is_cluster and shell is not None:
        msg = f"{shell} cannot run in cluster mode; leave out --deploy-mode cluster"
        raise InvalidRequest(msg)
