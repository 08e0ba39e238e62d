"""`spark-staging bundles list|show|delete|explain|bind|pin|unpin`."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from submission.commands.bundle_views import plain, print_bundle, print_bundles, print_explanation
from submission.commands.options import (
    Output,
    StagingCommand,
    bundle_id,
    connection_options,
    namespace_option,
    output_option,
    settings_of,
)

if TYPE_CHECKING:
    from staging_io.staging import StagingClient
    from staging_protocol.api import Bundle, BundlePage, Explanation
    from submission.settings import Settings

T = TypeVar("T")


class Call(Protocol):
    """Sends one request, perhaps several times."""

    def __call__(self, request: "Callable[[StagingClient], T]") -> T:
        """Return what the request returns."""


PAGE = 500
"""Bundles asked for at once."""


@click.group("bundles")
def COMMAND() -> None:  # noqa: N802 - the name by which the group finds it
    """List, show, delete, explain, bind and pin bundles.

    \b
    Examples:
      spark-staging bundles list -n jobs
      spark-staging bundles explain abcdefghijklmnopqrstuvwxyz
      spark-staging bundles pin abcdefghijklmnopqrstuvwxyz --reason "audit until March" --until 2027-03-01
    """  # noqa: D301 - \b is click's mark for text that keeps its lines


@COMMAND.command("list", cls=StagingCommand)
@click.option("-A", "--all-namespaces", is_flag=True, help="Of all namespaces (for operators).")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many. Default: all.")
@namespace_option
@connection_options
@output_option
def list_bundles(**parameters: Any) -> None:
    """List bundles, newest first.

    \b
    Example:
      spark-staging bundles list --all-namespaces --limit 20 -o json
    """  # noqa: D301 - as above
    settings = settings_of(parameters)
    if parameters["all_namespaces"] and parameters["namespace"]:
        msg = "--all-namespaces and --namespace exclude each other"
        raise click.UsageError(msg)
    namespace = None if parameters["all_namespaces"] else _namespace(settings)
    with _calls(settings) as call:
        bundles = list(_pages(call, namespace=namespace, limit=parameters["limit"]))
    if parameters["output"] is Output.JSON:
        click.echo(json.dumps([plain(bundle) for bundle in bundles], indent=2))
        return
    print_bundles(bundles)


@COMMAND.command("show", cls=StagingCommand)
@click.argument("bundle")
@namespace_option
@connection_options
@output_option
def show(**parameters: Any) -> None:
    """Show one bundle.

    \b
    Example:
      spark-staging bundles show abcdefghijklmnopqrstuvwxyz -o json
    """  # noqa: D301 - as above
    print_bundle(_call(parameters, lambda client, ns, id_: client.bundle(ns, id_)), output=parameters["output"])


@COMMAND.command("delete", cls=StagingCommand)
@click.argument("bundles", nargs=-1, required=True)
@namespace_option
@connection_options
def delete(**parameters: Any) -> None:
    """End bundles now; pods that still need them will fail.

    \b
    Example:
      spark-staging bundles delete abcdefghijklmnopqrstuvwxyz
    """  # noqa: D301 - as above
    for bundle in [bundle_id(text) for text in parameters["bundles"]]:
        _call({**parameters, "bundle": bundle}, lambda client, ns, id_: client.delete(ns, id_))
        click.echo(f"deleted {bundle}")


@COMMAND.command("explain", cls=StagingCommand)
@click.argument("bundle")
@namespace_option
@connection_options
@output_option
def explain(**parameters: Any) -> None:
    """Say why a bundle is still there, and what its init containers reported.

    \b
    Example:
      spark-staging bundles explain abcdefghijklmnopqrstuvwxyz
    """  # noqa: D301 - as above
    explanation: Explanation = _call(parameters, lambda client, ns, id_: client.explain(ns, id_))
    if parameters["output"] is Output.JSON:
        click.echo(json.dumps(plain(explanation), indent=2))
        return
    print_explanation(explanation)


@COMMAND.command("bind", cls=StagingCommand)
@click.argument("bundle")
@click.argument("owner", metavar="KIND/NAME")
@click.option("--api-version", metavar="VERSION", help="Default: the one of the kind that can own a bundle.")
@click.option("--uid", help="Uid of the object. Default: that of the object when it is first seen.")
@namespace_option
@connection_options
@output_option
def bind(**parameters: Any) -> None:
    """Name the Kubernetes object whose life keeps the bundle.

    \b
    Example:
      spark-staging bundles bind abcdefghijklmnopqrstuvwxyz Pod/my-driver -n jobs
    """  # noqa: D301 - as above
    owner = _owner(parameters)
    print_bundle(_call(parameters, lambda client, ns, id_: client.bind(ns, id_, owner)), output=parameters["output"])


@COMMAND.command("pin", cls=StagingCommand)
@click.argument("bundle")
@click.option("--reason", required=True, help="Why it is held; shown by explain.")
@click.option("--until", type=click.DateTime(), help="End of the pin, in UTC. Default: until it is unpinned.")
@namespace_option
@connection_options
@output_option
def pin(**parameters: Any) -> None:
    """Hold a bundle, whatever else happens.

    \b
    Example:
      spark-staging bundles pin abcdefghijklmnopqrstuvwxyz --reason "rerun on Monday" --until 2027-01-31
    """  # noqa: D301 - as above
    from datetime import UTC

    from staging_protocol.api import Pin

    until: datetime | None = parameters["until"]
    wanted = Pin(reason=parameters["reason"], until=None if until is None else until.replace(tzinfo=UTC))
    print_bundle(_call(parameters, lambda client, ns, id_: client.pin(ns, id_, wanted)), output=parameters["output"])


@COMMAND.command("unpin", cls=StagingCommand)
@click.argument("bundle")
@namespace_option
@connection_options
@output_option
def unpin(**parameters: Any) -> None:
    """Take the pin away.

    \b
    Example:
      spark-staging bundles unpin abcdefghijklmnopqrstuvwxyz
    """  # noqa: D301 - as above
    print_bundle(_call(parameters, lambda client, ns, id_: client.unpin(ns, id_)), output=parameters["output"])


# --- calling ---------------------------------------------------------------------------------------------------------


def _call(parameters: dict[str, Any], call: "Callable[[StagingClient, str, Any], T]") -> T:
    settings = settings_of(parameters)
    bundle = bundle_id(parameters["bundle"])
    with _calls(settings) as calling:
        return calling(lambda client: call(client, _namespace(settings), bundle))


@contextmanager
def _calls(settings: "Settings") -> "Iterator[Call]":
    """Yield what calls the server, and tries again after transient failures."""
    from submission.connection import connected
    from submission.retrying import retried

    with connected(settings) as connection:

        def call(request: "Callable[[StagingClient], T]") -> T:
            return retried(
                lambda: request(connection.client),
                seconds=settings.retry_seconds,
                notice=lambda text: click.echo(text, err=True),
            )

        yield call


def _pages(call: "Call", *, namespace: str | None, limit: int | None) -> "Iterator[Bundle]":
    """Yield the bundles of all pages, up to `limit`."""
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


def _page(client: "StagingClient", *, namespace: str | None, cursor: str | None, limit: int) -> "BundlePage":
    return client.bundles(namespace, cursor=cursor, limit=limit)


def _namespace(settings: "Settings") -> str:
    from submission.settings import DEFAULT_NAMESPACE

    return settings.namespace or DEFAULT_NAMESPACE


def _owner(parameters: dict[str, Any]) -> Any:
    from staging_protocol.owners import OWNER_KINDS, OwnerReference, check_owner

    kind, separator, name = parameters["owner"].partition("/")
    if not separator:
        msg = f"the owner is given as KIND/NAME, for example Pod/my-driver, not {parameters['owner']!r}"
        raise click.UsageError(msg)
    versions = sorted(version for version, known in OWNER_KINDS if known.lower() == kind.lower())
    if len(versions) > 1 and parameters["api_version"] is None:
        msg = f"{kind} exists as {' and '.join(versions)}; give --api-version"
        raise click.UsageError(msg)
    known = next((known for _, known in OWNER_KINDS if known.lower() == kind.lower()), kind)
    version = parameters["api_version"] or next(iter(versions), "v1")
    return check_owner(OwnerReference(api_version=version, kind=known, name=name, uid=parameters["uid"]))
