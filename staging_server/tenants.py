"""Who owns things on the server, and who asks: the two identities that every request carries inward.

A `Tenant` comes from the caller's authenticated identity and the path, never from a body (DESIGN 6).  A recreated
namespace has another uid and is therefore a new, empty tenant.
"""

from dataclasses import dataclass
from typing import Final

LOCAL_CLUSTER: Final = "local"
"""The name of the cluster where no Kubernetes is connected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A namespace of a cluster.  `uid` is that of the namespace object, empty where no Kubernetes is connected."""

    cluster: str = LOCAL_CLUSTER
    namespace: str
    uid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asked, for the audit table.

    Attributes:
        name: `token:<id>`, `anonymous`, or the name of a part of the server such as `sweeper`.
        address: IP address of the peer, empty for the server's own parts.
        request_id: the id that the request's log lines carry.
    """

    name: str
    address: str = ""
    request_id: str = ""
