"""What an authenticator says, and what a route asks.

    Authorization header → Authenticator → identity:  Access        somebody with verbs in namespaces, perhaps a pod
                                                      BundleToken   opens one bundle for reading
                                                      None          nobody in particular
    identity + `Rule` of the route → allowed, or one of Unauthenticated, Denied, NotFound

An authenticator only says who asks; `Rule` says what a route needs; `guard` brings both together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from staging_protocol.tokens import BundleId, Token
from staging_server.access_tokens import Verb

ANONYMOUS: Final = "anonymous"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a route needs: one of `verbs`, or one of the other ways in.

    Attributes:
        anyone: no credentials are needed.
        verbs: one of these, in the namespace of the path.
        own: or one of these, for the bundles that the caller created.
        bundle_token: or the token of the bundle, or to be a live pod with its label.
    """

    anyone: bool = False
    verbs: tuple[Verb, ...] = ()
    own: tuple[Verb, ...] = ()
    bundle_token: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundPod:
    """The pod that a token is bound to, as Kubernetes says."""

    namespace: str
    name: str
    uid: str


class Access(Protocol):
    """Somebody with rights."""

    @property
    def name(self) -> str:
        """Who it is, for the audit table; bundles belong to this name."""
        ...

    @property
    def pod(self) -> BoundPod | None:
        """The pod that the credentials are bound to, if they are."""
        ...

    async def may(self, verbs: tuple[Verb, ...], *, namespace: str | None) -> bool:
        """Tell whether one of `verbs` is allowed in `namespace`; None asks for all namespaces.

        Raises:
            Unavailable, TooManyRequests: who knows cannot be asked now.
        """
        ...

    async def carries(self, bundle: BundleId, *, namespace: str) -> bool:
        """Tell whether `pod` lives in `namespace` with the label of `bundle`; raises as `may` does."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Rights that are known beforehand.  `namespaces` None means all."""

    name: str
    namespaces: frozenset[str] | None
    verbs: frozenset[Verb]

    @property
    def pod(self) -> None:
        """No pod."""

    async def may(self, verbs: tuple[Verb, ...], *, namespace: str | None) -> bool:
        """See `Access.may`."""
        if self.namespaces is not None and namespace not in self.namespaces:
            return False
        return not self.verbs.isdisjoint(verbs)

    async def carries(self, bundle: BundleId, *, namespace: str) -> bool:
        """Tell that it is no pod."""
        del bundle, namespace
        return False


Identity = Access | Token | None
"""A `Token` is a bundle token that nobody has checked yet; the domain does, in its own bundle only."""


class Authenticator(Protocol):
    """Says who asks.  One for each `auth.mode`."""

    def check_origin(self, headers: Mapping[str, str]) -> None:
        """Look at where a request comes from, also when its route needs no credentials.

        Raises:
            Denied: from where none may come.
        """
        ...

    async def identify(self, headers: Mapping[str, str], *, address: str) -> Identity:
        """Return who asks by the header fields of a request; `address` is the peer's.

        Raises:
            Unauthenticated: credentials came, and they are none of ours.
            Unavailable, TooManyRequests: who knows cannot be asked now.
        """
        ...


_: type[Access] = Grant
