"""For operators and their tools: what the server is, how full it is, sweeps, probes, metrics, OpenAPI."""

import asyncio

import msgspec
from aiohttp import hdrs, web

from staging_protocol.api.info import API_VERSION, Info, Limits
from staging_protocol.api.operators import NewSweep
from staging_server.answers import json_answer, json_bytes, plain_text
from staging_server.bodies import read_struct
from staging_server.exchange import Exchange
from staging_server.health import check_ready
from staging_server.metrics import registry as prometheus
from staging_server.uploads.batches import batch_limits


async def info(exchange: Exchange) -> web.Response:
    """Say what the server is and allows."""
    settings = exchange.parts.settings
    auth = settings.auth
    limits = Limits(
        file_size=settings.limits.file_size,
        create_body_size=settings.limits.create_body_size,
        files_per_bundle=settings.limits.files_per_bundle,
        batch=batch_limits(settings.limits),
    )
    return json_answer(
        Info(
            server=f"spark-staging/{exchange.state.version}",
            api_versions=(API_VERSION,),
            auth_mode=auth.mode,
            limits=limits,
            pods=exchange.state.pods,
            token_audience=auth.token_audience,
            api_server_tokens=auth.api_server_tokens,
        )
    )


async def usage(exchange: Exchange) -> web.Response:
    """Return bytes and counts of all namespaces."""
    return json_answer(await exchange.parts.overview.usage(None))


async def sweep(exchange: Exchange) -> web.Response:
    """Sweep now, or say what a sweep would do."""
    settings = exchange.parts.settings
    body = await read_struct(
        exchange.request, into=NewSweep, limit=settings.limits.body_size, seconds=settings.timeouts.stall
    )
    return json_answer(await exchange.parts.sweeper.sweep(dry_run=body.dry_run, caller=exchange.caller))


async def livez(_exchange: Exchange) -> web.Response:
    """Say that the process answers; nothing that it depends on is asked."""
    return plain_text("ok\n")


async def readyz(exchange: Exchange) -> web.Response:
    """Say whether requests shall come here; `?verbose` lists each check."""
    checks = await check_ready(exchange.state)
    ready = all(check.problem is None for check in checks)
    lines = [f"[{'+' if check.problem is None else '-'}]{check.name} {check.problem or 'ok'}" for check in checks]
    listed = lines if "verbose" in exchange.request.query or not ready else []
    text = "\n".join([*listed, "ready" if ready else "not ready", ""])
    return plain_text(text, status=200 if ready else 503)


async def metrics(exchange: Exchange) -> web.Response:
    """Return all metrics for Prometheus."""
    text = await asyncio.get_running_loop().run_in_executor(None, exchange.state.metrics.text)
    return web.Response(body=text, headers={hdrs.CONTENT_TYPE: prometheus.CONTENT_TYPE})


async def openapi(exchange: Exchange) -> web.Response:
    """Return the description of the API."""
    return json_bytes(msgspec.json.encode(exchange.state.description))
