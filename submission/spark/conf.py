"""How each dependency reaches Spark: the properties, the main resource, and what executors still fetch from the driver.

In cluster mode, where the init container has filled both pods:

    jars       spark.jars=local:///var/spark-data/spark-jars/x.jar    every executor reads its own disk
    pyfiles    PYTHONPATH of driver and executors                     spark.submit.pyFiles would make executors fetch
    archives   nothing                                                unpacked in the working folder
    files      spark.files=local:///var/spark-data/spark-files/x      for SparkFiles.get in the driver

Jars of an R program are on the class paths of driver and executors instead: Spark looks into each one of spark.jars for
sources of R packages, and knows `file:` only (`RPackageUtils.checkAndBuildRPackage`).

`client_conf` does the same for a driver outside the cluster.

Verified with stock 3.5.9 and 4.3.0 on a cluster; where versions differ, the note says how.  Pure.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from posixpath import dirname
from typing import Final
from urllib.parse import quote

from staging_protocol.errors import InvalidRequest
from staging_protocol.manifest import Kind
from staging_protocol.pod_contract import LABEL, FilesIn, folder_of
from staging_protocol.tokens import BundleId
from staging_protocol.uris import Locality
from submission.classify import PYTHON_MODULE, Classified, Dependency
from submission.spark.command_line import PROPERTIES

DRIVER_PYTHON_PATH: Final = "spark.kubernetes.driverEnv.PYTHONPATH"
EXECUTOR_PYTHON_PATH: Final = "spark.executorEnv.PYTHONPATH"
DRIVER_CLASS_PATH: Final = "spark.driver.extraClassPath"
EXECUTOR_CLASS_PATH: Final = "spark.executor.extraClassPath"
AVOID_DOWNLOAD: Final = "spark.kubernetes.jars.avoidDownloadSchemes"
FETCH_CACHE: Final = "spark.files.useFetchCache"

_SERVES_LOCAL_FILES: Final = 4
"""First major version whose driver serves `local:` files; 3.x expects them on every node, where ours are."""


@dataclass(frozen=True, slots=True, order=True)
class SparkVersion:
    """The version of Spark that decides what is written.

    Attributes:
        major: 4 of 4.3.0.
        minor: 3 of 4.3.0.
        release: the whole text, as Spark writes it into the label `spark-version`; empty when it is not known.
    """

    major: int
    minor: int
    release: str = field(default="", compare=False)

    @classmethod
    def parse(cls, text: str) -> "SparkVersion":
        """Read `4.3.0`, `3.5` or `4.1.0-preview2`.

        Raises:
            InvalidRequest: it is no version, or one before 3.4.
        """
        numbers = text.partition("-")[0].split(".")
        if len(numbers) < 2 or not all(number.isdecimal() for number in numbers[:2]):  # noqa: PLR2004 - major, minor
            msg = f"{text!r} is not a version of Spark; expected for example 4.3.0"
            raise InvalidRequest(msg)
        version = cls(int(numbers[0]), int(numbers[1]), text)
        if version < cls(3, 4):
            msg = f"Spark {text} is too old; spark-staging supports 3.4 to 4.x"
            raise InvalidRequest(msg)
        return version

    def __str__(self) -> str:
        """Return `major.minor`."""
        return f"{self.major}.{self.minor}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What Spark is told.

    Attributes:
        properties: to be set, in a stable order.
        main: what to give as main resource; None when none was named.
        driver_files_in: where the driver's init container puts files.
        from_driver: bytes that each executor fetches from the driver because of `spark.files`.
        driver_python: the submitter's own files for the PYTHONPATH of a driver outside the cluster.
        notes: what the person should know.
    """

    properties: Mapping[str, str]
    main: str | None
    driver_files_in: FilesIn = FilesIn.WORK
    from_driver: int = 0
    driver_python: tuple[Dependency, ...] = ()
    notes: tuple[str, ...] = field(default=())


def deliver(
    classified: Classified,
    *,
    size_of: Callable[[Dependency], int | None],
    properties: Mapping[str, str],
    spark: SparkVersion,
    spark_files: bool,
) -> Delivery:
    """Return what Spark is told in cluster mode.

    Args:
        classified: all dependencies.
        size_of: bytes of a staged dependency, None where they are unknown.
        properties: in force already; values of the user are kept behind ours.
        spark: version of the pods.
        spark_files: whether files are also passed as `spark.files`.
    """
    files = others(classified, Kind.FILE)
    passed = [item for item in files if spark_files or item.locality is Locality.CONTAINER_LOCAL]
    told: dict[str, str] = {}
    if classified.main is not None and classified.main.kind is Kind.FILE:
        _tell_class_paths(told, classified, properties=properties)
    else:
        _tell_jars(told, classified, properties=properties)
    _tell_list(told, PROPERTIES[Kind.FILE], [_pod_uri(item, files_in=FilesIn.DATA) for item in passed])
    if passed and FETCH_CACHE not in properties:
        told[FETCH_CACHE] = "false"  # one copy less on each executor
    in_image = [item for item in others(classified, Kind.ARCHIVE) if item.locality is Locality.CONTAINER_LOCAL]
    _tell_list(told, PROPERTIES[Kind.ARCHIVE], [item.uri.text for item in in_image])
    tell_path(told, (DRIVER_PYTHON_PATH, EXECUTOR_PYTHON_PATH), python_path(classified), properties=properties)
    ours = [item for item in passed if item.locality is not Locality.CONTAINER_LOCAL]
    fetched = ours if fetches_files(spark) else []
    main = classified.main
    is_r = main is not None and main.kind is Kind.FILE and main.locality is not Locality.CONTAINER_LOCAL
    return Delivery(
        properties=told,
        main=None if main is None else _pod_uri(main, files_in=FilesIn.DATA),
        driver_files_in=FilesIn.DATA if ours or is_r else FilesIn.WORK,
        from_driver=sum(size_of(item) or 0 for item in fetched),
        notes=tuple(_notes(files=ours, fetched=fetched, in_image=in_image, spark=spark, size_of=size_of)),
    )


