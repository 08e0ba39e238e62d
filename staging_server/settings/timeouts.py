"""How long the server waits for its peers, and they for it when it ends."""

from typing import Annotated

from pydantic import Field

from staging_server.settings.group import KIB, Group, Seconds


class TimeoutSettings(Group):
    """How long the server waits for its peers."""

    headers: Seconds = 30
    """Time for a client to send the headers of a request; then the connection is closed."""

    stall: Seconds = 60
    """Time without a single byte of a body, in or out, after which the connection is closed."""

    keep_alive: Seconds = 75
    """Time that an idle connection stays open."""

    handshake: Seconds = 10
    """Time for a client to finish the TLS handshake; then the connection is closed."""

    slowest_rate: Annotated[int, Field(gt=0)] = KIB
    """Bytes a second below which a client counts as gone.  What the server waits for a body may last `stall` and as
    long as the bytes that came take at this rate; a reader of an answer has to take this much on average over `stall`
    seconds.  So nobody holds a place with a byte now and then."""

    shutdown_delay: Annotated[float, Field(ge=0)] = 0
    """Time after SIGTERM in which the server still takes new reads while it says that it is not ready, so that load
    balancers notice.  5 is right behind a Kubernetes Service."""

    shutdown: Seconds = 30
    """Time for running requests to end after SIGTERM; keep it under the pod's termination grace period."""
