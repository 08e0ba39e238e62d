"""The executors' pod template, which the driver reads from a ConfigMap (`PodTemplateConfigMapStep`).  Pure."""

from typing import Final

from submission.driver.building import Building, config_map_volume, mount
from submission.driver.config_maps import config_map

TEMPLATE: Final = "spark.kubernetes.executor.podTemplateFile"

_VOLUME: Final = "pod-template-volume"
_FOLDER: Final = "/opt/spark/pod-template"
_FILE: Final = "pod-spec-template.yml"
_KEY: Final = "podspec-configmap-key"


def executor_template(building: Building) -> Building:
    """Hand the template to the driver, when there is one."""
    text = building.job.executor_template
    if text is None:
        return building
    name = building.names.of("driver-podspec-conf-map")
    return (
        building.with_volumes(config_map_volume(_VOLUME, config_map=name, items=[{"key": _KEY, "path": _FILE}]))
        .with_mounts(mount(_VOLUME, _FOLDER))
        .with_properties({TEMPLATE: f"{_FOLDER}/{_FILE}"})
        .with_owned(config_map(building, name=name, data={_KEY: text}, what="the executors' pod template"))
    )
