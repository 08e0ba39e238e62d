"""`spark-staging bundles prune`."""

import json
from typing import TYPE_CHECKING, Any

import click

from submission.commands.calling import calls, namespace_of, pages
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
    from submission.labelled_secrets import LabelledSecrets
    from submission.prune import Verdict


@click.command("prune", cls=StagingCommand)
@click.option("--dry-run", is_flag=True, help="Say what would be deleted; delete nothing.")
@all_namespaces_option
@namespace_option
@connection_options
@output_option
def COMMAND(**parameters: Any) -> None:  # noqa: N802 - the name by which the group finds it
    """Delete Secrets whose bundle is gone.

    Only Secrets that spark-staging made for this server are looked at, in the cluster of the kubeconfig, and only
    those go of whose bundle the server itself says that it is gone.  This needs the rights to list and delete Secrets,
    and to list and get bundles.

    \b
    Examples:
      spark-staging bundles prune -n jobs --dry-run
      spark-staging bundles prune --all-namespaces -o json
    """  # noqa: D301 - \b is click's mark for text that keeps its lines
    from submission.labelled_secrets import labelled_secrets
    from submission.settings import kubeconfig

    settings = settings_of(parameters)
    namespace = scope_of(parameters, namespace=namespace_of(settings))
    dry_run: bool = parameters["dry_run"]
    done: list[Verdict] = []
    with (
        calls(settings) as call,
        labelled_secrets(
            kubeconfig=kubeconfig(),
            context=settings.context,
            namespace=namespace,
            retry_seconds=settings.retry_seconds,
            notice=lambda text: click.echo(text, err=True),
        ) as secrets,
    ):
        try:
            for verdict in _pruned(secrets, call, namespace=namespace, dry_run=dry_run):
                done.append(verdict)  # noqa: PERF402 - also what was done before an error is told
        finally:
            _print(done, output=parameters["output"], dry_run=dry_run)


def _pruned(secrets: "LabelledSecrets", call: "Call", *, namespace: str | None, dry_run: bool) -> "Iterator[Verdict]":
    from submission.prune import Fate, verdicts

    info = call(lambda client: client.info())
    for verdict in verdicts(
        secrets.found(),
        server=info.pods.url,
        live=lambda: {(bundle.namespace, bundle.id) for bundle in pages(call, namespace=namespace)},
        has_ended=lambda secret: call(lambda client: client.has_ended(secret.namespace, secret.bundle)),
    ):
        if verdict.fate is Fate.DELETE and not dry_run:
            secrets.delete(verdict.secret)
        yield verdict


def _print(done: "list[Verdict]", *, output: Output, dry_run: bool) -> None:
    from submission.prune import Fate

    words = {Fate.KEEP: "kept", Fate.DELETE: "would be deleted" if dry_run else "deleted"}
    rows = [
        (item.secret.namespace, item.secret.name, str(item.secret.bundle), words[item.fate], item.why) for item in done
    ]
    if output is Output.JSON:
        names = ("namespace", "secret", "bundle", "fate", "why")
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=2))
        return
    print_table(("NAMESPACE", "SECRET", "BUNDLE", "FATE", "WHY"), rows)
