"""Lists, which come in pages so that neither side holds too much at once."""

from collections.abc import Callable, Iterator
from typing import Final

from submission.kube import calls
from submission.kube.answers import KubeObject
from submission.kube.request import JSON, Request
from submission.kube.resources import Resource

PAGE: Final = 500
"""Objects asked for at once, as kubectl does."""


def pages(
    ask: Callable[[Request], KubeObject],
    resource: Resource,
    *,
    namespace: str | None,
    labels: str,
    fields: str = "",
    size: int | None,
    accept: str = JSON,
) -> Iterator[KubeObject]:
    """Yield the pages of a list; `size` None asks for all in one."""
    cursor: str | None = None
    while True:
        page = ask(
            calls.page(
                resource,
                namespace=namespace,
                labels=labels,
                fields=fields,
                size=size,
                cursor=cursor,
                accept=accept,
            )
        )
        yield page
        cursor = (page.get("metadata") or {}).get("continue")
        if not cursor:
            return


def joined(found: Iterator[KubeObject], *, limit: int | None) -> KubeObject:
    """Return the first page with the items of all, or with the first `limit` of them."""
    whole = next(found)
    items = whole["items"] = whole.get("items") or []
    while limit is None or len(items) < limit:
        page = next(found, None)
        if page is None:
            break
        items += page.get("items") or []
    if limit is not None:
        del items[limit:]
    return whole
