"""Ending jobs: the driver's pod is deleted, and with it goes everything that it owns.

Executors, Service, ConfigMaps and Secrets are collected by Kubernetes; the bundle loses its owner, so its grace begins.
"""

from collections.abc import Callable

from staging_protocol.errors import NotFound
from staging_protocol.pod_contract import LABEL
from submission.jobs.finding import found
from submission.jobs.pods import name_of
from submission.jobs.states import outcome_of
from submission.kube.api import KubeApi
from submission.kube.resources import PODS

GRACE_PERIOD = "spark.kubernetes.appKillPodDeletionGracePeriod"


def kill(
    api: KubeApi, *, selector: str, namespace: str, grace_seconds: int | None = None, say: Callable[[str], None]
) -> int:
    """End every job that is meant, and return how many there were.

    Args:
        api: of the cluster.
        selector: see `finding`.
        namespace: where the selector names none.
        grace_seconds: that the driver has to end by itself; None: as its pod says.
        say: tells a line for each.

    Raises:
        NotFound: there is none.
    """
    ended = 0
    for driver in found(api, selector, namespace=namespace):
        name, where = name_of(driver), driver["metadata"]["namespace"]
        try:
            api.delete(PODS, name, namespace=where, uid=driver["metadata"]["uid"], grace_seconds=grace_seconds)
        except NotFound:
            continue  # it was just deleted by somebody else
        ended += 1
        had_ended = outcome_of(driver) is not None
        bundle = (driver["metadata"].get("labels") or {}).get(LABEL)
        staged = f"; its bundle {bundle} goes after the server's grace" if bundle else ""
        say(f"{'deleted the finished' if had_ended else 'ended the'} driver {name} in namespace {where}{staged}")
    return ended
