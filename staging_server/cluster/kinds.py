"""The kinds of objects that are watched, and where they are found.

Pods without a label can own a bundle, too, but only those that somebody names.  They are watched by one watch more,
which begins when the first bundle names one and is of the least form: metadata of those that have not finished.  So
calls grow with kinds and never with bundles, and a cluster where nobody does that pays nothing.  There a pod that
finishes looks like one that is gone; both end its claim, and the second waits for a fresh list.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from staging_protocol import pod_contract
from staging_server.cluster.finished import (
    apache_application_finished,
    job_finished,
    operator_application_finished,
    pod_finished,
)
from staging_server.cluster.objects import End

OwnerKind = tuple[str, str]
"""apiVersion and kind."""

_AS_METADATA: Final = "application/json;as={};v=v1;g=meta.k8s.io"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kind:
    """What one watch follows; there is one object for each kind.

    Attributes:
        name: for logs and metrics.
        owner: what a reference to such an object says.
        group_path: of the API group and version.
        resource: plural, as in RBAC.
        query: selectors.
        metadata_only: nothing but `metadata` is looked at.
        installed_later: of a custom resource, which may not be there.
        finished: whether a status is that of an object that has finished for good.
    """

    name: str
    owner: OwnerKind
    group_path: str
    resource: str
    query: Mapping[str, str] = field(default_factory=dict)
    metadata_only: bool = False
    installed_later: bool = False
    finished: Callable[[msgspec.Raw], End | None] = lambda _status: None

    def path(self, namespace: str) -> str:
        """Return the path of all objects of the kind in `namespace`, or in the cluster when that is empty."""
        return f"{self.group_path}/namespaces/{namespace}/{self.resource}" if namespace else self.cluster_path

    @property
    def cluster_path(self) -> str:
        """Return the path of all objects of the kind."""
        return f"{self.group_path}/{self.resource}"

    @property
    def group(self) -> str:
        """Return the path of the API group, in which other versions may be."""
        return self.group_path.rpartition("/")[0]

    def accept(self, *, of_list: bool) -> str:
        """Return the form of the answer to ask for."""
        if not self.metadata_only:
            return "application/json"
        return _AS_METADATA.format("PartialObjectMetadataList" if of_list else "PartialObjectMetadata")


PODS: Final = Kind(
    name="pods",
    owner=("v1", "Pod"),
    group_path="/api/v1",
    resource="pods",
    query={"labelSelector": pod_contract.LABEL},
    finished=pod_finished,
)
"""Pods with the label of a bundle."""

OTHER_PODS: Final = Kind(
    name="other pods",
    owner=PODS.owner,
    group_path=PODS.group_path,
    resource=PODS.resource,
    query={
        "labelSelector": f"!{pod_contract.LABEL}",
        "fieldSelector": "status.phase!=Succeeded,status.phase!=Failed",
    },
    metadata_only=True,
)
"""Pods without such a label that have not finished."""

NAMESPACES: Final = Kind(
    name="namespaces", owner=("v1", "Namespace"), group_path="/api/v1", resource="namespaces", metadata_only=True
)

_OPERATOR: Final = "sparkoperator.k8s.io/v1beta2"

KINDS: Final = (
    PODS,
    OTHER_PODS,
    Kind(name="jobs", owner=("batch/v1", "Job"), group_path="/apis/batch/v1", resource="jobs", finished=job_finished),
    Kind(
        name="sparkapplications.sparkoperator.k8s.io",
        owner=(_OPERATOR, "SparkApplication"),
        group_path=f"/apis/{_OPERATOR}",
        resource="sparkapplications",
        installed_later=True,
        finished=operator_application_finished,
    ),
    Kind(
        name="scheduledsparkapplications.sparkoperator.k8s.io",
        owner=(_OPERATOR, "ScheduledSparkApplication"),
        group_path=f"/apis/{_OPERATOR}",
        resource="scheduledsparkapplications",
        metadata_only=True,
        installed_later=True,
    ),
    Kind(
        name="sparkapplications.spark.apache.org",
        owner=("spark.apache.org/v1", "SparkApplication"),
        group_path="/apis/spark.apache.org/v1",
        resource="sparkapplications",
        installed_later=True,
        finished=apache_application_finished,
    ),
)
"""Everything whose life can keep a bundle: the owners of `staging_protocol.owners.OWNER_KINDS`, and labelled pods."""
