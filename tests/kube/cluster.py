"""The cluster of the current kubeconfig, by `kubectl`: the program that every user of a cluster has."""

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, Any, Final

from tests.kube.processes import CommandFailedError, MissingError, find_program, run
from tests.kube.waiting import wait_for

FORWARDING: Final = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


@dataclass(frozen=True)
class Cluster:
    """One namespace of a cluster; every call is about that namespace."""

    namespace: str

    def kubectl(self, *arguments: str, stdin: bytes | None = None, timeout: float = 300) -> bytes:
        """Run kubectl in the namespace and return what it wrote."""
        return run("kubectl", "--namespace", self.namespace, *arguments, stdin=stdin, timeout=timeout)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Return one object."""
        return dict(json.loads(self.kubectl("get", kind, name, "--output", "json")))

    def select(self, kind: str, *, labels: str = "") -> list[dict[str, Any]]:
        """Return the objects with these labels (`a=b,c=d`); without labels all of them."""
        found = json.loads(self.kubectl("get", kind, "--selector", labels, "--output", "json"))
        return list(found["items"])

    def apply(self, *objects: dict[str, Any]) -> None:
        """Create objects, or change them."""
        items = {"apiVersion": "v1", "kind": "List", "items": objects}
        self.kubectl("apply", "--filename", "-", stdin=json.dumps(items).encode())

    def logs(self, pod: str, *, container: str = "") -> str:
        """Return a pod's log, whole; empty when the container never started."""
        chosen = ("--container", container) if container else ()
        try:
            return self.kubectl("logs", pod, *chosen).decode(errors="replace")
        except CommandFailedError:
            return ""

    def wait_for_end(self, pod: str, *, seconds: float = 120) -> None:
        """Wait until a pod has succeeded or failed.

        Raises:
            CommandFailedError: it has not within that time.
        """
        # kubectl learnt to wait for a phase in 1.23 only.
        wait_for(lambda: self.phase(pod) in {"Succeeded", "Failed"}, what=f"the end of pod {pod}", seconds=seconds)

    def phase(self, pod: str) -> str:
        """Return the phase of a pod."""
        return str(self.get("pod", pod)["status"].get("phase", ""))

    def token(self, account: str, *, audience: str) -> str:
        """Return a token of a service account for an audience; kubectl learnt to make one in 1.24 only."""
        spec = {"audiences": [audience], "expirationSeconds": 3600}
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{account}/token"
        made = run("kubectl", "create", "--raw", path, "--filename", "-", stdin=json.dumps(request).encode())
        return str(json.loads(made)["status"]["token"])

    def a_node(self) -> dict[str, Any]:
        """Return a node on which every pod may run."""
        return next(node for node in self.select("node") if not node["spec"].get("taints"))

    def nodes_have(self, image: str) -> bool:
        """Tell whether every node has an image already."""
        return all(
            any(name.endswith(image) for entry in node["status"].get("images", []) for name in entry.get("names") or ())
            for node in self.select("node")
        )

    def create_namespace(self) -> None:
        """Create the namespace, which must not exist, and wait until pods can be made in it."""
        run("kubectl", "create", "namespace", self.namespace)
        wait_for(lambda: self.select("serviceaccount"), what=f"the default account of {self.namespace}")

    def delete_namespace(self, *, wait: bool = False) -> None:
        """Ask for the end of the namespace and of all that is in it."""
        run("kubectl", "delete", "namespace", self.namespace, f"--wait={str(wait).lower()}")

    @contextlib.contextmanager
    def port_forward(self, target: str, *, port: int) -> Iterator[str]:
        """Yield a URL on loopback that leads to a port of a pod or service."""
        command = ("kubectl", "--namespace", self.namespace, "port-forward", target, f":{port}")
        # Into a file, not a pipe: kubectl prints a line for each connection, and would stop at a full pipe.
        with TemporaryFile("w+") as said, subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT) as process:
            try:
                yield f"http://127.0.0.1:{_forwarded_port(process, said=said)}"
            finally:
                process.terminate()


def _forwarded_port(process: subprocess.Popen[bytes], *, said: IO[str]) -> str:
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        said.seek(0)
        if found := FORWARDING.search(said.read()):
            return found[1]
        time.sleep(0.05)
    said.seek(0)
    msg = f"kubectl port-forward opened no port\n{said.read()}"
    raise CommandFailedError(msg)


@dataclass(frozen=True)
class Context:
    """The current context of the kubeconfig: its name, and the URL of its API server."""

    name: str
    server: str


def current_context() -> Context:
    """Return the cluster that kubectl talks to.

    Raises:
        MissingError: there is no kubectl, no kubeconfig, or no answer.
    """
    find_program("kubectl", hint="install it, and let KUBECONFIG name your cluster")
    try:
        name = run("kubectl", "config", "current-context").decode().strip()
        view = json.loads(run("kubectl", "config", "view", "--minify", "--output", "json"))
        run("kubectl", "get", "--raw", "/version", "--request-timeout=10s")
    except CommandFailedError as error:
        msg = f"no cluster answers; does KUBECONFIG name one?\n{error}"
        raise MissingError(msg) from error
    return Context(name=name, server=view["clusters"][0]["cluster"]["server"])


def has_default_storage(cluster: Cluster) -> bool:
    """Tell whether the cluster makes volumes for claims that name no class."""
    marks = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
    classes: Sequence[dict[str, Any]] = cluster.select("storageclass")
    return any(item["metadata"].get("annotations", {}).get(mark) == "true" for item in classes for mark in marks)
