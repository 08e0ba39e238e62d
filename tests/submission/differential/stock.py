"""What stock spark-submit makes of a case, read back from a real API server."""

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import urllib3

from tests.services.kube_api import KubeApi, KubeApiMissingError
from tests.services.kube_programs import write_kubeconfig
from tests.services.spark_distributions import Spark
from tests.submission.differential.cases import Case
from tests.submission.differential.normalising import Objects, Places, normalised

IMAGE: Final = "spark:4"
USER: Final = "submitter"
_ENDED_WITHIN: Final = 300.0
"""Seconds; a JVM needs five on an idle machine."""

_SERVED_WITHIN: Final = 30.0
_SHOWN: Final = 300
"""Characters of a refusal; what follows repeats it."""

KINDS: Final = (
    "/api/v1/{}/pods", "/api/v1/{}/services", "/api/v1/{}/configmaps", "/api/v1/{}/secrets",
    "/api/v1/{}/persistentvolumeclaims", "/apis/networking.k8s.io/v1/{}/networkpolicies",
    "/apis/scheduling.volcano.sh/v1beta1/{}/podgroups",
)  # fmt: skip
_POD_GROUPS: Final = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "podgroups.scheduling.volcano.sh"},
    "spec": {
        "group": "scheduling.volcano.sh",
        "names": {"kind": "PodGroup", "listKind": "PodGroupList", "plural": "podgroups", "singular": "podgroup"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1beta1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
            }
        ],
    },
}
"""Volcano's resource, with any content."""


class Refused(Exception):
    """Stock spark-submit did not take the command; the message is its last line that says why."""


class World:
    """An API server on which both kinds of submissions are made."""

    def __init__(self, kube: KubeApi, *, folder: Path) -> None:
        """Make Volcano's resource known and an identity by token, which every client can use.

        Raises:
            KubeApiMissingError: it is a cluster, whose admission and nodes would change pods.
        """
        if kube.server is None:
            msg = "submissions are compared on an API server without nodes: set KUBEBUILDER_ASSETS"
            raise KubeApiMissingError(msg)
        self.kube = kube
        self.kubeconfig = folder / "kubeconfig"
        self._settings = kube.core.api_client.configuration
        self._http = urllib3.PoolManager(
            ca_certs=self._settings.ssl_ca_cert, cert_file=self._settings.cert_file, key_file=self._settings.key_file
        )
        self._know_pod_groups()
        write_kubeconfig(self.kubeconfig, kube.url, self._settings.ssl_ca_cert, {"token": self._token()})

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Make one request, and return the answer."""
        answer = self._http.request(method, f"{self.kube.url}{path}", json=body)
        assert answer.status < 300, answer.data
        return answer.json()

    def objects(self, namespace: str) -> list[dict[str, Any]]:
        """Return all that is in a namespace."""
        found = []
        for kind in KINDS:
            answer = self.call("GET", kind.format(f"namespaces/{namespace}"))
            shared = {"apiVersion": answer["apiVersion"], "kind": answer["kind"].removesuffix("List")}
            found += [{**shared, **one} for one in answer["items"]]
        return found

    def close(self) -> None:
        """Close its connections."""
        self._http.clear()

    def _know_pod_groups(self) -> None:
        self.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", _POD_GROUPS)
        deadline = time.monotonic() + _SERVED_WITHIN
        while self._http.request("GET", f"{self.kube.url}{KINDS[-1].format('namespaces/default')}").status != 200:
            assert time.monotonic() < deadline, "the API server does not serve what it was told of"
            time.sleep(0.05)

    def _token(self) -> str:
        namespace, name = "default", "administrator"
        self.kube.core.create_namespaced_service_account(namespace, {"metadata": {"name": name}})
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "namespace": namespace, "name": name}],
        }
        self.call("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
        request = {"spec": {"expirationSeconds": 7200, "audiences": []}}
        return str(self.kube.core.create_namespaced_service_account_token(name, namespace, request).status.token)


def arguments_for_all(*, api: str, namespace: str) -> list[str]:
    """Return what is said in every case."""
    properties = {
        "namespace": namespace,
        "container.image": IMAGE,
        "submission.waitAppCompletion": "false",
    }
    conf = [word for key, value in properties.items() for word in ("--conf", f"spark.kubernetes.{key}={value}")]
    return ["--master", f"k8s://{api}", "--deploy-mode", "cluster", *conf]


def environment_of(case: Case, *, home: Path) -> dict[str, str]:
    """Return the environment in which a case is sent, by either."""
    own: Mapping[str, str | None] = {
        "PATH": os.environ["PATH"],  # noqa: TID251 - of a child process
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "HADOOP_USER_NAME": USER,
        **case.environment,
    }
    return {name: value for name, value in own.items() if value is not None}


def made_by_stock(case: Case, *, spark: Spark, world: World, folder: Path) -> Objects:
    """Send a case by the real spark-submit; `folder` is new.

    Raises:
        Refused: it is not taken.
    """
    case.lay_out(folder)
    with world.kube.namespace() as namespace:
        done = subprocess.run(
            [
                spark.submit,
                *arguments_for_all(api=world.kube.url, namespace=namespace),
                "--conf", f"spark.kubernetes.file.upload.path=file://{folder}/uploads",
                *case.arguments,
            ],
            cwd=folder,
            env={
                **environment_of(case, home=folder),
                "KUBECONFIG": str(world.kubeconfig),
                "SPARK_HOME": str(spark.home),
                "SPARK_SUBMIT_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
            },
            capture_output=True,
            text=True,
            timeout=_ENDED_WITHIN,
            check=False,
        )  # fmt: skip
        places = places_of(namespace=namespace, api=world.kube.url, folder=folder)
        if done.returncode != 0:
            raise Refused(places.without(_why(done.stderr)))
        return normalised(world.objects(namespace), places=places)


def places_of(*, namespace: str, api: str, folder: Path) -> Places:
    """Return what is different from run to run."""
    return Places(words={namespace: "<namespace>", api: "<api-server>", str(folder): "<folder>"})


def _why(said: str) -> str:
    lines = [line for line in said.splitlines() if "Exception" in line or line.startswith(("Error", "Caused"))]
    return (lines or said.splitlines() or [""])[0].strip()[:_SHOWN]
