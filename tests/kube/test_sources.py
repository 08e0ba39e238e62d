"""What a kubelet makes of `sources.json` and the Secrets in it, as the user of the init container's image sees it."""

import json
from typing import Any, Final

import pytest

from staging_protocol.digests import Digest
from staging_protocol.pod_contract import FilesIn, Role, secret_name
from staging_protocol.source_files import read_sources
from staging_protocol.tokens import BundleId
from submission.pods.patch import PodBundle, patched
from submission.pods.sources import pod_sources
from tests.kube.cluster import Cluster
from tests.kube.installation import Installation

pytestmark = pytest.mark.kube

SOURCES: Final[dict[str, Any]] = {
    "s3": {"access_key": {"id": "source-key/id", "secret": "source-key/secret"}},
    "gcs": {"credentials": "nobody-made-this/key.json"},
}
LOOK: Final = """\
import json, os, pathlib
secrets = pathlib.Path("/var/run/secrets/spark-staging-sources")
found = {str(path.relative_to(secrets)): path.read_text() for path in secrets.glob("[!.]*/*")}
told = json.loads(pathlib.Path("/etc/spark-staging/sources.json").read_text())
print(json.dumps({"sources": told, "secrets": found, "user": os.getuid(), "variable": os.environ.get("LOUD")}))
"""


def secret(name: str, **keys: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": keys}


def test_settings_and_the_named_keys_are_there_and_a_missing_secret_keeps_nobody_waiting(
    cluster: Cluster, installation: Installation
) -> None:
    bundle = BundleId.generate()
    cluster.apply(
        secret("source-key", id="AK", secret="SK", unnamed="never mounted"),
        secret("source-env", LOUD="hello"),
        secret(secret_name(bundle), token="of nothing"),
        looking(bundle, image=installation.init_image),
    )
    cluster.wait_for_end("sources")

    found = json.loads(cluster.logs("sources"))

    assert found["sources"] == SOURCES
    assert found["secrets"] == {"source-key/id": "AK", "source-key/secret": "SK"}
    assert found["variable"] == "hello"
    assert found["user"] != 0


def looking(bundle: BundleId, *, image: str) -> dict[str, Any]:
    """Return a pod that mounts what the init container of a job would, and prints it."""
    pod = patched(
        None,
        bundle=PodBundle(
            id=bundle, namespace="-", url="https://-", manifest_digest=Digest.of(b""), image=image,
            sources=pod_sources(read_sources(json.dumps(SOURCES).encode()), env_from=("source-env",)),
        ),
        role=Role.DRIVER,
        files_in=FilesIn.WORK,
    )  # fmt: skip
    (init,) = pod["spec"].pop("initContainers")
    init["command"] = ["/opt/spark-staging/bin/python", "-c", LOOK]
    pod["metadata"]["name"] = "sources"
    pod["spec"] |= {"containers": [init], "restartPolicy": "Never"}
    return pod
