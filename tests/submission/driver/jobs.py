"""Jobs to make objects of, and what tests look at in the objects."""

from collections.abc import Mapping
from typing import Any

from submission.driver.job import DriverJob, DriverObjects, KubeObject, Language, MainResource
from submission.driver.objects import driver_objects
from submission.spark.conf import SparkVersion
from submission.spark.properties import parse_properties

IMAGE = "spark.kubernetes.container.image"
JAVA = MainResource(
    language=Language.JAVA, uri="local:///app.jar", main_class="demo.Main", arguments=("1", "two words")
)
PYTHON = MainResource(language=Language.PYTHON, uri="local:///app.py", main_class=None)
R = MainResource(language=Language.R, uri="local:///app.R", main_class=None)


def job(properties: Mapping[str, str] | None = None, *, spark: str = "4.3.0", **fields: Any) -> DriverJob:
    """Return a job with an image, and what is said here."""
    values = {
        "application": "demo",
        "application_id": "spark-0123",
        "unique_id": "abc",
        "namespace": "team",
        "main": JAVA,
        "user": "ada",
        **fields,
    }
    return DriverJob(spark=SparkVersion.parse(spark), properties={IMAGE: "spark:x", **(properties or {})}, **values)


def made(properties: Mapping[str, str] | None = None, **fields: Any) -> DriverObjects:
    """Return the objects of a job."""
    return driver_objects(job(properties, **fields))


def spark_container(objects: DriverObjects) -> KubeObject:
    """Return Spark's container, which is the last."""
    container: KubeObject = objects.pod["spec"]["containers"][-1]
    return container


def variables(objects: DriverObjects) -> dict[str, str]:
    """Return the plain variables of Spark's container."""
    return {one["name"]: one["value"] for one in spark_container(objects)["env"] if "value" in one}


def volumes(objects: DriverObjects) -> dict[str, KubeObject]:
    """Return the pod's volumes by name."""
    return {one["name"]: one for one in objects.pod["spec"]["volumes"]}


def mounts(objects: DriverObjects) -> dict[str, str]:
    """Return where volumes are mounted."""
    return {one["name"]: one["mountPath"] for one in spark_container(objects)["volumeMounts"]}


def owned(objects: DriverObjects, kind: str, *, name: str | None = None) -> KubeObject:
    """Return the only object of a kind (and a name) that the pod will own."""
    (found,) = [
        one for one in objects.owned if one["kind"] == kind and (name is None or one["metadata"]["name"] == name)
    ]
    return found


def told(objects: DriverObjects) -> dict[str, str]:
    """Return the properties that the driver reads."""
    return parse_properties(owned(objects, "ConfigMap", name="spark-drv-abc-conf-map")["data"]["spark.properties"])
