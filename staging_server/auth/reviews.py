"""What Kubernetes says about callers: TokenReview (who is it), SubjectAccessReview (may they), and who issues tokens.

What is not clearly a yes is no yes: a review that cannot be made is `Unavailable`, whatever the reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import msgspec
import structlog

from staging_protocol.errors import Denied, NotFound, Unavailable
from staging_server.access_tokens import Verb
from staging_server.cluster.discretion import in_confidence

_log: Final = structlog.get_logger("auth")

GROUP: Final = "spark-staging.io"
RESOURCE: Final = "bundles"
"""A resource that no API server has: it is there for roles to name."""

_TOKEN_REVIEWS: Final = "/apis/authentication.k8s.io/v1/tokenreviews"  # noqa: S105 - a path
_ACCESS_REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_DISCOVERY: Final = "/.well-known/openid-configuration"

T = TypeVar("T")


class Cluster(Protocol):
    """The two calls of `cluster.api.ClusterApi` that are needed here; errors are ours."""

    async def get(self, path: str, *, into: type[T]) -> T:
        """Return what lies at a path."""
        ...

    async def post(self, path: str, body: Mapping[str, Any], *, into: type[T]) -> T:
        """Send a body; return the answer."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who somebody is to Kubernetes; the whole of it decides what they may do."""

    name: str
    uid: str
    groups: tuple[str, ...]
    extra: tuple[tuple[str, tuple[str, ...]], ...]


class _UserInfo(msgspec.Struct, frozen=True):
    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = {}


class _TokenStatus(msgspec.Struct, frozen=True):
    authenticated: bool = False
    audiences: tuple[str, ...] = ()
    user: _UserInfo = _UserInfo()


class _TokenReview(msgspec.Struct, frozen=True):
    status: _TokenStatus = _TokenStatus()


class _AccessStatus(msgspec.Struct, frozen=True):
    allowed: bool = False
    denied: bool = False


class _AccessReview(msgspec.Struct, frozen=True):
    status: _AccessStatus = _AccessStatus()


class _Discovery(msgspec.Struct, frozen=True):
    issuer: str | None


class Reviews:
    """Asks; remembers nothing."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def who(self, token: str, *, audience: str | None) -> User | None:
        """Return whom Kubernetes knows by `token`, None when it does not; `audience` None is the API server's own.

        Raises:
            Unavailable: it could not be asked.
        """
        spec: dict[str, Any] = {"token": token} if audience is None else {"token": token, "audiences": [audience]}
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        status = (await self._review(_TOKEN_REVIEWS, review, into=_TokenReview)).status
        # An authenticator that knows no audiences names none: then the token is one for the API server.
        if not status.authenticated or (audience is not None and audience not in status.audiences):
            return None
        user = status.user
        if not user.username:
            return None
        return User(name=user.username, uid=user.uid, groups=user.groups, extra=tuple(sorted(user.extra.items())))

    async def may(self, user: User, *, verb: Verb, namespace: str | None) -> bool:
        """Tell whether RBAC, or whatever the cluster has, allows `user` that; None asks for all namespaces.

        Raises:
            Unavailable: it could not be asked.
        """
        resource = {"group": GROUP, "resource": RESOURCE, "verb": verb.value, "namespace": namespace or ""}
        spec = {
            "user": user.name, "uid": user.uid, "groups": user.groups, "extra": dict(user.extra),
            "resourceAttributes": resource,
        }  # fmt: skip
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        status = (await self._review(_ACCESS_REVIEWS, review, into=_AccessReview)).status
        return status.allowed and not status.denied

    async def issuer(self) -> str | None:
        """Return who issues the tokens of the cluster; None when we are not told, as some clusters are set up.

        Raises:
            Unavailable: it could not be asked.
        """
        return (await in_confidence(self._issuer())).issuer

    async def _issuer(self) -> _Discovery:
        try:
            return await self._cluster.get(_DISCOVERY, into=_Discovery)
        except (Denied, NotFound) as error:
            _log.warning("the issuer of tokens is not known, so it is not looked at", detail=error.detail)
            return _Discovery(issuer=None)

    async def _review(self, path: str, review: Mapping[str, Any], *, into: type[T]) -> T:
        try:
            return await in_confidence(self._cluster.post(path, review, into=into))
        except NotFound as error:
            _log.error("this cluster has no such reviews", detail=error.detail)
            raise Unavailable("this server's cluster cannot say who you are and what you may do") from error
