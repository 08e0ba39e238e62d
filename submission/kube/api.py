"""The calls to the Kubernetes API: plain objects in and out.

A call that failed in passing is tried again for some seconds, where that is safe.  Streams (`watch`, `log`) are opened
again by their caller, who knows where they stood.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from staging_protocol.errors import NotFound
from submission.kube import calls, listing
from submission.kube.answers import Event, IssuedToken, KubeObject, Verdict
from submission.kube.attempts import RETRY_SECONDS, Attempts
from submission.kube.errors import AlreadyExists, Conflict, Gone
from submission.kube.listing import joined, pages
from submission.kube.request import METADATA_LIST, Request
from submission.kube.resources import Resource
from submission.kube.streams import SILENCE, events, log_lines
from submission.kube.transport import Transport

__all__ = ["Event", "IssuedToken", "KubeApi", "KubeObject", "Verdict"]


class KubeApi:
    """One cluster, as somebody; safe to use from several threads.

    Each call raises the errors of `submission.kube.errors`.  `namespace` None means all namespaces, or that objects of
    this kind are in none.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        retry_seconds: float = RETRY_SECONDS,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        """`notice` is told why a call is tried again."""
        self._transport = transport
        self._retry_seconds = retry_seconds
        self._notice = notice

    @property
    def address(self) -> str:
        """URL of the API server."""
        return self._transport.address

    @property
    def user(self) -> str:
        """Who we are to the cluster, in words; nobody was asked for it."""
        return self._transport.user

    def acting_as(self, user: str) -> "KubeApi":
        """Return the API as `user` has it (`system:serviceaccount:NAMESPACE:NAME`), where we may impersonate them."""
        return KubeApi(self._transport.acting_as(user), retry_seconds=self._retry_seconds, notice=self._notice)

    def version(self) -> str:
        """Return the version of Kubernetes: `v1.31.2`."""
        return str(self._ask(calls.VERSION).get("gitVersion", "unknown"))

    def create(self, obj: Mapping[str, Any], *, dry_run: bool = False) -> KubeObject:
        """Create an object, and return it as it is then; `dry_run`: only let the API server check it.

        One with `generateName` is not tried again: there could be two.

        Raises:
            AlreadyExists: the name is taken; perhaps by this very call, when an attempt before had no answer.
        """
        attempts = self._attempts(calls.create(obj, dry_run=dry_run))
        try:
            return self._retried(attempts) if dry_run or calls.is_repeatable(obj) else attempts()
        except AlreadyExists as error:
            error.perhaps_ours = attempts.is_doubtful
            raise

    def apply(self, obj: Mapping[str, Any], *, force: bool = True) -> KubeObject:
        """Create or change an object to be as `obj` says (server-side apply), and return it.

        Raises:
            InvalidRequest: without `force`: somebody else decides on one of the fields.
        """
        return self._ask(calls.apply(obj, force=force))

    def get(self, resource: Resource, name: str, *, namespace: str | None) -> KubeObject:
        """Return an object.

        Raises:
            NotFound: it is not there.
        """
        return self._ask(calls.get(resource, name, namespace=namespace))

    def list(
        self, resource: Resource, *, namespace: str | None, labels: str = "", fields: str = "", limit: int | None = None
    ) -> KubeObject:
        """Return the whole list, or its first `limit` objects; its `metadata.resourceVersion` is for `watch`.

        Args:
            resource: which objects.
            namespace: None for all.
            labels: selector: `spark-role=driver,demo`.
            fields: selector: `involvedObject.name=x`.
            limit: of objects.
        """
        found = partial(pages, self._ask, resource, namespace=namespace, labels=labels, fields=fields)
        try:
            return joined(found(size=listing.PAGE if limit is None else min(limit, listing.PAGE)), limit=limit)
        except Gone:  # a page became too old before the next was asked for: once more, in one
            return joined(found(size=None), limit=limit)

    def each_metadata(self, resource: Resource, *, namespace: str | None, labels: str = "") -> Iterator[KubeObject]:
        """Yield the metadata of objects, page by page; nothing else of them comes here."""
        size = listing.PAGE
        for page in pages(self._ask, resource, namespace=namespace, labels=labels, size=size, accept=METADATA_LIST):
            for item in page.get("items") or []:
                yield item.get("metadata") or {}

    def merge(self, resource: Resource, name: str, change: Mapping[str, Any], *, namespace: str | None) -> KubeObject:
        """Change an object by a merge patch (RFC 7386: lists are replaced whole), and return it."""
        return self._ask(calls.merge(resource, name, change, namespace=namespace))

    def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str | None,
        uid: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        """Delete an object; with `uid` only if it is still that one.

        Raises:
            NotFound: it is not there, or another one has its name now.
        """
        request = calls.delete(resource, name, namespace=namespace, uid=uid, grace_seconds=grace_seconds)
        attempts = self._attempts(request, on_conflict=Conflict if uid is None else NotFound)
        try:
            self._retried(attempts)
        except NotFound:
            if not attempts.is_doubtful:  # else an attempt before this one may have done it
                raise

    def watch(
        self,
        resource: Resource,
        *,
        namespace: str | None,
        labels: str = "",
        fields: str = "",
        version: str,
        seconds: float,
    ) -> Iterator[Event]:
        """Yield what happens after `version`, for about `seconds`; when it ends, that is all that it means.

        Raises:
            Gone: the API server no longer knows `version`; list again.
            Unavailable: the connection broke; watch again from the version of the last event.
        """
        request = calls.watch(resource, namespace=namespace, labels=labels, fields=fields, version=version)
        return events(self._transport, request, seconds=seconds)

    def log(
        self,
        pod: str,
        *,
        namespace: str,
        container: str | None,
        follow: bool = False,
        tail: int | None = None,
        since_time: datetime | None = None,
        timestamps: bool = False,
        silence: float = SILENCE,
    ) -> Iterator[bytes]:
        """Yield the lines of a container's log, without their ends; very long ones in pieces.

        Args:
            pod: its name.
            namespace: of the pod.
            container: None for the only one.
            follow: go on until the container ends.
            tail: only the last lines that there are now.
            since_time: only what was written since; with a time zone.
            timestamps: each line begins with the time at which it was written, and a space.
            silence: seconds without a byte after which the log is given up.

        Raises:
            NotFound: there is no such pod.
            InvalidRequest: there is no such container, or it has not started.
            Unavailable: the connection broke, or was silent; a line that was cut off is not given.
        """
        request = calls.log(
            pod,
            namespace=namespace,
            container=container,
            follow=follow,
            tail=tail,
            since_time=since_time,
            timestamps=timestamps,
        )
        return log_lines(self._transport, request, silence=silence)

    def may(
        self, verb: str, resource: Resource, *, namespace: str | None, subresource: str = "", name: str = ""
    ) -> Verdict:
        """Return whether we may do this (SelfSubjectAccessReview)."""
        review = calls.may(verb, resource, namespace=namespace, subresource=subresource, name=name)
        status = self.create(review).get("status") or {}
        return Verdict(allowed=status.get("allowed") is True, reason=str(status.get("reason") or ""))

    def token(self, service_account: str, *, namespace: str, audience: str, seconds: int) -> IssuedToken:
        """Return a new token of an account for an audience; the cluster may grant another time than `seconds`."""
        request = calls.token(service_account, namespace=namespace, audience=audience, seconds=seconds)
        made = self._ask(request)
        try:
            return IssuedToken(text=str(made["status"]["token"]), seconds=float(made["spec"]["expirationSeconds"]))
        except (LookupError, TypeError, ValueError):
            raise self._transport.no_kubernetes(request) from None  # its text may hold the token

    def _ask(self, request: Request) -> KubeObject:
        return self._retried(self._attempts(request))

    def _attempts(self, request: Request, *, on_conflict: type[NotFound | Conflict] = Conflict) -> Attempts:
        return Attempts(lambda: self._transport.answer(request), on_conflict=on_conflict)

    def _retried(self, attempts: Attempts) -> KubeObject:
        from submission.access.retrying import retried

        return retried(attempts, seconds=self._retry_seconds, notice=self._notice)
