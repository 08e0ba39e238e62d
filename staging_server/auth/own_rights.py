"""Whether the server has the rights that it needs in its cluster: what `check` looks at."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from staging_server.auth.reviews import Cluster
from staging_server.cluster.api import open_cluster_api
from staging_server.settings import AuthMode, Settings

_REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """A verb on a resource; `namespace` empty is all."""

    verb: str
    resource: str
    group: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        """Return it as people write it."""
        what = f"{self.verb} {self.resource}" + (f".{self.group}" if self.group else "")
        return f"{what} in {self.namespace}" if self.namespace else what


class _Status(msgspec.Struct, frozen=True):
    allowed: bool = False


class _Review(msgspec.Struct, frozen=True):
    status: _Status = _Status()


def missing_rights(settings: Settings) -> tuple[Right, ...]:
    """Ask Kubernetes; return the rights that are missing.  Waits for the network.

    Raises:
        StagingError: it cannot be asked.
    """
    return asyncio.run(_missing(settings))


async def _missing(settings: Settings) -> tuple[Right, ...]:
    async with open_cluster_api(settings.kubernetes) as cluster:
        return tuple([right for right in _needed(settings) if not await _has(cluster, right)])


async def _has(cluster: Cluster, right: Right) -> bool:
    resource = {"verb": right.verb, "group": right.group, "resource": right.resource, "namespace": right.namespace}
    review = {
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": resource},
    }  # fmt: skip
    return (await cluster.post(_REVIEWS, review, into=_Review)).status.allowed


def _needed(settings: Settings) -> Iterator[Right]:
    """Yield what every server asks; owners of other kinds than pods are asked about once a bundle names one."""
    if settings.auth.mode is AuthMode.KUBERNETES:
        yield Right(verb="create", resource="tokenreviews", group="authentication.k8s.io")
        yield Right(verb="create", resource="subjectaccessreviews", group="authorization.k8s.io")
    for namespace in settings.kubernetes.namespaces or ("",):
        yield Right(verb="get", resource="namespaces", namespace=namespace)
        for verb in ("get", "list", "watch"):
            yield Right(verb=verb, resource="pods", namespace=namespace)
