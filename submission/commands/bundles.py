"""`spark-staging bundles list|show|delete|explain|bind|pin|unpin|prune`."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from submission.commands import prune
from submission.commands.bundle_views import plain, print_bundle, print_bundles, print_explanation
from submission.commands.calling import calls, namespace_of, pages
from submission.commands.options import (
    Output,
    StagingCommand,
    all_namespaces_option,
    bundle_id,
    connection_options,
    namespace_option,
    output_option,
    scope_of,
    settings_of,
)

if TYPE_CHECKING:
    from staging_io.staging import StagingClient
    from staging_protocol.api.claims import Explanation

T = TypeVar("T")


@click.group("bundles")
def COMMAND() -> None:  # noqa: N802 - the name by which the group finds it
    """List, show, delete, explain, bind, pin and prune bundles.

    \b
    Examples:
      spark-staging bundles list -n jobs
      spark-staging bundles explain abcdefghijklmnopqrstuvwxyz
      spark-staging bundles pin abcdefghijklmnopqrstuvwxyz --reason "audit until March" --until 2027-03-01
    """  # noqa: D301 - \b is click's mark for text that keeps its lines


@COMMAND.command("list", cls=StagingCommand)
@all_namespaces_option
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
    namespace = scope_of(parameters, namespace=namespace_of(settings))
    with calls(settings) as call:
        bundles = list(pages(call, namespace=namespace, limit=parameters["limit"]))
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
@click.argument("owner", metavar="[API_VERSION/]KIND/NAME")
@click.option("--uid", help="Uid of the object. Default: that of the object when it is first seen.")
@namespace_option
@connection_options
@output_option
def bind(**parameters: Any) -> None:
    """Name the Kubernetes object whose life keeps the bundle.

    \b
    Examples:
      spark-staging bundles bind abcdefghijklmnopqrstuvwxyz Pod/my-driver -n jobs
      spark-staging bundles bind abcdefghijklmnopqrstuvwxyz spark.apache.org/v1/SparkApplication/nightly
    """  # noqa: D301 - as above
    from submission.owner import parse_owner

    owner = parse_owner(parameters["owner"], uid=parameters["uid"])
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

    from staging_protocol.api.bundles import Pin

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
    with calls(settings) as calling:
        return calling(lambda client: call(client, namespace_of(settings), bundle))


COMMAND.add_command(prune.COMMAND)
