"""The objects in a cluster that have our labels: found by their metadata, never read, deleted one by one.

Only metadata is asked for (of drivers besides how they are), so that no token comes here.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any, Final

from staging_protocol import pod_contract
from staging_protocol.errors import Denied, InvalidRequest, NotFound
from staging_protocol.tokens import BundleId
from submission.job_labels import RUN, SUBMISSION
from submission.jobs.pods import FAILED, SUCCEEDED, is_going, phase_of
from submission.kube.api import KubeApi
from submission.kube.resources import (
    CONFIG_MAPS,
    NETWORK_POLICIES,
    PERSISTENT_VOLUME_CLAIMS,
    POD_GROUPS,
    PODS,
    SECRETS,
    SERVICES,
    Resource,
)

MADE_BY_SUBMIT: Final = (SECRETS, CONFIG_MAPS, PERSISTENT_VOLUME_CLAIMS, SERVICES, NETWORK_POLICIES, POD_GROUPS)
"""What `submit` makes besides the driver's pod."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """The metadata of an object with a label of ours.

    Attributes:
        resource: kind of object.
        namespace: it is in.
        name: of the object.
        uid: of the object; another one of that name is another object.
        created: when, as the API server says.
        is_owned: whether it goes with another object.
        bundle: id of the bundle that it is for; None where it says none, or what is none.
        server: URL for pods of the bundle's server; None where it does not say.
        run: the run of `submit` that made it; None where it was made otherwise.
    """

    resource: Resource
    namespace: str
    name: str
    uid: str
    created: datetime
    is_owned: bool = False
    bundle: BundleId | None = None
    server: str | None = None
    run: str | None = None

    def __str__(self) -> str:
        """Return it as kubectl names it."""
        return f"{self.resource.kind.lower()}/{self.name}"


class Life(Enum):
    """How a driver is."""

    WAITS = auto()
    """It has never been on a node."""
    LIVES = auto()
    ENDED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverPod:
    """The pod of a driver, and how it is."""

    object: Labelled
    life: Life


class LabelledObjects:
    """Those of one namespace, or of all."""

    def __init__(self, api: KubeApi, *, namespace: str | None) -> None:
        self._api = api
        self._namespace = namespace

    def bundle_secrets(self) -> Iterator[Labelled]:
        """Yield the Secrets of bundles, page by page; what only looks like one of ours is left out."""
        for metadata in self._metadata(SECRETS, label=pod_contract.LABEL):
            secret = _labelled(SECRETS, metadata)
            if secret.bundle is not None and secret.name == pod_contract.secret_name(secret.bundle):
                yield secret

    def of_submissions(self) -> Iterator[Labelled]:
        """Yield what runs of `submit` have made besides their drivers' pods."""
        for resource in MADE_BY_SUBMIT:
            with suppress(*_ABSENT.get(resource, ())):
                for metadata in self._metadata(resource, label=SUBMISSION):
                    found = _labelled(resource, metadata)
                    if found.run is not None:
                        yield found

    def drivers(self) -> Iterator[DriverPod]:
        """Yield the drivers of submissions."""
        labels = f"{SUBMISSION},spark-role=driver"
        for pod in self._api.list(PODS, namespace=self._namespace, labels=labels)["items"]:
            yield DriverPod(object=_labelled(PODS, pod["metadata"]), life=_life(pod))

    def delete(self, found: Labelled) -> None:
        """Delete it, if it is still the same."""
        with suppress(NotFound):
            self._api.delete(found.resource, found.name, namespace=found.namespace, uid=found.uid)

    def _metadata(self, resource: Resource, *, label: str) -> Iterator[dict[str, Any]]:
        return self._api.each_metadata(resource, namespace=self._namespace, labels=label)


_ABSENT: Final[dict[Resource, tuple[type[Exception], ...]]] = {POD_GROUPS: (NotFound, Denied)}
"""Few clusters have Volcano, and where none is, nobody is given rights to its objects."""


def _labelled(resource: Resource, metadata: dict[str, Any]) -> Labelled:
    annotations = metadata.get("annotations") or {}
    return Labelled(
        resource=resource,
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        is_owned=bool(metadata.get("ownerReferences")),
        bundle=_bundle((metadata.get("labels") or {}).get(pod_contract.LABEL)),
        server=annotations.get(pod_contract.SERVER_ANNOTATION),
        run=annotations.get(RUN),
    )


def _bundle(label: str | None) -> BundleId | None:
    if label is None:
        return None
    try:
        return BundleId(label)
    except InvalidRequest:
        return None


def _life(pod: dict[str, Any]) -> Life:
    if phase_of(pod) in {SUCCEEDED, FAILED}:
        return Life.ENDED
    is_untouched = phase_of(pod) == "Pending" and not pod["spec"].get("nodeName") and not is_going(pod)
    return Life.WAITS if is_untouched else Life.LIVES
