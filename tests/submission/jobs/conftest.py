"""A real API server, and a person who waits there; the test plays scheduler, kubelet and Spark."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from submission.jobs.states import DriverOutcome
from submission.jobs.watching import wait_for_driver
from submission.kube.api import KubeApi as Client
from submission.kube.connect import kube_api as connect
from tests.services.kube_api import KubeApi
from tests.submission.conftest import until
from tests.submission.jobs.pods import executor, pod


@dataclass(kw_only=True)
class Place:
    """A namespace, and who plays its nodes."""

    kube: KubeApi
    namespace: str
    client: Client

    def create(self, obj: dict[str, Any]) -> None:
        """Create a pod; what the API server sets itself is left out."""
        metadata = {key: obj["metadata"][key] for key in ("name", "labels")} | {"namespace": self.namespace}
        spec = {**obj["spec"], "serviceAccountName": "default", "automountServiceAccountToken": False}
        self.kube.core.create_namespaced_pod(self.namespace, {**obj, "metadata": metadata, "spec": spec, "status": {}})

    def set(self, status: dict[str, Any], *, name: str = "nightly-driver") -> None:
        """Let a pod have this status."""
        self.kube.core.patch_namespaced_pod_status(name, self.namespace, {"status": status})

    def delete(self, name: str = "nightly-driver") -> None:
        """Delete a pod at once."""
        self.kube.core.delete_namespaced_pod(name, self.namespace, grace_period_seconds=0)


@dataclass(kw_only=True)
class Person:
    """Somebody who waits for a driver, and what was said to them."""

    api: Any
    namespace: str
    lines: list[str] = field(default_factory=list)
    outcome: DriverOutcome | None = None
    error: BaseException | None = None
    _thread: threading.Thread | None = None

    def waits(self, name: str = "nightly-driver") -> None:
        """Begin to wait."""

        def run() -> None:
            try:
                self.outcome = wait_for_driver(self.api, namespace=self.namespace, pod=name, say=self.lines.append)
            except BaseException as error:  # noqa: BLE001 - a thread's own end: the test looks at it
                self.error = error

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def hears(self, part: str) -> None:
        """Wait until a line has `part`."""
        until(lambda: any(part in line for line in self.lines) or self.error, what=f"{part!r} in {self.lines}")
        assert self.error is None

    def learns_the_end(self) -> DriverOutcome:
        """Wait for the outcome."""
        until(lambda: self.outcome or self.error, what=f"the end after {self.lines}")
        assert self.error is None
        assert self.outcome is not None
        return self.outcome


@pytest.fixture
def place(kube: KubeApi) -> Iterator[Place]:
    with (
        kube.namespace() as namespace,
        connect(kubeconfig=str(kube.kubeconfig), context=None, master=None) as client,
    ):
        kube.core.create_namespaced_service_account(namespace, {"metadata": {"name": "default"}})
        yield Place(kube=kube, namespace=namespace, client=client)


@pytest.fixture
def person(place: Place) -> Person:
    return Person(api=place.client, namespace=place.namespace)


@pytest.fixture
def driver(place: Place) -> dict[str, Any]:
    """A driver that is there and Pending."""
    made = pod()
    place.create(made)
    return made


@pytest.fixture
def add_executor(place: Place) -> Callable[[int], str]:
    def add(number: int) -> str:
        made = executor(number)
        place.create(made)
        return str(made["metadata"]["name"])

    return add
