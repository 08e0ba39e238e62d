"""`spark-staging doctor`."""

from typing import TYPE_CHECKING, Any

import click

from submission.commands.options import StagingCommand, connection_options, namespace_option, output_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from submission.doctor.given import Wanted


@click.command("doctor", cls=StagingCommand)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGUMENTS OF SUBMIT]")
@click.option("--image", metavar="IMAGE", help="Image with Spark in it, where no command names one.")
@click.option("--spark-version", metavar="X.Y", help="Version of Spark in the image.")
@click.option("--init-image", metavar="IMAGE", help="Image of the init container.")
@click.option("--pod-url", metavar="URL", help="URL at which pods reach the server.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long each check may take; those that do not need one another run side by side.",
)
@namespace_option
@connection_options
@output_option
def COMMAND(**parameters: Any) -> None:  # noqa: N802 - the name by which the group finds it
    """Look whether everything is there that a job needs, and say what to do where it is not.

    Nothing is created or changed.  With the arguments of a submission behind --, that one is looked at: its cluster,
    namespace, image and service account.  Exit code 0 when jobs will run, as far as can be told; 1 when a check fails.

    \b
    Examples:
      spark-staging doctor -n jobs --image apache/spark:4.3.0
      spark-staging doctor -- --master k8s://https://HOST:6443 --deploy-mode cluster \\
          --conf spark.kubernetes.container.image=IMAGE app.jar
      spark-staging doctor -o json
    """  # noqa: D301 - \b is click's mark for text that keeps its lines
    from submission.commands.doctor_views import print_results
    from submission.doctor.check_table import CHECKS
    from submission.doctor.findings import Status
    from submission.doctor.running import examine
    from submission.doctor.setup import opened

    wanted = _wanted(parameters)
    with opened(wanted) as setup:
        results = examine(CHECKS, setup, seconds=wanted.seconds)
    print_results(results, output=parameters["output"])
    click.get_current_context().exit(int(any(one.finding.status is Status.FAIL for one in results)))


def _wanted(parameters: dict[str, Any]) -> "Wanted":
    from submission.doctor.given import Wanted
    from submission.settings import Settings

    command: Sequence[str] = parameters["command"]
    return Wanted(
        flags={name: parameters.get(name) for name in Settings.model_fields},
        command=tuple(command),
        image=parameters["image"],
        spark_version=parameters["spark_version"],
        seconds=parameters["timeout"],
    )
