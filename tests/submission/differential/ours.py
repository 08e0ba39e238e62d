"""What ours makes of a case: the way of `spark-staging submit`, with a bundle that no server has."""

from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from staging_protocol.digests import Digest
from staging_protocol.tokens import BundleId
from submission.job_plan import Plan, plan
from submission.pods.patch import PodBundle
from submission.settings import Environment, Settings
from submission.spark.command_line import SubmitCommand, parse_arguments
from submission.staging.local_files import found
from submission.submit.identity import identity
from submission.submit.planned import Job, Planned, check_image
from tests.submission.differential.cases import Case
from tests.submission.differential.normalising import Objects, normalised
from tests.submission.differential.stock import arguments_for_all, environment_of, places_of

API: Final = "https://127.0.0.1:6443"
NAMESPACE: Final = "ours-of-the-differential-test"


def made_by_ours(case: Case, *, version: str) -> Objects:
    """Return what would be created for a case; no server is asked.

    Raises:
        StagingError: it is refused.
    """
    with laid_out(case) as folder:
        made = planned(job_of(case, version=version, api=API, namespace=NAMESPACE))
        return normalised(made.objects, places=places_of(namespace=NAMESPACE, api=API, folder=folder))


def job_of(case: Case, *, version: str, api: str, namespace: str) -> Job:
    """Return a case as a job; the current folder has its files.

    Raises:
        StagingError: it is refused.
    """
    command = parse_arguments([*arguments_for_all(api=api, namespace=namespace), *case.arguments])
    assert isinstance(command, SubmitCommand)
    environment = _environment(case)
    read = plan(
        command,
        settings=Settings(),
        namespace=None,
        spark_version=version,
        spark_files=True,
        environment=environment,
        runs_spark=False,
    )
    check_image(read.properties)
    return Job(
        plan=read,
        identity=identity(None, namespace=namespace),
        classified=found(list(read.dependencies))[0],
        master=f"k8s://{api}",
        pod_security=None,
    )


def planned(job: Job) -> Planned:
    """Return the objects of a job."""
    local = found(list(job.plan.dependencies))[1]
    sizes = {file.dependency: file.version.size for file in local}
    return job.planned(_bundle(job.plan) if job.needs_bundle else None, sizes=sizes)


@contextmanager
def laid_out(case: Case) -> Iterator[Path]:
    """Yield a new folder with the files of a case, as the current one."""
    with TemporaryDirectory(prefix="ours-") as name, chdir(name):
        case.lay_out(Path(name))
        yield Path(name)


def _bundle(job: Plan) -> PodBundle:
    return PodBundle(
        id=BundleId("b" * 26),
        namespace=job.namespace,
        url="https://staging:8480",
        manifest_digest=Digest.of(b"manifest"),
        image="staging/init:1",
    )


def _environment(case: Case) -> Environment:
    variables = environment_of(case, home=Path.cwd())
    conf = variables.get("SPARK_CONF_DIR")
    return Environment(
        spark_home=None,
        spark_conf=None if conf is None else Path(conf),
        master=None,
        deploy_mode=None,
        path="/nowhere",
        variables=variables,
    )
