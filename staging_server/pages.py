"""The one page for operators: how full the server is, its newest bundles, and the last sweep."""

from importlib import resources
from typing import Final

from aiohttp import hdrs, web
from jinja2 import Environment, PackageLoader, select_autoescape

from staging_server.exchange import Exchange
from staging_server.sizes import human_size

_SHOWN: Final = 50
"""Bundles on the page; the API and the CLI list them all."""

# Nothing on the page runs or comes from elsewhere, and no other page may frame it.
_POLICY: Final = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    hdrs.CACHE_CONTROL: "no-store",
}


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("staging_server"), autoescape=select_autoescape(), auto_reload=False
    )  # fmt: skip
    environment.filters["size"] = human_size
    return environment


# Read when the server starts: no request waits for the disk.
_PAGE: Final = _environment().get_template("overview.html")
_STYLE: Final = resources.files("staging_server").joinpath("static/page.css").read_text(encoding="utf-8")


async def overview(exchange: Exchange) -> web.Response:
    """Return the page."""
    told = exchange.parts.overview
    usage = await told.usage(None)
    page = await told.list(None, cursor=None, limit=_SHOWN)
    text = _PAGE.render(
        usage=usage, page=page, version=exchange.state.version, last_sweep=exchange.parts.sweeper.last_success
    )
    return web.Response(text=text, content_type="text/html", charset="utf-8", headers=_HEADERS)


async def style(_exchange: Exchange) -> web.Response:
    """Return the page's style."""
    headers = {"X-Content-Type-Options": "nosniff"}
    return web.Response(text=_STYLE, content_type="text/css", charset="utf-8", headers=headers)
