"""Where each dependency of a job comes from, how it is moved, where it lands, and how Spark sees it.  Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from staging_protocol.manifest import Kind
from staging_protocol.pod_contract import FilesIn, folder_of
from staging_protocol.uris import Locality
from submission.classify import Classified, Dependency
from submission.spark.conf import SparkVersion, fetches_files

_IN_IMAGE = "nothing: it is in the image"
_LEFT_TO_SPARK = "Spark: the driver downloads it and serves it to executors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The way of one dependency.

    Attributes:
        uri: as it was named, without secrets.
        named_by: the option or property that names it.
        kind: what it is to Spark.
        size: bytes; None where they are unknown.
        moved_by: who brings it into the pods.
        driver: path in the driver; None where it is not.
        executors: path in executors; None where they fetch it, or do without.
        seen_as: how Spark, or the program, gets at it.
        from_driver: whether each executor fetches it from the driver.
    """

    uri: str
    named_by: str
    kind: Kind
    size: int | None
    moved_by: str
    driver: str | None
    executors: str | None
    seen_as: str
    from_driver: bool = False

    def fields(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


def routes(
    classified: Classified,
    *,
    size_of: Callable[[Dependency], int | None],
    spark: SparkVersion,
    spark_files: bool,
    driver_files_in: FilesIn,
) -> list[Route]:
    """Return the routes of a job in cluster mode, in the order in which its dependencies were named."""
    return [
        _in_cluster(item, size=size_of(item), spark=spark, spark_files=spark_files, driver_files_in=driver_files_in)
        for item in classified.dependencies
    ]


def client_routes(classified: Classified, *, size_of: Callable[[Dependency], int | None]) -> list[Route]:
    """Return the routes of a job whose driver runs on this machine."""
    return [_outside(item, size=size_of(item)) for item in classified.dependencies]


def _in_cluster(
    item: Dependency, *, size: int | None, spark: SparkVersion, spark_files: bool, driver_files_in: FilesIn
) -> Route:
    if item.locality is Locality.CONTAINER_LOCAL:
        return _route(item, size=None, moved_by=_IN_IMAGE, driver=item.uri.local_path, executors=item.uri.local_path)
    is_passed = item.kind is Kind.FILE and not item.is_main and spark_files
    return _route(
        item,
        size=size,
        moved_by=_moved_by(item),
        driver=f"{folder_of(item.kind, files_in=driver_files_in)}/{item.target}",
        executors=f"{folder_of(item.kind, files_in=FilesIn.WORK)}/{item.target}",
        finds=is_passed,
        from_driver=is_passed and fetches_files(spark),
    )


def _outside(item: Dependency, *, size: int | None) -> Route:
    is_served = item.kind is Kind.FILE and not item.is_main
    match item.locality:
        case Locality.CONTAINER_LOCAL:
            return _route(item, size=None, moved_by=_IN_IMAGE, driver=None, executors=item.uri.local_path)
        case Locality.REMOTE:
            return _route(item, size=size, moved_by=_LEFT_TO_SPARK, driver=None, executors=None, from_driver=True)
        case Locality.SUBMITTER_LOCAL:
            return _route(
                item,
                size=size,
                moved_by=_moved_by(item),
                driver=item.uri.local_path,
                executors=f"{folder_of(item.kind, files_in=FilesIn.WORK)}/{item.target}",
                finds=is_served,
                from_driver=is_served,
            )


def _moved_by(item: Dependency) -> str:
    if item.locality is Locality.REMOTE:
        return "each pod's init container, from where it lies"
    return "upload to the staging server, unless it is there; then each pod's init container"


def _route(
    item: Dependency, *, size: int | None, moved_by: str, driver: str | None, executors: str | None,
    finds: bool = False, from_driver: bool = False,
) -> Route:  # fmt: skip
    return Route(
        uri=str(item.uri), named_by=item.named_by, kind=item.kind, size=size, moved_by=moved_by,
        driver=driver, executors=executors, seen_as=_seen_as(item, finds=finds), from_driver=from_driver,
    )  # fmt: skip


def _seen_as(item: Dependency, *, finds: bool) -> str:
    if item.is_main:
        return "the application itself"
    match item.kind:
        case Kind.JAR:
            return "on the class path"
        case Kind.PYFILE:
            return "on PYTHONPATH"
        case Kind.ARCHIVE:
            return "ignored by Spark" if item.locality is Locality.CONTAINER_LOCAL else f"unpacked as ./{item.target}"
        case Kind.FILE:
            both = f'open("{item.target}")'
            return f'{both}, SparkFiles.get("{item.target}")' if finds else both
