"""The job that a submission id stands for already, if there is one."""

from dataclasses import dataclass
from typing import Any

from staging_protocol.errors import InvalidRequest
from staging_protocol.pod_contract import LABEL
from submission.job_labels import INPUTS, SUBMISSION
from submission.kube.api import KubeApi
from submission.kube.resources import PODS
from submission.submit.identity import Identity


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
            phase=(pod.get("status") or {}).get("phase", "Pending"),
        )


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
