"""The job that a submission id stands for already, if there is one."""

import time
from dataclasses import dataclass
from typing import Any, Final

from staging_protocol.errors import Denied, InvalidRequest, NotFound
from staging_protocol.pod_contract import LABEL
from submission.job_labels import INPUTS, SUBMISSION
from submission.jobs.pods import FAILED, SUCCEEDED, phase_of
from submission.kube.api import KubeApi
from submission.kube.resources import PODS, SERVICES
from submission.submit.identity import Identity

_LOOKS: Final = 10
_PAUSE: Final = 1.0
"""Seconds; a submission at this moment creates the Service just behind the pod, unless the API server is slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """A driver's pod that is there.

    Attributes:
        name: of the pod.
        namespace: it is in.
        uid: of the pod.
        application: id of the application.
        submission: id of the submission.
        bundle: that it has; None: it has none.
        phase: as Kubernetes says, `Pending`, …
    """

    name: str
    namespace: str
    uid: str
    application: str
    submission: str
    bundle: str | None
    phase: str

    @classmethod
    def of(cls, pod: dict[str, Any]) -> "Driver":
        """Return the driver that is this pod."""
        metadata = pod["metadata"]
        labels = metadata.get("labels") or {}
        return cls(
            name=metadata["name"],
            namespace=metadata["namespace"],
            uid=metadata["uid"],
            application=labels.get("spark-app-selector", ""),
            submission=labels.get(SUBMISSION, ""),
            bundle=labels.get(LABEL),
            phase=phase_of(pod),
        )

    @property
    def has_ended(self) -> bool:
        """Whether it will not do anything any more."""
        return self.phase in {SUCCEEDED, FAILED}

    @property
    def in_words(self) -> str:
        """What to tell who submits it again."""
        words = f"the submission {self.submission} is there already"
        if self.phase != FAILED:
            return words
        again = f"spark-staging kill {self.name} -n {self.namespace}, and submit again; or give another id"
        return f"{words}, and its driver has failed; to run it again: {again}"


def existing(api: KubeApi, *, identity: Identity, namespace: str) -> Driver | None:
    """Return the driver of the same submission.

    Raises:
        InvalidRequest: the id stands for something else.
    """
    selector = f"{SUBMISSION}={identity.submission},spark-role=driver"
    pods = api.list(PODS, namespace=namespace, labels=selector)["items"]
    for pod in pods:
        if (pod["metadata"].get("annotations") or {}).get(INPUTS) == identity.inputs:
            return Driver.of(pod)
    if pods:
        name = pods[0]["metadata"]["name"]
        msg = (
            f"the submission {identity.submission} is there with other inputs (driver pod {name} in namespace "
            f"{namespace}); give another id, or end that one: spark-staging kill {name} -n {namespace}"
        )
        raise InvalidRequest(msg)
    return None


def check_whole(driver: Driver, *, api: KubeApi, service: str) -> None:
    """Refuse a driver that lives without its Service: its submission was cut off, and no executor can reach it.

    Raises:
        InvalidRequest: with what to do.
    """
    if driver.has_ended:
        return
    for _ in range(_LOOKS):
        try:
            api.get(SERVICES, service, namespace=driver.namespace)
        except Denied:  # who may not look has to believe
            return
        except NotFound:
            time.sleep(_PAUSE)
        else:
            return
    where = f"-n {driver.namespace}"
    msg = (
        f"the submission {driver.submission} was cut off: its driver {driver.name} has no Service, so no executor "
        f"reaches it; end it: spark-staging kill {driver.name} {where}, a minute later spark-staging bundles prune "
        f"{where} --older-than 1m, and submit again"
    )
    raise InvalidRequest(msg)
