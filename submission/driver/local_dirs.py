"""Scratch space of the driver, a volume for each folder (`LocalDirsFeatureStep`).

Volumes that the user mounts under a name of ours (`spark-local-dir-…`) are the scratch space instead.  Stock Spark
shuffles the folders; ours keep their order, and the default folder follows from the job.  Pure.
"""

from typing import Final
from uuid import NAMESPACE_OID, uuid5

from submission.driver.building import Building, mount, variable
from submission.driver.job import KubeObject

_VOLUME: Final = "spark-local-dir-"
_VARIABLE: Final = "SPARK_LOCAL_DIRS"


def local_dirs(building: Building) -> Building:
    """Mount the scratch space and name it to Spark."""
    mounts = building.container_list("volumeMounts")
    mounted = [str(one["mountPath"]) for one in mounts if str(one.get("name", "")).startswith(_VOLUME)]
    if not mounted:
        building, mounted = _with_new_volumes(building)
    return building.with_env(variable(_VARIABLE, ",".join(mounted)))


def _with_new_volumes(building: Building) -> tuple[Building, list[str]]:
    folders = _folders(building)
    medium: KubeObject = {"medium": "Memory"} if _in_memory(building) else {}
    names = [f"{_VOLUME}{index}" for index in range(1, len(folders) + 1)]
    volumes = [{"name": name, "emptyDir": dict(medium)} for name in names]
    mounts = [mount(name, folder) for name, folder in zip(names, folders, strict=True)]
    return building.with_volumes(*volumes).with_mounts(*mounts), folders


def _in_memory(building: Building) -> bool:
    return building.conf.boolean("spark.kubernetes.local.dirs.tmpfs", default=False)


def _folders(building: Building) -> list[str]:
    job = building.job
    named = job.environment.get(_VARIABLE) or building.conf.optional("spark.local.dir")
    default = f"/var/data/spark-{uuid5(NAMESPACE_OID, f'{job.application_id} {job.unique_id}')}"
    return (named or default).split(",")
