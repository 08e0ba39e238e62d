"""Installs the server of deploy/kustomize/embedded-kubernetes, and lets its submitters be service accounts.

The server has a namespace of its own, jobs have others: what it may do there it has by its roles alone.
"""

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from staging_io.bearers import Fixed
from staging_io.http import HttpClient
from staging_io.staging import StagingClient
from staging_protocol.api.claims import Explanation
from staging_protocol.errors import BundleExpired
from staging_protocol.pod_contract import TOKEN_AUDIENCE
from staging_protocol.tokens import BundleId
from tests.kube.cluster import Cluster, has_default_storage
from tests.kube.identity_overlay import (
    CLOCK,
    CLUSTER_WIDE,
    MOVED,
    WATCH,
    Manifest,
    manifests,
    own_name,
    rights_in,
)
from tests.kube.installation import NAME, PORT, Installation, make_driver_account, wait_until_ready
from tests.kube.node_volume import node_volume
from tests.kube.processes import CommandFailedError, run
from tests.kube.settings import REPOSITORY
from tests.kube.waiting import wait_for
from tests.kube.workshop import Workshop

SUBMITTER: Final = "nightly"
LABELS: Final = "app.kubernetes.io/name=spark-staging"
CLOCK_SOURCE: Final = REPOSITORY / "tests" / "kube" / "moved_clock" / "sitecustomize.py"


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A bundle of one file, and the bytes that had to be uploaded for it."""

    bundle: str
    uploaded: int


class IdentityServer:
    """A running server; `home` is its namespace."""

    def __init__(self, home: Cluster, *, workshop: Workshop) -> None:
        self.home = home
        self.workshop = workshop
        self._way = contextlib.ExitStack()
        self._url = ""

    def installation(self, jobs: Cluster, *, account: str = SUBMITTER) -> Installation:
        """Return how an account of a namespace uses the server; after a restart it has to be asked for again."""
        who = {"SPARK_STAGING_SERVICE_ACCOUNT": account}
        return Installation(cluster=jobs, url=self._url, credentials=who, init_image=self.workshop.init.name)

    def explain(self, jobs: Cluster, bundle: str) -> Explanation | str:
        """Return why a bundle of the namespace is there, or else the words that say when it ended and why."""
        token = Fixed(jobs.token(SUBMITTER, audience=TOKEN_AUDIENCE))
        with contextlib.closing(HttpClient()) as http:
            try:
                return StagingClient(url=self._url, token=token, http=http).explain(jobs.namespace, BundleId(bundle))
            except BundleExpired as error:
                return error.detail

    def end_of(self, jobs: Cluster, bundle: str) -> str:
        """Wait until a bundle has ended, and return the words for why; with all confirmations that takes minutes."""

        def ended() -> str | None:
            found = self.explain(jobs, bundle)
            return found if isinstance(found, str) else None

        return wait_for(ended, what=f"the end of the bundle {bundle}", seconds=240)

    def stage(self, jobs: Cluster, file: Path, *options: str) -> Staged:
        """Stage a file as the namespace's submitter."""
        staged = json.loads(self.installation(jobs).client("stage", str(file), *options, "--output", "json"))
        return Staged(bundle=staged["bundle"], uploaded=staged["bytes_staged"])

    def may(self, verb: str, resource: str, *, namespace: str) -> bool:
        """Tell whether the server has a right, by the roles of the cluster."""
        account = f"system:serviceaccount:{self.home.namespace}:{NAME}"
        question = ("kubectl", "auth", "can-i", verb, resource, "--as", account, "--namespace", namespace, "--quiet")
        try:
            run(*question)
        except CommandFailedError:
            return False
        return True

    def pod(self) -> dict[str, Any]:
        """Return the server's pod."""
        (pod,) = self.home.select("pod", labels=LABELS)
        return pod

    def restart(self) -> None:
        """Delete the server's pod, and wait for the next one."""
        self._way.close()
        self.home.kubectl("delete", "pod", "--selector", LABELS)
        self.home.kubectl("wait", "--for=condition=Ready", "pod", "--selector", LABELS, "--timeout=180s")
        self.open()

    def move_clock(self, *, days: int) -> None:
        """Let it be so many days later than it is, for the server that runs now."""
        script = f"echo {days * 86400} > {MOVED}.new && mv {MOVED}.new {MOVED}"
        self.home.kubectl("exec", f"deployment/{NAME}", "--", "sh", "-c", script)

    def open(self) -> None:
        """Open a way to the pod that is there now."""
        self._url = self._way.enter_context(self.home.port_forward(f"service/{NAME}", port=PORT))

    def close(self) -> None:
        """Close the way."""
        self._way.close()


