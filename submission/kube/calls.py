"""The request for each call.  Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from submission.kube.request import APPLY_PATCH, JSON, MERGE_PATCH, Request
from submission.kube.resources import PODS, SELF_ACCESS_REVIEWS, SERVICE_ACCOUNTS, Resource, resource_of

VERSION: Final = Request(what="tell its version", method="GET", path="/version")

_MANAGER: Final = "spark-staging"
"""Whose fields they are that `apply` sets."""


def create(obj: Mapping[str, Any], *, dry_run: bool) -> Request:
    """Create an object."""
    resource, namespace = resource_of(obj), _metadata(obj).get("namespace")
    return Request(
        what=f"create {resource.words(namespace=namespace)}",
        method="POST",
        path=resource.path(namespace=namespace),
        query={"dryRun": "All" if dry_run else None},
        body=obj,
    )


def is_repeatable(obj: Mapping[str, Any]) -> bool:
    """Whether creating it twice leaves no second one: the API server makes a name for each that has only its begin."""
    return "name" in _metadata(obj) or "generateName" not in _metadata(obj)


def apply(obj: Mapping[str, Any], *, force: bool) -> Request:
    """Let an object be as `obj` says."""
    resource, namespace = resource_of(obj), _metadata(obj).get("namespace")
    return Request(
        what=f"apply {resource.words(namespace=namespace)}",
        method="PATCH",
        path=resource.path(namespace=namespace, name=_metadata(obj).get("name", "")),
        query={"fieldManager": _MANAGER, "force": "true" if force else "false"},
        body=obj,
        content_type=APPLY_PATCH,
    )


def get(resource: Resource, name: str, *, namespace: str | None) -> Request:
    """Read an object."""
    return Request(
        what=f"get {resource.words(namespace=namespace)}",
        method="GET",
        path=resource.path(namespace=namespace, name=name),
    )


def page(
    resource: Resource,
    *,
    namespace: str | None,
    labels: str = "",
    fields: str = "",
    size: int | None,
    cursor: str | None,
    accept: str = JSON,
) -> Request:
    """Read a page of a list; `size` None: all that there is."""
    return Request(
        what=f"list {resource.words(namespace=namespace)}",
        method="GET",
        path=resource.path(namespace=namespace),
        query={"labelSelector": labels, "fieldSelector": fields, "limit": size, "continue": cursor},
        accept=accept,
    )


def merge(resource: Resource, name: str, change: Mapping[str, Any], *, namespace: str | None) -> Request:
    """Change an object."""
    return Request(
        what=f"patch {resource.words(namespace=namespace)}",
        method="PATCH",
        path=resource.path(namespace=namespace, name=name),
        body=change,
        content_type=MERGE_PATCH,
    )


def delete(
    resource: Resource, name: str, *, namespace: str | None, uid: str | None, grace_seconds: int | None
) -> Request:
    """Delete an object."""
    options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
    if grace_seconds is not None:
        options["gracePeriodSeconds"] = grace_seconds
    if uid is not None:
        options["preconditions"] = {"uid": uid}
    return Request(
        what=f"delete {resource.words(namespace=namespace)}",
        method="DELETE",
        path=resource.path(namespace=namespace, name=name),
        body=options,
    )


def watch(resource: Resource, *, namespace: str | None, labels: str, fields: str, version: str) -> Request:
    """Hear of changes; for how long is said where it is sent."""
    return Request(
        what=f"watch {resource.words(namespace=namespace)}",
        method="GET",
        path=resource.path(namespace=namespace),
        query={
            "watch": 1,
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "labelSelector": labels,
            "fieldSelector": fields,
        },
    )


def log(
    pod: str,
    *,
    namespace: str,
    container: str | None,
    follow: bool,
    tail: int | None,
    since_time: datetime | None,
    timestamps: bool,
) -> Request:
    """Read a log."""
    return Request(
        what=f"read the log of {pod} in namespace {namespace}",
        method="GET",
        path=PODS.path(namespace=namespace, name=pod, subresource="log"),
        query={
            "container": container,
            "follow": "true" if follow else None,
            "tailLines": tail,
            "sinceTime": None if since_time is None else since_time.isoformat(),
            "timestamps": "true" if timestamps else None,
        },
        accept="*/*",
    )


def may(verb: str, resource: Resource, *, namespace: str | None, subresource: str, name: str) -> dict[str, Any]:
    """Return the review to create."""
    asked = {
        "verb": verb,
        "group": resource.group,
        "resource": resource.plural,
        "subresource": subresource,
        "namespace": (namespace or "") if resource.namespaced else "",
        "name": name,
    }
    kind = SELF_ACCESS_REVIEWS
    return {"apiVersion": kind.api_version, "kind": kind.kind, "spec": {"resourceAttributes": asked}}


def token(service_account: str, *, namespace: str, audience: str, seconds: int) -> Request:
    """Make a token of an account."""
    spec = {"audiences": [audience], "expirationSeconds": seconds}
    return Request(
        what=f"create a token of the service account {namespace}/{service_account}",
        method="POST",
        path=SERVICE_ACCOUNTS.path(namespace=namespace, name=service_account, subresource="token"),
        body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec},
    )


def _metadata(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    return obj.get("metadata") or {}
