"""`spark-staging logs`."""

import sys
from typing import TYPE_CHECKING, Any

import click

from staging_protocol.errors import InvalidRequest, NotFound
from submission.commands.calling import namespace_of
from submission.commands.options import StagingCommand, context_option, namespace_option, settings_of

if TYPE_CHECKING:
    from submission.kube.api import KubeApi, KubeObject


@click.command("logs", cls=StagingCommand)
@click.argument("job")
@click.option("-f", "--follow", is_flag=True, help="Go on until the container ends.")
@click.option("--tail", type=click.IntRange(min=0), metavar="LINES", help="Only the last lines.")
@click.option("--executor", metavar="ID", help="The log of an executor, by the number that Spark gave it.")
@click.option("--init", is_flag=True, help="The log of the init container that fetches dependencies.")
@namespace_option
@context_option
def COMMAND(**parameters: Any) -> None:  # noqa: N802 - the name by which the group finds it
    """Print the log of a job's driver, or of one of its executors, to standard output.

    JOB is the name of a driver's pod, a submission id, an application id, or NAMESPACE:NAME.

    \b
    Examples:
      spark-staging logs -f nightly-4f0c1b7e-driver -n jobs
      spark-staging logs nightly-4f0c1b7e-driver --executor 2 --tail 100
    """  # noqa: D301 - \b is click's mark for text that keeps its lines
    from staging_protocol.pod_contract import INIT_CONTAINER
    from submission.jobs.cluster import jobs_cluster
    from submission.jobs.finding import the_one
    from submission.jobs.following import lines_of
    from submission.jobs.pods import name_of

    settings = settings_of(parameters)
    with jobs_cluster(settings, notice=lambda text: click.echo(text, err=True)) as api:
        pod = the_one(api, parameters["job"], namespace=namespace_of(settings))
        if parameters["executor"] is not None:
            pod = _executor(api, pod, parameters["executor"])
        container = INIT_CONTAINER if parameters["init"] else _main_container(pod)
        name, where = name_of(pod), str(pod["metadata"]["namespace"])
        if parameters["follow"]:
            lines = lines_of(
                api,
                namespace=where,
                pod=name,
                container=container,
                is_over=lambda: _has_ended(api, name, namespace=where, container=container),
                tail=parameters["tail"],
            )
        else:
            lines = api.log(name, namespace=where, container=container, tail=parameters["tail"])
        out = sys.stdout.buffer
        for line in lines:
            out.write(line + b"\n")
            out.flush()


def _executor(api: "KubeApi", driver: "KubeObject", number: str) -> "KubeObject":
    from submission.jobs.finding import APPLICATION
    from submission.kube.resources import PODS

    application = (driver["metadata"].get("labels") or {}).get(APPLICATION, "")
    if not number.isdecimal():
        msg = f"executors have numbers, not {number!r}"
        raise InvalidRequest(msg)
    labels = f"{APPLICATION}={application},spark-exec-id={number}"
    pods: list[KubeObject] = api.list(PODS, namespace=driver["metadata"]["namespace"], labels=labels)["items"]
    if not pods:
        msg = f"there is no executor {number}; Spark deletes them when they end, unless told otherwise"
        raise NotFound(msg)
    return pods[0]


def _has_ended(api: "KubeApi", name: str, *, namespace: str, container: str) -> bool:
    from submission.jobs.pods import has_ended
    from submission.kube.resources import PODS

    try:
        return has_ended(api.get(PODS, name, namespace=namespace), container)
    except NotFound:
        return True


def _main_container(pod: "KubeObject") -> str:
    from submission.jobs.pods import spark_container

    return spark_container(pod)
