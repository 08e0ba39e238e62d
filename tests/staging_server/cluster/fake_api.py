"""An API server that answers as no healthy one does; the real one is tests/services/kube_api.py."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from staging_server.cluster.api import ClusterApi, open_cluster_api
from staging_server.settings import Connect, KubernetesSettings
from tests.staging_server.cluster.lab import kubeconfig_for

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def fake_api(answer: Answer) -> AsyncIterator[str]:
    """Answer each request on a loopback port so; yield the URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def api_of(answer: Answer, folder: Path, **timeouts: Any) -> AsyncIterator[ClusterApi]:
    """Yield a client of such an API server."""
    async with fake_api(answer) as url:
        kubeconfig = kubeconfig_for(url, folder, token="first")
        settings = KubernetesSettings(connect=Connect.KUBECONFIG, kubeconfig=kubeconfig, **timeouts)
        async with open_cluster_api(settings) as api:
            yield api


def refusal(status: int, *, message: str = "no", reason: str = "Reason", **headers: str) -> web.Response:
    """Return what Kubernetes says when it refuses."""
    body = {"kind": "Status", "status": "Failure", "message": message, "reason": reason, "code": status}
    return web.json_response(body, status=status, headers=headers)
