"""What belongs to one running application, besides the parts below HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from aiohttp import web
from structlog.typing import FilteringBoundLogger

from staging_protocol.api.info import PodEndpoint
from staging_server.auth.opening import Gate
from staging_server.metrics.registry import Metrics
from staging_server.parts import ServerParts


@dataclass(slots=True)
class Traffic:
    """What is going on now, and whether the server is on its way out.

    Attributes:
        in_flight: requests whose answer was not sent to its end, probes not counted.
        draining: the server will end: not ready, no new uploads and bundles.
        closed: no new request but probes is taken any more.
    """

    in_flight: int = 0
    draining: bool = False
    closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AppState:
    """The application's own things; `description` is the OpenAPI document, `log` takes a line for each request."""

    parts: ServerParts
    gate: Gate
    metrics: Metrics
    pods: PodEndpoint
    version: str
    description: Mapping[str, Any]
    log: FilteringBoundLogger = field(default_factory=lambda: structlog.get_logger("http").bind())
    traffic: Traffic = field(default_factory=Traffic)

    @property
    def server_name(self) -> str:
        """The value of `Server`; aiohttp's own names the versions of Python and aiohttp."""
        return f"spark-staging/{self.version}"


STATE: Final = web.AppKey("state", AppState)
