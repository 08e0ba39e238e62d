"""`--kill` and `--status` of a spark-submit command line: the same as our own commands, by Spark's words."""

from collections.abc import Callable, Mapping
from typing import Final

from submission.jobs.ending import GRACE_PERIOD, kill
from submission.jobs.finding import found
from submission.jobs.pods import name_of
from submission.jobs.states import state_of
from submission.kube.api import KubeApi
from submission.spark.command_line import Action, JobCommand
from submission.spark.values import seconds

NAMESPACE: Final = "spark.kubernetes.namespace"


def done_to_jobs(
    command: JobCommand,
    *,
    api: KubeApi,
    properties: Mapping[str, str],
    namespace: str,
    say: Callable[[str], None],
    tell: Callable[[str], None],
) -> None:
    """Kill the jobs that are meant, or tell what they are doing.

    Args:
        command: what the person wrote.
        api: of the cluster.
        properties: in force.
        namespace: where neither selector nor properties name one.
        say: tells what was done.
        tell: tells what was asked for, to standard output.

    Raises:
        NotFound: there is no such job.
    """
    where = properties.get(NAMESPACE) or namespace
    match command.action:
        case Action.KILL:
            grace = properties.get(GRACE_PERIOD)
            kill(
                api,
                selector=command.selector,
                namespace=where,
                grace_seconds=None if grace is None else int(seconds(grace, key=GRACE_PERIOD)),
                say=say,
            )
        case Action.STATUS:
            for driver in found(api, command.selector, namespace=where):
                tell(f"driver {name_of(driver)} in namespace {driver['metadata']['namespace']} {state_of(driver)}")
