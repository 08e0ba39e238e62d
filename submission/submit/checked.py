"""All that can be known before anything is made: what is wrong is collected, and told together."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from staging_protocol.digests import Digest
from staging_protocol.errors import Denied, NotFound, StagingError, Terminated
from submission.access.connection import Connection
from submission.access.retrying import retried
from submission.classify import NOTHING_KNOWN, Classified, classify
from submission.job_plan import Plan
from submission.kube.api import KubeApi
from submission.kube.resources import NAMESPACES, SECRETS
from submission.pods.patch import PodBundle
from submission.pods.templates import DRY_BUNDLE, is_loopback, pod_bundle
from submission.problems import together
from submission.progress.telling import Progress
from submission.readiness.looks import Looks, Ready
from submission.readiness.ready import made_ready
from submission.settings import Settings
from submission.staging.local_files import found
from submission.submit.options import PodSecurity
from submission.submit.planned import Job, Planned, check_image
from submission.submit.pod_security import SPARK_USER, user_for
from submission.submit.preflight import problems as problems_of_cluster


@dataclass(slots=True)
class Problems:
    """What is wrong, so far."""

    found: list[StagingError] = field(default_factory=list)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note the failure of the body, and go on."""
        try:
            yield
        except Terminated:
            raise
        except StagingError as error:
            self.found.append(error)

    def told(self) -> None:
        """End here, if anything is wrong.

        Raises:
            StagingError: all that was noted.
        """
        if self.found:
            raise together(self.found, what="nothing was created")


def look(
    plan: Plan, *, looks: Looks, settings: Settings, progress: Progress, problems: Problems
) -> tuple[Ready, Classified]:
    """Return what the job names, file by file; where something is not there, as it was written.

    Raises:
        StagingError: even the names do not fit together.
    """
    with problems.noted():
        check_image(plan.properties)
    ready = Ready(dependencies=plan.dependencies, known=NOTHING_KNOWN)
    with problems.noted():
        ready = made_ready(plan.dependencies, looks=looks, settings=settings, progress=progress)
    try:
        return ready, found(ready.dependencies)[0]
    except StagingError as error:
        problems.found.append(error)
    try:
        return ready, classify(ready.dependencies)
    except StagingError:  # which was noted already
        problems.told()
        raise


def check_cluster(
    job: Job,
    *,
    api: KubeApi,
    connection: Connection | None,
    settings: Settings,
    waits: bool,
    problems: Problems,
    say: Callable[[str], None],
) -> None:
    """Note what staging server and cluster have against the job; `connection` is None where it needs no bundle."""
    pods: PodBundle | None = None
    if connection is not None:
        with problems.noted():
            pods = expected_pods(job, connection=connection, settings=settings)
            if is_loopback(pods.url):
                say(f"note: pods cannot reach {pods.url}, which is this machine; set SPARK_STAGING_POD_URL")
    planned: Planned | None = None
    with problems.noted():
        planned = job.planned(pods, sizes={})
    if planned is not None:
        also = [SECRETS] if pods is not None and pods.token_audience is None else []
        with problems.noted():
            problems.found += problems_of_cluster(
                planned, also=also, api=api, namespace=job.plan.namespace, waits=waits, say=say
            )


def expected_pods(job: Job, *, connection: Connection, settings: Settings) -> PodBundle:
    """Return what pods will have to know, with a bundle that stands for the one to come.

    Raises:
        StagingError: the staging server does not answer, or pods would refuse to speak to it.
    """
    info = retried(connection.client.info, seconds=settings.retry_seconds)
    return pod_bundle(
        DRY_BUNDLE,
        namespace=job.plan.namespace,
        pods=info.pods,
        manifest_digest=Digest.of(b""),
        remote=bool(job.classified.remote),
        settings=settings,
    )


def spark_user(profile: PodSecurity | None, *, namespace: str, api: KubeApi, say: Callable[[str], None]) -> int | None:
    """Return the user of Spark's container under a profile, where nobody names one; None: the cluster gives it one.

    `say` is told when that is a guess.

    Raises:
        StagingError: the API server does not answer.
    """
    if profile is None:
        return SPARK_USER
    try:
        return user_for(api.get(NAMESPACES, namespace, namespace=None))
    except NotFound:  # told with all else
        return SPARK_USER
    except Denied as error:
        unless = "on OpenShift give runAsUser in the pod templates, or ask for the right to get namespaces"
        say(f"note: {error.detail}; so Spark's containers run as user {SPARK_USER}: {unless}")
        return SPARK_USER
