"""`spark-staging submit`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from staging_protocol.errors import ExitCode, InvalidRequest
from submission.commands.duration import Duration
from submission.commands.naming import checking_options, looks_of
from submission.commands.options import (
    Failed,
    StagingCommand,
    ValueOf,
    connection_options,
    namespace_option,
    pod_options,
    progress_option,
    settings_of,
    sources_option,
)
from submission.submit.options import Form, PodSecurity

if TYPE_CHECKING:
    from submission.job_plan import Plan
    from submission.settings import Environment, Settings
    from submission.spark.command_line import JobCommand, SubmitCommand

_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells count
_IN_CLUSTER_ONLY: Final = ("detach", "follow", "wait_timeout", "submission_id", "pod_security")


class TwoSets(StagingCommand):
    """A command whose options stand among those of spark-submit, in any order before the main resource."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read our options; what is spark-submit's becomes the argument `command`."""
        from submission.submit.arguments import divided

        try:
            both = divided(args, ours=dict(self._own_options(ctx)))
        except InvalidRequest as error:
            if ctx.resilient_parsing:  # a shell completes what is not written to its end
                return super().parse_args(ctx, args)
            raise Failed(error, as_json=False) from error
        return super().parse_args(ctx, [*both.ours, "--", *both.sparks])

    def _own_options(self, ctx: click.Context) -> Iterator[tuple[str, bool]]:
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option):
                for name in (*parameter.opts, *parameter.secondary_opts):
                    yield name, not parameter.is_flag


@click.command("submit", cls=TwoSets)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[SPARK-SUBMIT OPTIONS] APP [ARGUMENTS]")
@click.option("--dry-run", is_flag=True, help="Print all objects as YAML (or with -o); create nothing.")
@click.option("--detach", is_flag=True, help="Leave when everything is created; do not wait for the driver.")
@click.option("--follow", is_flag=True, help="Show the driver's log while it runs, on standard output.")
@click.option(
    "--wait-timeout",
    type=Duration(),
    metavar="DURATION",
    help="Wait for the driver no longer than that (90s, 30m, 12h); then the exit code is 45, and the job goes on.",
)
@click.option(
    "--submission-id",
    metavar="ID",
    help="Submit once: the same command again finds the job of this id, another command with it is an error.",
)
@click.option(
    "--pod-security", type=ValueOf(PodSecurity), help="Let all containers pass this profile of Pod Security Standards."
)
@click.option(
    "-o",
    "--output",
    type=ValueOf(Form),
    default=Form.TEXT.value,
    help="What is printed on standard output: what came of it, or with --dry-run the objects.",
)
@checking_options
@sources_option
@pod_options
@namespace_option
@connection_options
@progress_option
def COMMAND(**parameters: Any) -> None:  # noqa: N802 - the name by which the group finds it
    """Submit a job to Kubernetes as spark-submit does, without a JVM, with its local dependencies staged.

    Takes all options of spark-submit, and the ones below among them, before the main resource.  In cluster mode the
    exit code is that of the driver; Ctrl-C ends the waiting and not the job.  Client mode, which is Spark's default,
    runs the spark-submit that is installed here.

    \b
    Examples:
      spark-staging submit --master k8s://https://HOST:6443 --deploy-mode cluster \\
          --conf spark.kubernetes.container.image=IMAGE --jars lib.jar --class demo.Main app.jar 10
      spark-staging submit --dry-run --deploy-mode cluster --conf spark.kubernetes.container.image=IMAGE main.py
      spark-staging submit --kill jobs:etl-*
    """  # noqa: D301 - \b is click's mark for text that keeps its lines
    from submission.spark.command_line import JobCommand, parse_arguments

    for option in ("follow", "wait_timeout"):
        if parameters["detach"] and parameters[option]:
            msg = f"--detach and --{option.replace('_', '-')} exclude each other"
            raise click.UsageError(msg)
    command = parse_arguments(parameters["command"])
    settings = settings_of(parameters)
    context = click.get_current_context()
    try:
        if isinstance(command, JobCommand):
            context.exit(_done_to_jobs(command, parameters, settings=settings))
        context.exit(_submitted(command, parameters, settings=settings))
    except KeyboardInterrupt:  # what that means for the job was told where it was caught
        context.exit(_INTERRUPTED)


