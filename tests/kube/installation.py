"""Installs the embedded server into a namespace, as `deploy/kustomize/embedded/README.md` tells an operator to.

The only difference is the volume on clusters that make none: there the claim stays unused and the data lies in the pod.
"""

import contextlib
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.kube.cluster import Cluster, has_default_storage
from tests.kube.images import Image
from tests.kube.processes import CommandFailedError, run
from tests.kube.settings import REPOSITORY, environment_with

EMBEDDED: Final = REPOSITORY / "deploy" / "kustomize" / "embedded"
SERVICE_ACCOUNT: Final = REPOSITORY / "deploy" / "examples" / "spark-service-account.yaml"
PROGRAMS: Final = Path(sys.executable).parent
NAME: Final = "spark-staging"
PORT: Final = 8480

IN_THE_POD: Final = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: spark-staging
spec:
  template:
    spec:
      volumes:
        - name: data
          persistentVolumeClaim: null
          emptyDir: {}
"""


@dataclass(frozen=True, kw_only=True)
class Installation:
    """A running server, as a submitter on this machine sees it.

    Attributes:
        cluster: the namespace of the submitter's jobs.
        url: of the server.
        credentials: variables that tell `spark-staging` who the submitter is.
        init_image: name of the init container's image.
    """

    cluster: Cluster
    url: str
    credentials: Mapping[str, str]
    init_image: str

    def client_environment(self, **more: str) -> dict[str, str]:
        """Return the environment in which `spark-staging` uses this server."""
        return environment_with(
            SPARK_STAGING_URL=self.url,
            SPARK_STAGING_NAMESPACE=self.cluster.namespace,
            SPARK_STAGING_INIT_IMAGE=self.init_image,
            # Between pods and server lies the cluster's own network only; the overlay's README says what that means.
            SPARK_STAGING_ALLOW_PLAIN_HTTP="true",
            **self.credentials,
            **more,
        )

    def client(self, *arguments: str) -> bytes:
        """Run the submitter's command and return what it printed."""
        return run(str(PROGRAMS / "spark-staging"), *arguments, environment=self.client_environment())


@contextlib.contextmanager
def installed(cluster: Cluster, *, server: Image, init: Image) -> Iterator[Installation]:
    """Install the server and wait for it; yield how to use it while a way to its port is open."""
    with TemporaryDirectory(prefix="spark-staging-kube-") as folder:
        token_file = _make_tokens(cluster, Path(folder))
        _apply_overlay(cluster, server=server)
        make_driver_account(cluster)
        wait_until_ready(cluster)
        credentials = {"SPARK_STAGING_TOKEN_FILE": str(token_file)}
        with cluster.port_forward(f"service/{NAME}", port=PORT) as url:
            yield Installation(cluster=cluster, url=url, credentials=credentials, init_image=init.name)


def overlay(namespace: str, *, server: Image, base: str, patch: str | None = None) -> str:
    """Return a kustomization that puts an overlay's server into a namespace, with an image of ours.

    `bases` and `patchesStrategicMerge` are the words that the kustomize in every kubectl knows.
    """
    name, tag = server.name.rsplit(":", maxsplit=1)
    lines = [
        f"namespace: {namespace}",
        f"bases: [{base}]",
        f"images: [{{name: spark-staging/server, newName: {name}, newTag: '{tag}'}}]",
    ]
    if patch is not None:
        lines.append(f"patchesStrategicMerge: [{patch}]")
    return "\n".join(lines) + "\n"


def _apply_overlay(cluster: Cluster, *, server: Image) -> None:
    with TemporaryDirectory(prefix="spark-staging-overlay-") as folder:
        base = os.path.relpath(EMBEDDED, Path(folder).resolve())
        patch = None if has_default_storage(cluster) else "in-the-pod.yaml"
        Path(folder, "kustomization.yaml").write_text(overlay(cluster.namespace, server=server, base=base, patch=patch))
        Path(folder, "in-the-pod.yaml").write_text(IN_THE_POD)
        cluster.kubectl("apply", "--kustomize", folder)


def wait_until_ready(cluster: Cluster) -> None:
    """Wait until the server's Deployment is what it shall be, and say what its pod says if that does not come."""
    try:
        cluster.kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=180s")
    except CommandFailedError as error:
        pods = cluster.kubectl("get", "pods", "--output", "wide").decode()
        log = cluster.logs(f"deployment/{NAME}")
        msg = "\n".join(["the server did not become ready", pods, *log.splitlines()[-15:]])
        raise CommandFailedError(msg) from error


def _make_tokens(cluster: Cluster, folder: Path) -> Path:
    """Make an access token for the namespace: its hash goes into the Secret, the token into a file of this user."""
    hashes, token_file = folder / "tokens.json", folder / "token"
    token = run(
        str(PROGRAMS / "spark-staging-server"), "tokens", "create", "--file", str(hashes),
        "--name", "demo", "--namespace", cluster.namespace,
    )  # fmt: skip
    token_file.touch(mode=stat.S_IRUSR | stat.S_IWUSR)
    token_file.write_bytes(token)
    cluster.kubectl("create", "secret", "generic", "spark-staging-tokens", f"--from-file=tokens.json={hashes}")
    return token_file


def make_driver_account(cluster: Cluster) -> None:
    """Make the service account of Spark drivers, as deploy/examples has it."""
    cluster.kubectl("apply", "--filename", str(SERVICE_ACCOUNT))
    account = f"--serviceaccount={cluster.namespace}:spark"
    cluster.kubectl("create", "rolebinding", "spark-driver", "--role=spark-driver", account)
