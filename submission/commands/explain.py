"""`spark-staging explain`."""

import json
from typing import TYPE_CHECKING, Any

import click

from staging_protocol.errors import InvalidRequest
from submission.commands.naming import checking_options, looks_of
from submission.commands.options import (
    Output,
    connection_options,
    namespace_option,
    output_option,
    pod_options,
    progress_option,
    settings_of,
    sources_option,
)
from submission.commands.submit import TwoSets

if TYPE_CHECKING:
    from submission.job_plan import Plan
    from submission.routes import Route
    from submission.settings import Settings


@click.command("explain", cls=TwoSets)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[SPARK-SUBMIT OPTIONS] APP [ARGUMENTS]")
@checking_options
@sources_option
@pod_options
@namespace_option
@connection_options
@progress_option
@output_option
def COMMAND(**parameters: Any) -> None:  # noqa: N802 - the name by which the group finds it
    """Say where each dependency of a job comes from, how it is moved, where it lands, and how Spark sees it.

    Takes the command line of `submit`.  Nothing is created or uploaded, and neither Kubernetes nor the staging server
    is asked; remote dependencies are, unless --no-check is given.

    \b
    Example:
      spark-staging explain --deploy-mode cluster --conf spark.kubernetes.container.image=apache/spark:4.3.0 \\
          --jars s3a://libs/etl/ --files prices.csv nightly.py
    """  # noqa: D301 - \b is click's mark for text that keeps its lines
    from submission.job_plan import plan, settings_for
    from submission.settings import Environment
    from submission.spark.command_line import JobCommand, parse_arguments

    command = parse_arguments(parameters["command"])
    if isinstance(command, JobCommand):
        msg = f"--{command.action} submits nothing, so there is nothing to explain; see spark-staging {command.action}"
        raise InvalidRequest(msg)
    settings = settings_of(parameters)
    job = plan(
        command,
        settings=settings,
        namespace=parameters["namespace"],
        spark_version=parameters["spark_version"],
        spark_files=parameters["spark_files"],
        environment=Environment.read(),
        runs_spark=False,
    )
    for note in job.notes:
        click.echo(f"note: {note}", err=True)
    found = _routes(job, parameters, settings=settings_for(job, settings))
    if parameters["output"] is Output.JSON:
        click.echo(json.dumps([route.fields() for route in found], indent=2))
        return
    _print(found)


def _routes(job: "Plan", parameters: dict[str, Any], *, settings: "Settings") -> "list[Route]":
    from submission.progress.style import shown
    from submission.readiness.ready import made_ready
    from submission.routes import client_routes, routes
    from submission.spark.conf import deliver
    from submission.staging.local_files import found

    with shown(parameters["progress"]) as progress:
        looks = looks_of(parameters, remote_is_sparks=not job.submission.is_cluster)
        ready = made_ready(job.dependencies, looks=looks, settings=settings, progress=progress)
    classified, local = found(ready.dependencies)
    sizes = {item: known.size for item, known in ready.known.items()}
    sizes |= {file.dependency: file.version.size for file in local}
    if not job.submission.is_cluster:
        return client_routes(classified, size_of=sizes.get)
    delivery = deliver(
        classified, size_of=sizes.get, properties=job.properties, spark=job.spark, spark_files=job.spark_files
    )
    return routes(
        classified,
        size_of=sizes.get,
        spark=job.spark,
        spark_files=job.spark_files,
        driver_files_in=delivery.driver_files_in,
    )


def _print(found: "list[Route]") -> None:
    from staging_protocol.printable import printable
    from submission.progress.telling import in_words

    for number, route in enumerate(found):
        if number:
            click.echo()
        size = "" if route.size is None else f", {in_words(route.size)}"
        click.echo(printable(f"{route.uri}  ({route.kind}, {route.named_by}{size})"))
        lines = {
            "moved by": route.moved_by,
            "driver": route.driver,
            "executors": "from the driver" if route.from_driver and route.executors is None else route.executors,
            "seen": route.seen_as,
            "besides": "each executor fetches it from the driver, because of spark.files"
            if route.from_driver and route.executors is not None
            else None,
        }
        for name, text in lines.items():
            if text:
                click.echo(printable(f"  {name + ':':<11}{text}"))
