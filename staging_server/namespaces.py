"""Names of Kubernetes namespaces (RFC 1123 labels)."""

from typing import Final

from staging_protocol.errors import InvalidRequest

_MAX_NAMESPACE: Final = 63
_EDGES: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_INSIDE: Final = _EDGES | {"-"}


def checked_namespace(name: str) -> str:
    """Return `name` when it can be a namespace (RFC 1123 label).

    Raises:
        InvalidRequest: it cannot.
    """
    if not (0 < len(name) <= _MAX_NAMESPACE and name[0] in _EDGES and name[-1] in _EDGES and _INSIDE.issuperset(name)):
        msg = f"{name[:80]!r} cannot be a namespace; expected up to {_MAX_NAMESPACE} characters of a-z, 0-9 and '-'"
        raise InvalidRequest(msg)
    return name
