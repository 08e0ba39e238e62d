"""The ConfigMap with `spark.properties` and the files of SPARK_CONF_DIR, which the driver sees as its configuration.

It comes last: `spark.properties` has what all other steps tell the driver (`Client.run`).  Pure.
"""

from typing import Final

from submission.driver.building import Building, config_map_volume, mount, variable
from submission.driver.config_maps import config_map
from submission.driver.java_properties import stored

PROPERTIES_FILE: Final = "/opt/spark/conf/spark.properties"

_FOLDER: Final = "/opt/spark/conf"
_NAME: Final = "spark.properties"
_VOLUME: Final = "spark-conf-volume-driver"
_READABLE: Final = 0o644


def conf_map(building: Building) -> Building:
    """Add the ConfigMap and mount it."""
    name = building.names.conf_map
    comment = f"Java properties built from Kubernetes config map with name: {name}"
    files = {**building.job.spark_conf_files, _NAME: stored(building.properties, comment=comment)}
    # Stock Spark also writes the namespace into the ConfigMap, as if it were a file; it mounts the files only.
    data = {**files, "spark.kubernetes.namespace": building.job.namespace}
    what = "the driver's configuration (SPARK_CONF_DIR and all properties)"
    items = [{"key": file, "mode": _READABLE, "path": file} for file in sorted(files)]
    return (
        building.with_env(variable("SPARK_CONF_DIR", _FOLDER))
        .with_mounts(mount(_VOLUME, _FOLDER))
        .with_volumes(config_map_volume(_VOLUME, config_map=name, items=items))
        .with_owned(config_map(building, name=name, data=data, what=what))
    )