def _submitted(command: "SubmitCommand", parameters: dict[str, Any], *, settings: "Settings") -> int:
    from submission.job_plan import is_for_cluster, plan, settings_for
    from submission.settings import Environment

    environment = Environment.read()
    if not is_for_cluster(command, environment=environment):
        return _run_beside(command, parameters, environment=environment)
    job = plan(
        command,
        settings=settings,
        namespace=parameters["namespace"],
        spark_version=parameters["spark_version"],
        spark_files=parameters["spark_files"],
        environment=environment,
        runs_spark=False,
    )
    for note in job.notes:
        _say(f"note: {note}")
    if command.has("--verbose"):
        from submission.submit.showing import properties_shown

        for line in properties_shown(job.properties):
            _say(line)
    settings = settings_for(job, settings)
    if parameters["dry_run"]:
        return _shown_only(job, parameters, settings=settings)
    return _run_in_cluster(job, parameters, settings=settings)


def _run_in_cluster(job: "Plan", parameters: dict[str, Any], *, settings: "Settings") -> int:
    from submission.submit.flow import submit
    from submission.submit.showing import result_shown
    from submission.submit.wanted import Wanted

    submitted = submit(
        job,
        wanted=Wanted(
            submission_id=parameters["submission_id"],
            pod_security=parameters["pod_security"],
            detach=parameters["detach"],
            follow=parameters["follow"],
            wait_seconds=parameters["wait_timeout"],
        ),
        settings=settings,
        looks=looks_of(parameters),
        style=parameters["progress"],
        say=_say,
    )
    shown = result_shown(submitted, parameters["output"])
    if shown is not None:
        click.echo(shown)
    return ExitCode.DEADLINE if submitted.is_given_up else submitted.exit_code or 0


def _shown_only(job: "Plan", parameters: dict[str, Any], *, settings: "Settings") -> int:
    from submission.kube.connect import access
    from submission.submit.dry_run import objects_of
    from submission.submit.showing import objects_shown

    # Without a master it is the cluster of the kubeconfig.
    master = job.submission.master or (
        f"k8s://{access(kubeconfig=job.environment.get('KUBECONFIG'), context=settings.context).endpoint.address}"
    )
    objects = objects_of(
        job,
        submission_id=parameters["submission_id"],
        pod_security=parameters["pod_security"],
        master=master,
        settings=settings,
        say=_say,
    )
    click.echo(objects_shown(objects, parameters["output"]))
    return 0


def _run_beside(command: "SubmitCommand", parameters: dict[str, Any], *, environment: "Environment") -> int:
    """Run the driver here, by the spark-submit of this machine."""
    from dataclasses import replace
    from shutil import which

    from submission.commands.run import ran

    given = [name for name in _IN_CLUSTER_ONLY if parameters[name]]
    if given or parameters["output"] is not Form.TEXT:
        option = f"--{(given or ['output'])[0].replace('_', '-')}"
        msg = f"{option} is for --deploy-mode cluster; this job is for client mode, which is Spark's default"
        raise InvalidRequest(msg)
    home = environment.spark_home
    program = which("spark-submit", path=f"{home / 'bin'}" if home else environment.path)
    if program is None:
        msg = (
            "in client mode, which is Spark's default, the driver runs on this machine, and there is no Spark here (no "
            "spark-submit in PATH or SPARK_HOME/bin); give --deploy-mode cluster, or install it: pip install pyspark"
        )
        raise InvalidRequest(msg)
    return ran(replace(command, program=program), parameters)


def _done_to_jobs(command: "JobCommand", parameters: dict[str, Any], *, settings: "Settings") -> int:
    """Kill jobs, or tell what they are doing, as spark-submit's own options say it."""
    from submission.jobs.as_spark import done_to_jobs
    from submission.kube.connect import kube_api
    from submission.settings import DEFAULT_NAMESPACE, Environment
    from submission.spark.installation import any_installation

    environment = Environment.read()
    properties = {**any_installation(environment).properties(command), **command.conf}
    with kube_api(
        kubeconfig=environment.variables.get("KUBECONFIG"),
        context=settings.context or properties.get("spark.kubernetes.context"),
        master=command.last("--master") or properties.get("spark.master") or environment.master,
        spark=properties,
        notice=_say,
    ) as api:
        done_to_jobs(
            command,
            api=api,
            properties=properties,
            namespace=parameters["namespace"] or settings.namespace or DEFAULT_NAMESPACE,
            say=_say,
            tell=click.echo,
        )
    return 0


def _say(text: str) -> None:
    click.echo(text, err=True)
