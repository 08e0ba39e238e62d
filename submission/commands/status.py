"""`spark-staging status`."""

import json
from typing import TYPE_CHECKING, Any

import click

from submission.commands.calling import namespace_of
from submission.commands.options import (
    Output,
    StagingCommand,
    context_option,
    namespace_option,
    output_option,
    settings_of,
)

if TYPE_CHECKING:
    from submission.jobs.summary import Job
    from submission.kube.api import KubeApi


@click.command("status", cls=StagingCommand)
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...")
@namespace_option
@context_option
@output_option
def COMMAND(**parameters: Any) -> None:  # noqa: N802 - the name by which the group finds it
    """Say what jobs are doing, or how they ended.

    JOB is the name of a driver's pod, a submission id, an application id, or a pattern like NAMESPACE:nightly-*.

    \b
    Examples:
      spark-staging status nightly-4f0c1b7e-driver -n jobs
      spark-staging status 'jobs:nightly-*' -o json
    """  # noqa: D301 - \b is click's mark for text that keeps its lines
    from submission.jobs.cluster import jobs_cluster

    settings = settings_of(parameters)
    with jobs_cluster(settings) as api:
        jobs = [job for text in parameters["jobs"] for job in jobs_of(api, text, namespace=namespace_of(settings))]
    print_jobs(jobs, output=parameters["output"])


def jobs_of(api: "KubeApi", text: str, *, namespace: str) -> "list[Job]":
    """Return the jobs that `text` means, with their executors counted."""
    from submission.jobs.finding import APPLICATION, found
    from submission.jobs.summary import job_of
    from submission.kube.resources import PODS

    jobs = []
    for driver in found(api, text, namespace=namespace):
        application = (driver["metadata"].get("labels") or {}).get(APPLICATION)
        labels = f"{APPLICATION}={application},spark-role=executor"
        where = driver["metadata"]["namespace"]
        executors = api.list(PODS, namespace=where, labels=labels)["items"] if application else []
        jobs.append(job_of(driver, executors))
    return jobs


def print_jobs(jobs: "list[Job]", *, output: Output) -> None:
    """Print what is known of each."""
    if output is Output.JSON:
        click.echo(json.dumps([job.fields() for job in jobs], indent=2))
        return
    from staging_protocol.printable import printable

    for number, job in enumerate(jobs):
        if number:
            click.echo()
        counts = ", ".join(f"{count} {phase.lower()}" for phase, count in sorted((job.executors or {}).items()))
        lines = {
            "driver": f"{job.pod} in namespace {job.namespace} {job.state}",
            "exit code": None if job.exit_code is None else str(job.exit_code),
            "executors": counts or "none",
            "application": f"{job.name or '?'} ({job.application})",
            "submission": job.submission,
            "bundle": job.bundle,
            "image": job.image,
            "node": job.node,
            "created": job.created.isoformat().replace("+00:00", "Z"),
        }
        for name, text in lines.items():
            if text:
                click.echo(f"{name + ':':<13}{printable(text)}")
