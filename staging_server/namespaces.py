"""Namespaces as paths name them (RFC 1123 labels), and the tenants that they are."""

from typing import Final, Protocol

from staging_protocol.errors import InvalidRequest
from staging_server.tenants import Tenant

_MAX_NAMESPACE: Final = 63
_EDGES: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_INSIDE: Final = _EDGES | {"-"}


def is_namespace(name: str) -> bool:
    """Tell whether `name` can be a namespace."""
    return 0 < len(name) <= _MAX_NAMESPACE and name[0] in _EDGES and name[-1] in _EDGES and _INSIDE.issuperset(name)


def checked_namespace(name: str) -> str:
    """Return `name` when it can be a namespace (RFC 1123 label).

    Raises:
        InvalidRequest: it cannot.
    """
    if not is_namespace(name):
        msg = f"{name[:80]!r} cannot be a namespace; expected up to {_MAX_NAMESPACE} characters of a-z, 0-9 and '-'"
        raise InvalidRequest(msg)
    return name


class Tenants(Protocol):
    """Knows which tenant a namespace is now."""

    async def find(self, namespace: str) -> Tenant:
        """Return the tenant; `namespace` is the name of one.

        Raises:
            NotFound: there is no such namespace.
            Unavailable: nobody knows now.
        """
        ...


class NamesOnly:
    """Where no Kubernetes is connected: each name is a tenant."""

    async def find(self, namespace: str) -> Tenant:
        """Return the tenant of that name."""
        return Tenant(namespace=namespace)


_: type[Tenants] = NamesOnly
