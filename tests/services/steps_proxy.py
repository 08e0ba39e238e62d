"""A fault proxy that counts steps: something happens at the n-th request that changes anything.

    with steps_proxy(kube.url, authority=ca, is_step=is_write) as proxy:
        proxy.at(3, fault=Refuse(500), times=4)      # the third step and the three requests after it
        proxy.at(3, then=process.kill)               # when the third step arrives

Towards the server it speaks TLS when that is asked for; clients speak clear text with it, on loopback.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.services.fault_proxy import FaultProxy
from tests.services.fault_wire import End, Head
from tests.services.faults import Exchange, Fault

IsStep = Callable[[str, str], bool]
"""Whether a request of this method and path is one."""


@dataclass(kw_only=True)
class _Plan:
    step: int
    fault: Fault | None
    times: int
    then: Callable[[], None]


class StepsProxy(FaultProxy):
    """Counts steps from 1."""

    def __init__(self, target: str, *, is_step: IsStep, authority: Path | None) -> None:
        self._is_step = is_step
        self._tls = None if authority is None else ssl.create_default_context(cafile=authority)
        self._plan: _Plan | None = None
        self.steps: list[str] = []
        super().__init__(target)

    def at(
        self, step: int, *, fault: Fault | None = None, times: int = 1, then: Callable[[], None] = lambda: None
    ) -> None:
        """Let `fault` strike the step and the requests after it, `times` in all; do `then` when the step arrives."""
        self._plan = _Plan(step=step, fault=fault, times=times, then=then)

    def begin(self, connection: int, head: Head) -> tuple[Exchange, list[Fault]]:
        """Count, and say what strikes."""
        exchange, faults = super().begin(connection, head)
        plan = self._plan
        is_step = self._is_step(exchange.method, exchange.path)
        if is_step:
            self.steps.append(f"{exchange.method} {_kind(exchange.path)}")
        if plan is None or len(self.steps) < plan.step or plan.times == 0:
            return exchange, faults
        if is_step and len(self.steps) == plan.step:
            plan.then()
        plan.times -= 1
        return exchange, faults if plan.fault is None else [*faults, plan.fault]

    async def connect(self) -> End:
        """Connect to the server."""
        parts = urlsplit(self.target)
        if self._tls is None:
            return await super().connect()
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=self._tls)
        end = _TlsEnd(reader, writer)
        writer.transport.set_write_buffer_limits()  # with none at all, asyncio's TLS never says that it may go on
        return end

    async def _drop(self) -> None:
        await super()._drop()
        for _ in range(5):  # TLS hands on what it is told a turn later
            await asyncio.sleep(0)


class _TlsEnd(End):
    """The end towards the server, which nobody waits for: what was asked was answered, or is not wanted any more."""

    def close(self) -> None:
        """Close at once; TLS would wait for the server to agree."""
        self._writer.transport.abort()


def _kind(path: str) -> str:
    """Return what a path of the Kubernetes API or the staging API is about, without names."""
    parts = urlsplit(path).path.strip("/").split("/")
    return parts[parts.index("namespaces") + 2] if "namespaces" in parts[:-2] else parts[-1]


@contextmanager
def steps_proxy(target: str, *, is_step: IsStep, authority: Path | None = None) -> Iterator[StepsProxy]:
    """Run a proxy before the server at `target`, whose certificate `authority` issued."""
    proxy = StepsProxy(target, is_step=is_step, authority=authority)
    try:
        yield proxy
    finally:
        proxy.close()
