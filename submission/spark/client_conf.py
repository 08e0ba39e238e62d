"""How dependencies reach Spark when the driver runs outside the cluster.

The driver uses the submitter's own files; only executors have the volumes:

    jars       spark.driver.extraClassPath and spark.executor.extraClassPath, each jar listed; never spark.jars
    pyfiles    PYTHONPATH of the driver's process; spark.executorEnv.PYTHONPATH
    archives   unpacked for executors only
    files      spark.files with the original paths, from which executors fetch; none with --no-spark-files

A main jar is on both class paths, and the main resource is `spark-internal`: as a main resource the driver would serve
it to every executor.  What is remote stays with Spark.  Pure.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from staging_protocol.manifest import Kind
from staging_protocol.pod_contract import FilesIn, folder_of
from staging_protocol.uris import Locality
from submission.classify import Classified, Dependency
from submission.spark.command_line import PROPERTIES
from submission.spark.conf import (
    DRIVER_CLASS_PATH,
    EXECUTOR_CLASS_PATH,
    EXECUTOR_PYTHON_PATH,
    FETCH_CACHE,
    Delivery,
    others,
    python_path,
    refuse_colons,
    tell_path,
)

NO_RESOURCE: Final = "spark-internal"
"""Main resource of an application that is on the class path already (`SparkLauncher.NO_RESOURCE`)."""


def deliver_client(
    classified: Classified,
    *,
    size_of: Callable[[Dependency], int | None],
    properties: Mapping[str, str],
    driver_class_path: str | None,
    spark_files: bool,
) -> Delivery:
    """Return what Spark is told in client mode.

    Only submitter-local dependencies are ours; others stay with Spark, which handles them as without us.
    `driver_class_path` is the user's option of that name, which wins over the property.
    """
    main = classified.main
    staged = [item for item in classified.staged if item is not main]
    main_jar = [main] if main is not None and _is_ours(main) and main.kind is Kind.JAR else []
    jars = main_jar + [item for item in staged if item.kind is Kind.JAR]
    files = [item for item in staged if item.kind is Kind.FILE and spark_files]
    python = [item for item in staged if item.kind is Kind.PYFILE]
    told = {
        PROPERTIES[kind]: ",".join(item.uri.text for item in others(classified, kind) if not _is_ours(item))
        for kind in Kind
    }
    told[PROPERTIES[Kind.FILE]] = ",".join([*filter(None, [told[PROPERTIES[Kind.FILE]]]), *(i.uri.text for i in files)])
    told = {key: value for key, value in told.items() if value}
    if files and FETCH_CACHE not in properties:
        told[FETCH_CACHE] = "false"
    own = {**properties, **({} if driver_class_path is None else {DRIVER_CLASS_PATH: driver_class_path})}
    tell_path(told, (DRIVER_CLASS_PATH,), _class_path(jars, outside=True), properties=own)
    tell_path(told, (EXECUTOR_CLASS_PATH,), _class_path(jars, outside=False), properties=properties)
    inside = Classified(dependencies=tuple(python))
    tell_path(told, (EXECUTOR_PYTHON_PATH,), python_path(inside), properties=properties)
    return Delivery(
        properties=told,
        main=None if main is None else NO_RESOURCE if main_jar else main.uri.text,
        from_driver=sum(size_of(item) or 0 for item in files),
        driver_python=tuple(python),
        notes=tuple(_client_notes(classified)),
    )


def _is_ours(item: Dependency) -> bool:
    return item.locality is Locality.SUBMITTER_LOCAL


def _class_path(jars: list[Dependency], *, outside: bool) -> list[str]:
    folder = folder_of(Kind.JAR, files_in=FilesIn.DATA)
    return refuse_colons([item.uri.local_path if outside else f"{folder}/{item.target}" for item in jars])


def _client_notes(classified: Classified) -> Iterable[str]:
    if any(item.kind is Kind.ARCHIVE for item in classified.staged):
        yield "archives are unpacked for executors; the driver, outside the cluster, has to use its own copy"
    if classified.remote:
        yield "in client mode remote dependencies are left to Spark: the driver downloads them and serves them"
