"""Creating the objects of a job, so that pods never wait for what they mount.

    early objects  →  pod  →  late objects, owned by the pod from the beginning  →  early objects owned by the pod

Stock Spark creates the pod first; the kubelet then may look for ConfigMaps that are not there yet.  An owner reference
needs the uid of the pod, so what comes before the pod is given its owner afterwards.  That is the last step of all: an
object without an owner says that a submission was not finished (`pruning.unfinished`).
"""

from collections.abc import Callable
from typing import Any

from staging_protocol.errors import InvalidRequest
from submission.driver.job import KubeObject
from submission.kube.api import KubeApi
from submission.kube.errors import AlreadyExists
from submission.kube.resources import resource_of
from submission.submit.identity import Identity
from submission.submit.interrupts import held
from submission.submit.planned import Planned
from submission.submit.undoing import Made


class Taken(InvalidRequest):
    """A name is taken by an object that this run has not made."""


def create(planned: Planned, *, api: KubeApi, identity: Identity, made: Made, say: Callable[[str], None]) -> KubeObject:
    """Create all objects and return the driver's pod as it is there.

    Raises:
        Taken: there is an object of that name already.
        StagingError: the API server refused, or does not answer.
    """
    creator = _Creator(api, identity=identity, made=made, say=say)
    early = [creator.create(obj) for obj in planned.early]
    pod = creator.create(planned.pod)
    owner = owner_reference(pod)
    for obj in planned.late:
        creator.create(_owned(obj, owner=owner))
    for obj in early:
        creator.give(obj, owner=owner)
    return pod


def owner_reference(pod: KubeObject) -> dict[str, Any]:
    """Return what names the pod as the owner, as stock Spark does."""
    metadata = pod["metadata"]
    return {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"], "controller": True}


def _owned(obj: KubeObject, *, owner: dict[str, Any]) -> KubeObject:
    return {**obj, "metadata": {**obj["metadata"], "ownerReferences": [owner]}}


class _Creator:
    def __init__(self, api: KubeApi, *, identity: Identity, made: Made, say: Callable[[str], None]) -> None:
        self._api = api
        self._identity = identity
        self._made = made
        self._say = say

    def create(self, obj: KubeObject) -> KubeObject:
        """Create one object."""
        self._made.note(obj)
        with held(self._say, until="the API server has answered"):
            created = self._created(obj)
            self._made.note({**obj, "metadata": created["metadata"]})
        return {**obj, "metadata": created["metadata"]}

    def give(self, obj: KubeObject, *, owner: dict[str, Any]) -> None:
        """Give an object its owner."""
        metadata = obj["metadata"]
        with held(self._say, until="the API server has answered"):
            self._api.merge(
                resource_of(obj),
                metadata["name"],
                {"metadata": {"ownerReferences": [owner]}},
                namespace=metadata["namespace"],
            )

    def _created(self, obj: KubeObject) -> KubeObject:
        try:
            return self._api.create(obj)
        except AlreadyExists as error:
            metadata = obj["metadata"]
            there = self._api.get(resource_of(obj), metadata["name"], namespace=metadata["namespace"])
            if self._identity.made(there):  # by an attempt whose answer was lost
                return there
            raise taken(obj) from error


def taken(obj: KubeObject) -> Taken:
    """Return the error for a name that is taken."""
    kind, name, namespace = obj["kind"], obj["metadata"]["name"], obj["metadata"]["namespace"]
    msg = f"there is a {kind} {name} in namespace {namespace} already"
    if kind == "Pod":
        msg += f"; give another spark.kubernetes.driver.pod.name, or: kubectl -n {namespace} delete pod {name}"
    else:
        prune = f"spark-staging bundles prune -n {namespace} --older-than 1m"
        msg += f"; if a submission left it that was cut off, run a minute after that: {prune}"
    return Taken(msg)
