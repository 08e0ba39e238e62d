"""Waiting for what keeps the bundle while a job runs, beside the running spark-submit.

In cluster mode that is the driver's pod: when it appears, it becomes the owner of the Secret and of the bundle.  In
client mode there is no such pod: the bundle is leased for as long as spark-submit runs.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from staging_io.staging import StagingClient
from staging_protocol.api.bundles import Lease
from staging_protocol.errors import StagingError
from staging_protocol.pod_contract import secret_name
from staging_protocol.tokens import BundleId
from submission.running.cluster import Cluster, DriverPod

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
        has_secret: bool,
        notice: Callable[[str], None],
    ) -> None:
        """`has_secret` says whether pods have a Secret of the bundle."""
        self._cluster = cluster
        self._client = client
        self._namespace = namespace
        self._bundle = bundle
        self._notice = notice
        self.pod: DriverPod | None = None
        self._secret_is_owned = not has_secret
        self._bundle_is_owned = False

    def look(self) -> bool:
        """Look once; return whether the pod is there and owns everything.

        Raises:
            StagingError: the answer is not known, or an owner could not be set; looking again may help.
        """
        self.pod = self.pod or self._cluster.driver_pod(self._bundle)
        if self.pod is None:
            return False
        # Both are tried: a Secret that is out of reach must not cost the bundle its owner, nor the other way round.
        failures = [error for error in (self._owned_secret(self.pod), self._owned_bundle(self.pod)) if error]
        if failures:
            raise next((error for error in failures if error.retryable), failures[0])
        return True

    def _owned_secret(self, pod: DriverPod) -> StagingError | None:
        if not self._secret_is_owned:
            try:
                self._cluster.own_secret(self._bundle, pod=pod)
            except StagingError as error:
                return error
            self._secret_is_owned = True
        return None

    def _owned_bundle(self, pod: DriverPod) -> StagingError | None:
        if not self._bundle_is_owned:
            try:
                self._client.bind(self._namespace, self._bundle, pod.as_owner())
            except StagingError as error:
                return error
            self._bundle_is_owned = True
        return None

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
            self._notice(f"{error.detail}; {self._left()}")
            return True

    def _left(self) -> str:
        """Say what stays without an owner.  A Secret has no time to live."""
        left = []
        if not self._bundle_is_owned:
            left.append("the bundle stays until its time to live is over")
        if not self._secret_is_owned:
            left.append(f"delete the Secret {secret_name(self._bundle)} when the job has ended")
        return ", ".join(left)


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
