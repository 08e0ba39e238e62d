"""The command as people run it, and jobs on an API server."""

import json
from typing import Any

from click.testing import CliRunner, Result

from staging_protocol.owners import OwnerReference
from staging_server.cli import main
from staging_server.tenants import Tenant
from tests.staging_server.cluster.lab import Lab

KUBEFLOW = "sparkoperator.k8s.io/v1beta2"
APACHE = "spark.apache.org/v1"


def run(*arguments: object) -> Result:
    """Run `import --report`."""
    return CliRunner().invoke(main, ["import", "--report", *map(str, arguments)])


def report(*arguments: object, code: int = 0) -> dict[str, Any]:
    """Return the report as JSON."""
    done = run(*arguments, "-o", "json")
    assert done.exit_code == code, done.output
    return dict(json.loads(done.stdout))


def states(found: dict[str, Any]) -> dict[str, str]:
    """Return the state of each folder of a small report, by name."""
    return {folder["path"].rpartition("/")[2]: folder["state"] for folder in found["largest"]}


def make_driver(lab: Lab, tenant: Tenant, name: str, *, mounts: str | None = None, **changed: Any) -> None:
    """Make a driver pod that mounts a ConfigMap."""
    config_map = {"name": mounts, **changed}
    volumes = [] if mounts is None else [{"name": "spark-conf-volume-driver", "configMap": config_map}]
    body = {
        "metadata": {"name": name, "labels": {"spark-role": "driver", "spark-app-name": f"app-{name}"}},
        "spec": {"containers": [{"name": "spark", "image": "spark"}], "volumes": volumes},
    }
    lab.kube.core.create_namespaced_pod(tenant.namespace, body)


def make_properties(lab: Lab, tenant: Tenant, name: str, *folders: str) -> None:
    """Make a ConfigMap with properties that name upload folders."""
    jars = ",".join(f"s3a\\://bucket/uploads/{folder}/app.jar" for folder in folders)
    body = {"metadata": {"name": name}, "data": {"spark.properties": f"spark.jars={jars}\n"}}
    lab.kube.core.create_namespaced_config_map(tenant.namespace, body)


def application(kind: str, api_version: str, name: str = "etl") -> OwnerReference:
    """Return the name of an application."""
    return OwnerReference(api_version=api_version, kind=kind, name=name)
