"""SparkApplications of both operators, as an operator sees them: without one running, the test says how they are."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from tests.kube.cluster import Cluster
from tests.kube.processes import run
from tests.kube.settings import REPOSITORY

DEFINITIONS: Final = REPOSITORY / "tests" / "services" / "spark_crds.yaml"


@dataclass(frozen=True, kw_only=True)
class Application:
    """A SparkApplication; `version` is that of its operator's API."""

    version: str
    name: str

    @property
    def reference(self) -> str:
        """What `spark-staging` calls it."""
        return f"{self.version}/SparkApplication/{self.name}"

    @property
    def resource(self) -> str:
        """What kubectl calls it."""
        return f"sparkapplications.{self.version.partition('/')[0]}/{self.name}"

    def create(self, cluster: Cluster) -> None:
        """Make it, as a user does; nothing comes of it."""
        cluster.apply(
            {"apiVersion": self.version, "kind": "SparkApplication", "metadata": {"name": self.name}, "spec": {}}
        )

    def report(self, cluster: Cluster, status: Mapping[str, Any]) -> None:
        """Say of it what its operator would; kubectl learnt to write a status in 1.24 only."""
        present = json.loads(cluster.kubectl("get", self.resource, "--output", "json"))
        path = f"/apis/{self.version}/namespaces/{cluster.namespace}/sparkapplications/{self.name}/status"
        changed = json.dumps({**present, "status": dict(status)}).encode()
        run("kubectl", "replace", "--raw", path, "--filename", "-", stdin=changed)

    def delete(self, cluster: Cluster) -> None:
        """Delete it."""
        cluster.kubectl("delete", self.resource)


@contextlib.contextmanager
def definitions() -> Iterator[None]:
    """See that the cluster knows SparkApplications; what is made for that goes again, what was there stays."""
    known = run("kubectl", "get", "customresourcedefinitions", "--output", "name").decode().split()
    wanted = list(yaml.safe_load_all(DEFINITIONS.read_text()))
    made = [item for item in wanted if not any(name.endswith(f"/{item['metadata']['name']}") for name in known)]
    names = [f"customresourcedefinition/{item['metadata']['name']}" for item in made]
    if made:
        run("kubectl", "apply", "--filename", "-", stdin=yaml.safe_dump_all(made).encode())
        run("kubectl", "wait", "--for=condition=Established", *names)
    try:
        yield
    finally:
        if names:
            run("kubectl", "delete", "--ignore-not-found", *names)