@contextlib.contextmanager
def identity_server(
    workshop: Workshop, *, settings: Mapping[str, str], only: tuple[str, ...] = ()
) -> Iterator[IdentityServer]:
    """Install the server in a namespace of its own; with `only` it serves these, and has rights in no other one."""
    home = Cluster(f"spark-staging-server-{secrets.token_hex(3)}")
    server = IdentityServer(home, workshop=workshop)
    workshop.say(f"installing the server with Kubernetes' identity into namespace {home.namespace}")
    with contextlib.ExitStack() as stack:
        home.create_namespace()
        stack.callback(home.delete_namespace)
        if not has_default_storage(home):
            stack.enter_context(node_volume(home, claim=f"{NAME}-data", image=workshop.init.name))
        made = _made_for(home, workshop=workshop, settings=settings, only=only)
        stack.callback(_remove, home, made)
        clock = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CLOCK}}
        home.apply({**clock, "data": {CLOCK_SOURCE.name: CLOCK_SOURCE.read_text()}}, *made)
        for namespace in only:
            Cluster(namespace).apply(*rights_in(namespace, namespace=home.namespace))
        wait_until_ready(home)
        server.open()
        stack.callback(server.close)
        yield server


@contextlib.contextmanager
def tenant(name: str) -> Iterator[Cluster]:
    """Make a namespace for jobs, with an account for drivers, and one for the submitter who has no rights yet."""
    jobs = Cluster(f"spark-staging-{name}-{secrets.token_hex(3)}")
    jobs.create_namespace()
    try:
        make_accounts(jobs)
        yield jobs
    finally:
        jobs.delete_namespace()


def make_accounts(jobs: Cluster) -> None:
    """Make the accounts of a namespace."""
    make_driver_account(jobs)
    jobs.kubectl("create", "serviceaccount", SUBMITTER)


def let_submit(server: IdentityServer, jobs: Cluster) -> None:
    """Bind the submitter of a namespace to the role of submitters."""
    role = own_name("spark-staging-submitter", namespace=server.home.namespace)
    account = f"--serviceaccount={jobs.namespace}:{SUBMITTER}"
    jobs.kubectl("create", "rolebinding", "submitters", f"--clusterrole={role}", account)


def _made_for(
    home: Cluster, *, workshop: Workshop, settings: Mapping[str, str], only: tuple[str, ...]
) -> list[Manifest]:
    settings = {f"SPARK_STAGING_SERVER_{name}": value for name, value in settings.items()}
    if not only:
        return manifests(home.namespace, server=workshop.server, settings=settings)
    settings["SPARK_STAGING_SERVER_KUBERNETES__NAMESPACES"] = json.dumps(only)
    watch = own_name(WATCH, namespace=home.namespace)
    made = manifests(home.namespace, server=workshop.server, settings=settings)
    return [manifest for manifest in made if manifest["metadata"]["name"] != watch]


def _remove(home: Cluster, made: list[Manifest]) -> None:
    """Remove the server, so that its volume is free, and what does not go with the namespace."""
    home.kubectl("delete", "deployment", NAME, "--ignore-not-found")
    wait_for(lambda: not home.select("pod", labels=LABELS), what="the end of the server's pod")
    names = [f"{item['kind']}/{item['metadata']['name']}" for item in made if item["kind"] in CLUSTER_WIDE]
    run("kubectl", "delete", "--ignore-not-found", *names)
