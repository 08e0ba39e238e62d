"""`spark-staging bundles prune`."""

import json
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from submission.commands.calling import calls, namespace_of, pages
from submission.commands.duration import Duration
from submission.commands.options import (
    Output,
    StagingCommand,
    all_namespaces_option,
    connection_options,
    namespace_option,
    output_option,
    scope_of,
    settings_of,
)
from submission.commands.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from submission.commands.calling import Call
    from submission.pruning.labelled import Labelled, LabelledObjects
    from submission.pruning.verdict import Verdict


@click.command("prune", cls=StagingCommand)
@click.option("--dry-run", is_flag=True, help="Say what would be deleted; delete nothing.")
@click.option(
    "--older-than",
    type=Duration(),
    default="1h",
    show_default=True,
    metavar="DURATION",
    help="A submission that has made something since may still go on: its objects stay.",
)
@all_namespaces_option
@namespace_option
@connection_options
@output_option
def COMMAND(**parameters: Any) -> None:  # noqa: N802 - the name by which the group finds it
    """Delete what submissions that were cut off have left, and Secrets whose bundle is gone.

    Only objects that spark-staging made are looked at, in the cluster of the kubeconfig.  Of a submission that was
    killed (kill -9) all goes that has no owner; a driver, too, that was never on a node.  Nothing goes whose driver
    lives.  Secrets of other jobs go when the staging server itself says that their bundle is gone.

    This needs the rights to list and delete what a submission makes, and to list and get bundles.

    \b
    Examples:
      spark-staging bundles prune -n jobs --dry-run
      spark-staging bundles prune --all-namespaces --older-than 1d -o json
    """  # noqa: D301 - \b is click's mark for text that keeps its lines
    from submission.jobs.cluster import jobs_cluster
    from submission.pruning.labelled import LabelledObjects

    settings = settings_of(parameters)
    namespace = scope_of(parameters, namespace=namespace_of(settings))
    before = datetime.now(tz=UTC) - timedelta(seconds=parameters["older_than"])
    done: list[Verdict] = []
    with ExitStack() as stack:
        api = stack.enter_context(jobs_cluster(settings, notice=lambda text: click.echo(text, err=True)))
        stack.callback(lambda: _print(done, output=parameters["output"], dry_run=parameters["dry_run"]))
        objects = LabelledObjects(api, namespace=namespace)
        for verdict in _unfinished(objects, before=before):
            _carry_out(verdict, objects, done=done, dry_run=parameters["dry_run"])
        judged = {verdict.object.uid for verdict in done}
        secrets = [secret for secret in objects.bundle_secrets() if secret.uid not in judged]
        call = stack.enter_context(calls(settings)) if secrets else None
        for verdict in () if call is None else _ended(secrets, call, namespace=namespace):
            _carry_out(verdict, objects, done=done, dry_run=parameters["dry_run"])


def _unfinished(objects: "LabelledObjects", *, before: datetime) -> "list[Verdict]":
    from staging_protocol.errors import Denied
    from submission.pruning import unfinished

    try:
        return list(unfinished.verdicts(objects.of_submissions(), drivers=objects.drivers, before=before))
    except Denied as error:
        # Half of what a submission has made says nothing about it.  Secrets whose bundle is gone are another matter.
        role = "the Role spark-pruner of deploy/examples/submit-rights.yaml gives the rights"
        click.echo(f"note: {error.detail}; what killed submissions have left is not looked at: {role}", err=True)
        return []


def _ended(secrets: "list[Labelled]", call: "Call", *, namespace: str | None) -> "Iterator[Verdict]":
    from submission.pruning.ended_bundles import verdicts

    return verdicts(
        secrets,
        server=call(lambda client: client.info()).pods.url,
        live=lambda: {(bundle.namespace, bundle.id) for bundle in pages(call, namespace=namespace)},
        has_ended=lambda home, bundle: call(lambda client: client.has_ended(home, bundle)),
    )


def _carry_out(verdict: "Verdict", objects: "LabelledObjects", *, done: "list[Verdict]", dry_run: bool) -> None:
    from submission.pruning.verdict import Fate

    if verdict.fate is Fate.DELETE and not dry_run:
        objects.delete(verdict.object)
    done.append(verdict)


def _print(done: "list[Verdict]", *, output: Output, dry_run: bool) -> None:
    from submission.pruning.verdict import Fate

    words = {Fate.KEEP: "kept", Fate.DELETE: "would be deleted" if dry_run else "deleted"}
    if output is Output.JSON:
        click.echo(json.dumps([_fields(verdict, fate=words[verdict.fate]) for verdict in done], indent=2))
        return
    rows = [(item.object.namespace, str(item.object), words[item.fate], item.why) for item in done]
    print_table(("NAMESPACE", "OBJECT", "FATE", "WHY"), rows)


def _fields(verdict: "Verdict", *, fate: str) -> dict[str, str | None]:
    found = verdict.object
    return {
        "namespace": found.namespace,
        "kind": found.resource.kind,
        "name": found.name,
        "bundle": found.bundle,
        "fate": fate,
        "why": verdict.why,
    }
