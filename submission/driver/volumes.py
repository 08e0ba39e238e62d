"""Volumes that properties ask for, and claims that are made on demand (`MountVolumesFeatureStep`).  Pure."""

from typing import Final

from submission.driver import abilities
from submission.driver.building import Building, mount
from submission.driver.job import KubeObject
from submission.driver.labels import SELECTOR
from submission.driver.volume_settings import DRIVER, EXECUTOR, VolumeSetting, VolumeType, volume_settings

_ON_DEMAND: Final = "OnDemand"
_FOR_NODE: Final = "spark.kubernetes.legacy.useReadWriteOnceAccessMode"


def volumes(building: Building) -> Building:
    """Mount the driver's volumes, and check those of the executors before there is a driver that would fail of them."""
    properties, spark = building.job.properties, building.job.spark
    volume_settings(properties, prefix=EXECUTOR, spark=spark)
    for index, setting in enumerate(volume_settings(properties, prefix=DRIVER, spark=spark)):
        claim = _claim_name(building, setting=setting, index=index)
        building = building.with_volumes({"name": setting.name, **_source(building, setting=setting, claim=claim)})
        building = building.with_mounts(_mount(setting))
        if setting.type is VolumeType.CLAIM and {"storageClass", "sizeLimit"} <= setting.options.keys():
            building = building.with_owned(_claim(building, setting=setting, name=claim))
    return building


def _mount(setting: VolumeSetting) -> KubeObject:
    more = {"subPath": setting.sub_path, "subPathExpr": setting.sub_path_expression}
    read_only = {"readOnly": True} if setting.read_only else {}
    return mount(setting.name, setting.path, **{key: text for key, text in more.items() if text}, **read_only)


def _source(building: Building, *, setting: VolumeSetting, claim: str) -> KubeObject:
    options = setting.options
    match setting.type:
        case VolumeType.HOST_PATH:
            kind = options.get("type", "") if building.since(abilities.MOUNT_EXPRESSION) else ""
            return {"hostPath": {"path": options["path"], "type": kind}}
        case VolumeType.CLAIM:
            return {"persistentVolumeClaim": {"claimName": claim, **({"readOnly": True} if setting.read_only else {})}}
        case VolumeType.EMPTY_DIR:
            return {"emptyDir": {key: options[key] for key in ("medium", "sizeLimit") if options.get(key)}}
        case VolumeType.NFS:
            return {"nfs": {"path": options["path"], "server": options["server"]}}


def _claim_name(building: Building, *, setting: VolumeSetting, index: int) -> str:
    name = setting.options.get("claimName", "")
    return name.replace(_ON_DEMAND, f"{building.names.prefix}-driver-pvc-{index}")


def _claim(building: Building, *, setting: VolumeSetting, name: str) -> KubeObject:
    for_node = building.conf.boolean(_FOR_NODE, default=not building.since(abilities.READ_WRITE_ONCE_POD))
    metadata: KubeObject = {
        "name": name,
        "namespace": building.job.namespace,
        "labels": {**setting.labels, SELECTOR: building.job.application_id},
    }
    if setting.annotations:
        metadata["annotations"] = dict(setting.annotations)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": {
            "storageClassName": setting.options["storageClass"],
            "accessModes": ["ReadWriteOnce" if for_node else "ReadWriteOncePod"],
            "resources": {"requests": {"storage": setting.options["sizeLimit"]}},
        },
    }
