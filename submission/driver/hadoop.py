"""Hadoop's configuration in the driver: a ConfigMap of the user's, or one of HADOOP_CONF_DIR.

Executors mount the same one when the driver is told its name (`HadoopConfDriverFeatureStep`).  Pure.
"""

from typing import Final

from staging_protocol.errors import InvalidRequest
from submission.driver import abilities
from submission.driver.building import Building, config_map_volume, mount, variable
from submission.driver.config_maps import config_map

_EXISTING: Final = "spark.kubernetes.hadoop.configMapName"
_FOR_EXECUTORS: Final = "spark.kubernetes.executor.hadoopConfigMapName"
_VOLUME: Final = "hadoop-properties"
_FOLDER: Final = "/opt/hadoop/conf"


def hadoop(building: Building) -> Building:
    """Mount the configuration, where there is one.

    Raises:
        InvalidRequest: there are two.
    """
    files, existing = building.job.hadoop_conf_files, building.conf.optional(_EXISTING)
    if files and existing is not None:
        msg = f"HADOOP_CONF_DIR and {_EXISTING}={existing} name two configurations; unset one of them"
        raise InvalidRequest(msg)
    if existing is not None:
        return _mounted(building, name=existing)
    if not files:
        return building
    name = building.names.of("hadoop-config")
    items = [{"key": file, "path": file} for file in sorted(files)]
    made = config_map(building, name=name, data=files, what="HADOOP_CONF_DIR")
    return _mounted(building, name=name, items=items).with_owned(made)


def _mounted(building: Building, *, name: str, items: list[dict[str, str]] | None = None) -> Building:
    return (
        building.with_volumes(config_map_volume(_VOLUME, config_map=name, items=items))
        .with_mounts(mount(_VOLUME, _FOLDER))
        .with_env(variable("HADOOP_CONF_DIR", _FOLDER))
        .with_properties({_FOR_EXECUTORS: name} if building.since(abilities.HADOOP_FOR_EXECUTORS) else {})
    )
