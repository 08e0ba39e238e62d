"""`spark-staging run`."""

from typing import TYPE_CHECKING, Any

import click

from submission.commands.naming import checking_options, looks_of
from submission.commands.options import (
    StagingCommand,
    connection_options,
    namespace_option,
    pod_options,
    progress_option,
    settings_of,
    sources_option,
)

if TYPE_CHECKING:
    from submission.spark.command_line import SubmitCommand


@click.command("run", cls=StagingCommand, context_settings={"ignore_unknown_options": False})
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="-- spark-submit [OPTIONS] APP [ARGUMENTS]")
@click.option("--dry-run", is_flag=True, help="Print what would be done and the command; create and run nothing.")
@checking_options
@sources_option
@pod_options
@namespace_option
@connection_options
@progress_option
def COMMAND(**parameters: Any) -> None:  # noqa: N802 - the name by which the group finds it
    """Stage what a spark-submit command names, and run it.

    Dependencies are taken from --jars, --files, --py-files, --archives, from the properties spark.jars, spark.files,
    spark.submit.pyFiles, spark.archives, and from the main resource.  The exit code is that of spark-submit.

    \b
    Examples:
      spark-staging run -- spark-submit --master k8s://https://HOST:6443 --deploy-mode cluster \\
          --conf spark.kubernetes.container.image=IMAGE --jars lib.jar --class demo.Main app.jar 10
      spark-staging run --dry-run -- spark-submit --master k8s://https://HOST:6443 main.py
    """  # noqa: D301 - \b is click's mark for text that keeps its lines
    from submission.spark.command_line import parse

    click.get_current_context().exit(ran(parse(parameters["command"]), parameters))


def ran(command: "SubmitCommand", parameters: dict[str, Any]) -> int:
    """Stage what the command names and run it, or show what would be done; return the exit code."""
    from submission.job_plan import plan, settings_for
    from submission.progress.style import shown
    from submission.readiness.ready import made_ready
    from submission.running.run import dry_run, run, shell_line
    from submission.settings import Environment

    settings = settings_of(parameters)
    job = plan(
        command,
        settings=settings,
        namespace=parameters["namespace"],
        spark_version=parameters["spark_version"],
        spark_files=parameters["spark_files"],
        environment=Environment.read(),
    )
    settings = settings_for(job, settings)
    looks = looks_of(parameters, remote_is_sparks=not job.submission.is_cluster)
    if parameters["dry_run"]:
        with shown(parameters["progress"]) as progress:
            ready = made_ready(job.dependencies, looks=looks, settings=settings, progress=progress)
        rewritten = dry_run(
            job.with_dependencies(ready.dependencies), settings=settings, say=lambda text: click.echo(text, err=True)
        )
        click.echo(shell_line(rewritten))
        return 0
    from submission.access.connection import connected

    with connected(settings) as connection, shown(parameters["progress"]) as progress:
        ready = made_ready(job.dependencies, looks=looks, settings=settings, progress=progress)
        return run(
            job.with_dependencies(ready.dependencies),
            known=ready.known,
            connection=connection,
            settings=settings,
            progress=progress,
            staged_notice=lambda staged: click.echo(staged.in_words, err=True),
        )
