"""`spark.kubernetes.driver.volumes.TYPE.NAME.…`, read and checked as `KubernetesVolumeUtils` does it.  Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from staging_protocol.errors import InvalidRequest
from submission.driver import abilities
from submission.spark.conf import SparkVersion
from submission.spark.values import boolean

DRIVER: Final = "spark.kubernetes.driver.volumes."
EXECUTOR: Final = "spark.kubernetes.executor.volumes."

_LEAST_BYTES: Final = 1024


class VolumeType(StrEnum):
    """Types that Spark mounts by properties; the others come with a pod template."""

    HOST_PATH = "hostPath"
    CLAIM = "persistentVolumeClaim"
    EMPTY_DIR = "emptyDir"
    NFS = "nfs"


_REQUIRED: Final = {
    VolumeType.HOST_PATH: ("mount.path", "options.path"),
    VolumeType.CLAIM: ("mount.path", "options.claimName"),
    VolumeType.EMPTY_DIR: ("mount.path",),
    VolumeType.NFS: ("mount.path", "options.path", "options.server"),
}
_SIZED: Final = frozenset({VolumeType.CLAIM, VolumeType.EMPTY_DIR})


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSetting:
    """One volume as it was asked for.

    Attributes:
        type: of the volume.
        name: of the volume in the pod.
        path: where it is mounted.
        read_only: whether it is mounted so.
        sub_path: folder of the volume that is mounted; empty: all of it.
        sub_path_expression: the same with `$(VARIABLE)`.
        options: by their names after `options.`.
        labels: of a claim on demand.
        annotations: of a claim on demand.
    """

    type: VolumeType
    name: str
    path: str
    read_only: bool = False
    sub_path: str = ""
    sub_path_expression: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


def volume_settings(properties: Mapping[str, str], *, prefix: str, spark: SparkVersion) -> list[VolumeSetting]:
    """Return the volumes of the driver or the executors, in the order in which they are first named.

    Raises:
        InvalidRequest: one is of an unknown type, lacks something, or is mounted where another is.
    """
    keys = [key.removeprefix(prefix).split(".") for key in properties if key.startswith(prefix)]
    named = dict.fromkeys((parts[0], parts[1]) for parts in keys if len(parts) > 1)
    found = [
        _setting(properties, key=f"{prefix}{kind}.{name}.", kind=kind, name=name, spark=spark) for kind, name in named
    ]
    places: dict[str, VolumeSetting] = {}
    for one in found:
        other = places.setdefault(one.path, one)
        if other is not one:
            msg = f"the volumes {other.name} and {one.name} are both mounted at {one.path}; mount one of them elsewhere"
            raise InvalidRequest(msg)
    return found


def _setting(properties: Mapping[str, str], *, key: str, kind: str, name: str, spark: SparkVersion) -> VolumeSetting:
    own = {one.removeprefix(key): value for one, value in properties.items() if one.startswith(key)}
    volume_type = _checked_type(own, key=key, kind=kind)
    expressions = spark >= abilities.MOUNT_EXPRESSION
    if expressions and "mount.subPath" in own and "mount.subPathExpr" in own:
        msg = f"{key}mount.subPath and {key}mount.subPathExpr exclude each other; set one of them"
        raise InvalidRequest(msg)
    if spark >= abilities.SIZE_CHECK and volume_type in _SIZED:
        _check_size(own.get("options.sizeLimit"), key=f"{key}options.sizeLimit")
    labelled = spark >= abilities.CLAIM_LABELS
    return VolumeSetting(
        type=volume_type,
        name=name,
        path=own["mount.path"],
        read_only=boolean(own.get("mount.readOnly", "false"), key=f"{key}mount.readOnly"),
        sub_path=own.get("mount.subPath", ""),
        sub_path_expression=own.get("mount.subPathExpr", "") if expressions else "",
        options=_after(own, "options."),
        labels=_after(own, "label.") if labelled else {},
        annotations=_after(own, "annotation.") if labelled else {},
    )


def _checked_type(own: Mapping[str, str], *, key: str, kind: str) -> VolumeType:
    if kind not in list(VolumeType):
        msg = (
            f"{key}… asks for a volume of type {kind}, and Spark knows {', '.join(VolumeType)}; "
            "other types can be written into a pod template"
        )
        raise InvalidRequest(msg)
    found = VolumeType(kind)
    for needed in _REQUIRED[found]:
        if needed not in own:
            msg = f"{key}{needed} is not set, and a volume of type {kind} needs it"
            raise InvalidRequest(msg)
    return found


def _check_size(size: str | None, *, key: str) -> None:
    if size is not None and size.isdecimal() and int(size) < _LEAST_BYTES:
        msg = f"{key}={size} is less than 1 KiB; give it a unit, for example {size}Gi"
        raise InvalidRequest(msg)


def _after(own: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {key.removeprefix(prefix): value for key, value in own.items() if key.startswith(prefix)}
