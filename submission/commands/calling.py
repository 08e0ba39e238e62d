"""How commands call the server: one connection, each request tried again after transient failures."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import click

if TYPE_CHECKING:
    from staging_io.staging import StagingClient
    from staging_protocol.api.bundles import Bundle, BundlePage
    from submission.settings import Settings

T = TypeVar("T")

PAGE: Final = 500
"""Bundles asked for at once."""


class Call(Protocol):
    """Sends one request, perhaps several times."""

    def __call__(self, request: "Callable[[StagingClient], T]") -> T:
        """Return what the request returns."""


@contextmanager
def calls(settings: "Settings") -> "Iterator[Call]":
    """Yield what calls the server."""
    from submission.access.connection import connected
    from submission.access.retrying import retried

    with connected(settings) as connection:

        def call(request: "Callable[[StagingClient], T]") -> T:
            return retried(
                lambda: request(connection.client),
                seconds=settings.retry_seconds,
                notice=lambda text: click.echo(text, err=True),
            )

        yield call


def pages(call: Call, *, namespace: str | None, limit: int | None = None) -> "Iterator[Bundle]":
    """Yield the bundles of all pages, up to `limit`; of all namespaces, if none is named."""
    cursor: str | None = None
    left = limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        page: BundlePage = call(partial(_page, namespace=namespace, cursor=cursor, limit=size))
        yield from page.bundles[:left]
        left = None if left is None else left - len(page.bundles)
        cursor = page.next
        if cursor is None:
            return


def namespace_of(settings: "Settings") -> str:
    """Return the namespace that is meant."""
    from submission.settings import DEFAULT_NAMESPACE

    return settings.namespace or DEFAULT_NAMESPACE


def _page(client: "StagingClient", *, namespace: str | None, cursor: str | None, limit: int) -> "BundlePage":
    return client.bundles(namespace, cursor=cursor, limit=limit)
