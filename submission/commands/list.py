"""`spark-staging list`."""

import json
from datetime import UTC, datetime
from typing import Any

import click

from submission.commands.calling import namespace_of
from submission.commands.options import (
    Output,
    StagingCommand,
    all_namespaces_option,
    context_option,
    namespace_option,
    output_option,
    scope_of,
    settings_of,
)
from submission.commands.tables import print_table


@click.command("list", cls=StagingCommand)
@click.option("--running", is_flag=True, help="Only jobs that have not ended.")
@all_namespaces_option
@namespace_option
@context_option
@output_option
def COMMAND(**parameters: Any) -> None:  # noqa: N802 - the name by which the group finds it
    """List the jobs whose drivers are there, the youngest first; whoever submitted them.

    \b
    Examples:
      spark-staging list -n jobs
      spark-staging list --all-namespaces --running -o json
    """  # noqa: D301 - \b is click's mark for text that keeps its lines
    from submission.jobs.cluster import jobs_cluster
    from submission.jobs.finding import drivers
    from submission.jobs.summary import age_in_words, job_of

    settings = settings_of(parameters)
    namespace = scope_of(parameters, namespace=namespace_of(settings))
    with jobs_cluster(settings) as api:
        jobs = [job_of(pod) for pod in drivers(api, namespace=namespace)]
    if parameters["running"]:
        jobs = [job for job in jobs if job.exit_code is None]
    if parameters["output"] is Output.JSON:
        click.echo(json.dumps([job.fields() for job in jobs], indent=2))
        return
    now = datetime.now(tz=UTC)
    rows = [
        [*([job.namespace] if namespace is None else []), job.pod, age_in_words(job.created, now=now), job.state]
        for job in jobs
    ]
    print_table([*(["NAMESPACE"] if namespace is None else []), "DRIVER", "AGE", "STATE"], rows)
