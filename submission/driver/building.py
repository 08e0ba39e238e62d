"""A driver on its way through the feature steps: the pod so far, Spark's container apart from it, and the properties.

Each step takes one and returns another; nothing is changed in place.  Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from submission.driver.conf import Conf
from submission.driver.job import DriverJob, KubeObject
from submission.driver.names import Names
from submission.spark.conf import SparkVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Building:
    """What there is so far.

    Attributes:
        job: what is built.
        conf: its properties, read as Spark reads them.
        names: of all objects.
        pod: the driver without Spark's container.
        container: Spark's container.
        properties: what `spark.properties` in the driver will say.
        before: objects that are created before the pod.
        owned: objects that the pod will own.
    """

    job: DriverJob
    conf: Conf
    names: Names
    pod: KubeObject
    container: KubeObject
    properties: Mapping[str, str]
    before: tuple[KubeObject, ...] = ()
    owned: tuple[KubeObject, ...] = ()

    def since(self, version: SparkVersion) -> bool:
        """Whether the job's Spark can do what came with a version (of `abilities`)."""
        return self.job.spark >= version

    def with_metadata(self, **fields: Any) -> "Building":
        """Set fields of the pod's metadata."""
        return replace(self, pod={**self.pod, "metadata": {**(self.pod.get("metadata") or {}), **fields}})

    def with_annotations(self, annotations: Mapping[str, str]) -> "Building":
        """Add annotations to the pod's own."""
        if not annotations:
            return self
        own = (self.pod.get("metadata") or {}).get("annotations") or {}
        return self.with_metadata(annotations={**own, **annotations})

    def with_spec(self, **fields: Any) -> "Building":
        """Set fields of the pod's spec."""
        return replace(self, pod={**self.pod, "spec": {**(self.pod.get("spec") or {}), **fields}})

    def spec_list(self, field: str) -> list[KubeObject]:
        """Return a list of the pod's spec, which may be missing there."""
        return list((self.pod.get("spec") or {}).get(field) or [])

    def with_volumes(self, *volumes: KubeObject) -> "Building":
        """Add volumes behind those that are there."""
        return self.with_spec(volumes=[*self.spec_list("volumes"), *volumes]) if volumes else self

    def with_container(self, **fields: Any) -> "Building":
        """Set fields of Spark's container."""
        return replace(self, container={**self.container, **fields})

    def container_list(self, field: str) -> list[Any]:
        """Return a list of Spark's container, which may be missing there."""
        return list(self.container.get(field) or [])

    def with_mounts(self, *mounts: KubeObject) -> "Building":
        """Add mounts behind those that are there."""
        return self.with_container(volumeMounts=[*self.container_list("volumeMounts"), *mounts]) if mounts else self

    def with_env(self, *variables: KubeObject) -> "Building":
        """Add variables behind those that are there; of two with one name the last counts."""
        return self.with_container(env=[*self.container_list("env"), *variables]) if variables else self

    def with_properties(self, properties: Mapping[str, str]) -> "Building":
        """Tell the driver more."""
        return replace(self, properties={**self.properties, **properties})

    def with_before(self, *objects: KubeObject) -> "Building":
        """Add objects that are created before the pod."""
        return replace(self, before=(*self.before, *objects))

    def with_owned(self, *objects: KubeObject) -> "Building":
        """Add objects that the pod will own."""
        return replace(self, owned=(*self.owned, *objects))


def variable(name: str, value: str) -> KubeObject:
    """Return a variable of a container."""
    return {"name": name, "value": value}


def mount(volume: str, path: str, **more: Any) -> KubeObject:
    """Return a mount of a container."""
    return {"name": volume, "mountPath": path, **more}


def config_map_volume(name: str, *, config_map: str, items: list[KubeObject] | None = None) -> KubeObject:
    """Return a volume of a ConfigMap: all of it, or the items."""
    return {"name": name, "configMap": {"name": config_map, **({} if items is None else {"items": items})}}


def secret_volume(name: str, *, secret: str) -> KubeObject:
    """Return a volume of a Secret."""
    return {"name": name, "secret": {"secretName": secret}}
