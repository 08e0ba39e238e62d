"""Waiting for what keeps the bundle while a job runs, beside the running spark-submit.

In cluster mode that is the driver's pod: when it appears, it becomes the owner of the Secret and of the bundle.  In
client mode there is no such pod: the bundle is leased for as long as spark-submit runs.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from staging_io.staging import StagingClient
from staging_protocol.api import Lease
from staging_protocol.errors import StagingError
from staging_protocol.tokens import BundleId
from submission.cluster import Cluster, DriverPod

POLL_SECONDS: Final = 1.0
"""As often as spark-submit itself reports the state of the application."""

LEASE_SECONDS: Final = 900
_RENEW_SECONDS: Final = 300.0
"""A third of the lease: two renewals may fail."""


class DriverWatch:
    """Looks for the driver's pod and makes it the owner."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        client: StagingClient,
        namespace: str,
        bundle: BundleId,
        notice: Callable[[str], None],
    ) -> None:
        self._cluster = cluster
        self._client = client
        self._namespace = namespace
        self._bundle = bundle
        self._notice = notice
        self.pod: DriverPod | None = None
        self._owned: set[str] = set()

    def look(self) -> bool:
        """Look once; return whether the pod is there and owns everything.

        Raises:
            StagingError: the answer is not known, or an owner could not be set; looking again may help.
        """
        self.pod = self.pod or self._cluster.driver_pod(self._bundle)
        if self.pod is None:
            return False
        if "secret" not in self._owned:
            self._cluster.own_secret(self._bundle, pod=self.pod)
            self._owned.add("secret")
        if "bundle" not in self._owned:
            self._client.bind(self._namespace, self._bundle, self.pod.as_owner())
            self._owned.add("bundle")
        return True

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look every second until the pod is there, or the body ends."""
        with repeated(self._tried, seconds=POLL_SECONDS):
            yield

    def _tried(self) -> bool:
        try:
            return self.look()
        except StagingError as error:
            if error.retryable:
                return False
            self._notice(f"{error.detail}; the bundle and its Secret stay until their time to live is over")
            return True


@contextmanager
def leased(client: StagingClient, *, namespace: str, bundle: BundleId, notice: Callable[[str], None]) -> Iterator[None]:
    """Lease the bundle for as long as the body runs."""

    def renew() -> bool:
        try:
            client.lease(namespace, bundle, Lease(seconds=LEASE_SECONDS))
        except StagingError as error:
            notice(f"the lease of the bundle could not be renewed: {error.detail}")
        return False

    with repeated(renew, seconds=_RENEW_SECONDS):
        yield


@contextmanager
def repeated(call: Callable[[], bool], *, seconds: float) -> Iterator[None]:
    """Call `call` in a thread, now and every `seconds`, until it returns True or the body ends."""
    over = threading.Event()

    def work() -> None:
        while not call() and not over.wait(seconds):
            pass

    # A daemon: an interrupted program does not wait for an unanswered request.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=10)
