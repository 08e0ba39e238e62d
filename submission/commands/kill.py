"""`spark-staging kill`."""

from typing import Any

import click

from submission.commands.calling import namespace_of
from submission.commands.options import StagingCommand, context_option, namespace_option, settings_of


@click.command("kill", cls=StagingCommand)
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...")
@click.option("--grace", type=click.IntRange(min=0), metavar="SECONDS", help="Time that drivers have to end.")
@namespace_option
@context_option
def COMMAND(**parameters: Any) -> None:  # noqa: N802 - the name by which the group finds it
    """End jobs: delete their drivers, and with them executors, Services, ConfigMaps and Secrets.

    JOB is the name of a driver's pod, a submission id, an application id, or a pattern like NAMESPACE:nightly-*.  What
    was staged for a job stays for the grace of the staging server's retention, and then goes.

    \b
    Examples:
      spark-staging kill nightly-4f0c1b7e-driver -n jobs
      spark-staging kill 'jobs:nightly-*' --grace 30
    """  # noqa: D301 - \b is click's mark for text that keeps its lines
    from submission.jobs.cluster import jobs_cluster
    from submission.jobs.ending import kill

    settings = settings_of(parameters)
    with jobs_cluster(settings, notice=_say) as api:
        for selector in parameters["jobs"]:
            kill(
                api,
                selector=selector,
                namespace=namespace_of(settings),
                grace_seconds=parameters["grace"],
                say=_say,
            )


def _say(text: str) -> None:
    click.echo(text, err=True)
