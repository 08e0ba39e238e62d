"""What a run has made, or may have made, and how it is deleted again.

Everything is noted before it is asked for, so that what was created by a request without an answer is found, too: an
object is ours when it has the annotation of this run, whoever else may have taken its name.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import Final

from staging_io.staging import StagingClient
from staging_protocol.errors import BundleExpired, Denied, NotFound, StagingError
from staging_protocol.tokens import BundleId
from submission import parallel
from submission.access.retrying import retried
from submission.driver.job import KubeObject
from submission.kube.api import KubeApi
from submission.kube.resources import resource_of
from submission.submit.identity import Identity
from submission.submit.interrupts import held

SECONDS: Final = 30.0
"""For how long each deletion is tried: an API server that is restarted is back in less."""
_AT_ONCE: Final = 8
_LOOKS: Final = 10
"""At an object, to see that it is gone."""


class Made:
    """The objects and the bundle of one run."""

    def __init__(self, identity: Identity, *, namespace: str, say: Callable[[str], None]) -> None:
        self._identity = identity
        self._namespace = namespace
        self._say = say
        self._objects: dict[tuple[str, str], KubeObject] = {}
        self._bundle: BundleId | None = None

    def note(self, obj: KubeObject) -> None:
        """Note what will be asked for, or what is there now."""
        self._objects[obj["kind"], obj["metadata"]["name"]] = obj

    def note_bundle(self, bundle: BundleId) -> None:
        """Note a bundle that is there."""
        self._bundle = bundle

    def undo(self, api: Callable[[], AbstractContextManager[KubeApi]], client: StagingClient | None) -> None:
        """Delete all of it; what cannot be deleted is told.

        Args:
            api: opens the API of the cluster, to be asked for `SECONDS`.
            client: of the staging server.
        """
        if not self._objects and self._bundle is None:
            return
        with held(self._say, until="everything is deleted again"):
            self._say(f"deleting what was made: {', '.join(self._names())}")
            if self._objects:
                with api() as kubernetes:
                    # The pod first: it is what costs something, and what all others would go with.
                    objects = sorted(self._objects.values(), key=lambda obj: obj["kind"] != "Pod")
                    left = parallel.each(
                        objects, lambda obj: self._deleted(obj, kubernetes), at_once=_AT_ONCE, stop=threading.Event()
                    )
                for problem in filter(None, left):
                    self._say(problem)
            if self._bundle is not None and client is not None:
                self._delete_bundle(self._bundle, client)

    def _names(self) -> Iterator[str]:
        yield from (f"{kind} {name}" for kind, name in self._objects)
        if self._bundle is not None:
            yield f"bundle {self._bundle}"

    def _deleted(self, obj: KubeObject, api: KubeApi) -> str | None:
        """Delete an object if it is ours; return what to tell when that is not possible."""
        try:
            if self._is_gone(obj, api):
                return None
            why = "it is there again and again"
        except NotFound:
            return None
        except StagingError as error:
            why = error.detail
        name = obj["metadata"]["name"]
        return f"{why}; this may be left: kubectl -n {self._namespace} delete {obj['kind'].lower()} {name}"

    def _is_gone(self, obj: KubeObject, api: KubeApi) -> bool:
        kind, name = resource_of(obj), obj["metadata"]["name"]
        try:
            for _ in range(_LOOKS):
                there = api.get(kind, name, namespace=self._namespace)
                metadata = there["metadata"]
                if not self._identity.made(there) or "deletionTimestamp" in metadata:
                    return True
                with suppress(NotFound):  # also said of a conflict; the next look tells
                    api.delete(kind, name, namespace=self._namespace, uid=metadata["uid"])
        except Denied:
            if "uid" not in obj["metadata"]:
                raise
            # Whoever may delete and not look still knows which object was made.
            api.delete(kind, name, namespace=self._namespace, uid=obj["metadata"]["uid"])
            return True
        return False

    def _delete_bundle(self, bundle: BundleId, client: StagingClient) -> None:
        try:
            with suppress(NotFound, BundleExpired):  # as when the staging itself was interrupted
                retried(lambda: client.delete(self._namespace, bundle), seconds=SECONDS)
        except StagingError as error:
            self._say(f"{error.detail}; the bundle {bundle} stays until its time to live is over")