def fetches_files(spark: SparkVersion) -> bool:
    """Whether executors of this version fetch from the driver what is passed as `spark.files`."""
    return spark.major >= _SERVES_LOCAL_FILES


def bundle_properties(bundle: BundleId, *, driver_template: str | None, executor_template: str) -> dict[str, str]:
    """Return the properties that make pods use the bundle; without a driver's template there is no driver pod."""
    told: dict[str, str] = {}
    if driver_template is not None:
        told["spark.kubernetes.driver.podTemplateFile"] = driver_template
        told[f"spark.kubernetes.driver.label.{LABEL}"] = bundle
    told["spark.kubernetes.executor.podTemplateFile"] = executor_template
    told[f"spark.kubernetes.executor.label.{LABEL}"] = bundle
    return told


# --- jars, files -----------------------------------------------------------------------------------------------------


def _tell_jars(told: dict[str, str], classified: Classified, *, properties: Mapping[str, str]) -> None:
    # spark-submit adds the main jar to spark.jars by itself.
    jars = others(classified, Kind.JAR)
    _tell_list(told, PROPERTIES[Kind.JAR], [_pod_uri(item, files_in=FilesIn.DATA) for item in jars])
    if jars or (classified.main is not None and classified.main.kind is Kind.JAR):
        schemes = [scheme for scheme in properties.get(AVOID_DOWNLOAD, "").split(",") if scheme.strip()]
        # 3.x does not know the property and behaves as if it were set.
        told[AVOID_DOWNLOAD] = ",".join(schemes if "local" in schemes else ["local", *schemes])


def _tell_class_paths(told: dict[str, str], classified: Classified, *, properties: Mapping[str, str]) -> None:
    paths = [
        item.uri.local_path
        if item.locality is Locality.CONTAINER_LOCAL
        else f"{folder_of(item.kind, files_in=FilesIn.DATA)}/{item.target}"
        for item in others(classified, Kind.JAR)
    ]
    tell_path(told, (DRIVER_CLASS_PATH, EXECUTOR_CLASS_PATH), refuse_colons(paths), properties=properties)


def refuse_colons(paths: list[str]) -> list[str]:
    """Return the entries of a class path.

    Raises:
        InvalidRequest: one has a colon.
    """
    for path in paths:
        if ":" in path:
            msg = f"{path} has a colon, with which class paths separate names; rename it"
            raise InvalidRequest(msg)
    return paths


def _tell_list(told: dict[str, str], key: str, values: list[str]) -> None:
    if values:
        told[key] = ",".join(values)


def others(classified: Classified, kind: Kind) -> list[Dependency]:
    """Return all of a kind but for the main resource."""
    return [item for item in classified.dependencies if item.kind is kind and not item.is_main]


def _pod_uri(item: Dependency, *, files_in: FilesIn) -> str:
    if item.locality is Locality.CONTAINER_LOCAL:
        return item.uri.text
    return f"local://{folder_of(item.kind, files_in=files_in)}/{quote(item.target)}"


# --- Python path -----------------------------------------------------------------------------------------------------


def tell_path(told: dict[str, str], keys: Iterable[str], entries: list[str], *, properties: Mapping[str, str]) -> None:
    """Put our entries before the user's own."""
    for key in keys:
        if entries:
            told[key] = ":".join([*entries, *filter(None, [properties.get(key)])])


def python_path(classified: Classified) -> list[str]:
    """Return what PYTHONPATH has in pods: the folder of modules, then each archive in its order; every entry once."""
    items = [item for item in classified.dependencies if item.kind is Kind.PYFILE]
    folder = folder_of(Kind.PYFILE, files_in=FilesIn.DATA)
    entries = [folder] if any(item.locality is not Locality.CONTAINER_LOCAL for item in items) else []
    for item in items:
        is_module = item.uri.path.endswith(PYTHON_MODULE)
        if item.locality is Locality.CONTAINER_LOCAL:
            path = item.uri.local_path
            entries += [] if item.is_main else [dirname(path) if is_module else path]
        elif not is_module:
            entries.append(f"{folder}/{item.target}")
    return list(dict.fromkeys(entries))


# --- notes -----------------------------------------------------------------------------------------------------------


def _notes(
    *,
    files: list[Dependency],
    fetched: list[Dependency],
    in_image: list[Dependency],
    spark: SparkVersion,
    size_of: Callable[[Dependency], int | None],
) -> Iterable[str]:
    if fetched:
        known = sum(size_of(item) or 0 for item in fetched)
        more = " and files of unknown size" if any(size_of(item) is None for item in fetched) else ""
        yield (
            f"each executor fetches {known} bytes{more} from the driver because of spark.files; "
            "with --no-spark-files none, and open() finds the files, but SparkFiles.get in the driver does not"
        )
    elif files:
        yield f"in Spark {spark} SparkFiles.get does not find files in the driver; open() does, and so do executors"
    if in_image:
        names = ", ".join(str(item.uri) for item in in_image)
        yield f"Spark ignores archives that are in the image already: {names}"
