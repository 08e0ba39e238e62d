"""`spark-staging run`: stage what a spark-submit command names, change the command, run it, mind what keeps the bundle.

    plan → stage → templates and properties → Secret → spark-submit
                                                 └→ the driver's pod appears: it owns Secret and bundle

There is no Secret where the server knows pods by Kubernetes.  When spark-submit ends without a driver's pod, Secret and
bundle are deleted; when that cannot be known, they stay, and the server's time to live decides.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from staging_io.staging import StagingClient
from staging_protocol.api.info import PodEndpoint
from staging_protocol.digests import Digest
from staging_protocol.errors import StagingError
from staging_protocol.pod_contract import secret_name
from submission.access.connection import Connection
from submission.bundle_secret import bundle_secret
from submission.classify import Dependency, Known
from submission.job_plan import Plan
from submission.pods.templates import DRY_BUNDLE, pod_bundle, pods_of
from submission.progress.telling import Progress, in_words
from submission.running.child import run_child
from submission.running.cluster import Cluster, cluster
from submission.running.driver_watch import DriverWatch, leased
from submission.running.prepare import Prepared, prepare
from submission.settings import Settings
from submission.spark.command_line import SubmitCommand
from submission.staging.local_files import found
from submission.staging.stage import Staged, Stager


def dry_run(job: Plan, *, settings: Settings, say: Callable[[str], None]) -> SubmitCommand:
    """Return the command that would be run, and `say` what would be done; no server is asked."""
    classified, local = found(job.staged_dependencies)
    for file in local:
        say(f"would stage {file.dependency} as {file.dependency.target} ({in_words(file.version.size)})")
    for item in classified.remote:
        say(f"pods would fetch {item}")
    url = settings.pod_url or settings.url or "https://unknown.invalid"
    pods = pod_bundle(
        DRY_BUNDLE,
        namespace=job.namespace,
        pods=PodEndpoint(url=url),
        manifest_digest=Digest.of(b""),
        remote=bool(classified.remote),
        settings=settings,
    )
    whole = found(list(job.dependencies))[0]
    with TemporaryDirectory(prefix="spark-staging-") as folder:
        sizes = {file.dependency: file.version.size for file in local}
        prepared = prepare(job, classified=whole, sizes=sizes, pods=pods, folder=Path(folder))
        say(
            f"would create the Secret {secret_name(DRY_BUNDLE)} in namespace {job.namespace}, "
            "unless the server knows pods by Kubernetes"
        )
        for note in prepared.delivery.notes:
            say(note)
        return prepared.command


def run(
    job: Plan,
    *,
    known: Mapping[Dependency, Known],
    connection: Connection,
    settings: Settings,
    progress: Progress,
    staged_notice: Callable[[Staged], None],
) -> int:
    """Stage, run spark-submit, and return its exit code.

    Args:
        job: what is to be done.
        known: what is known of the bytes of its dependencies.
        connection: to the server.
        settings: of the client, for this job.
        progress: is told about staging, and notices later.
        staged_notice: is told when everything is staged, before Spark starts.
    """
    stager = Stager(connection, settings=settings, namespace=job.namespace, progress=progress)
    staged = stager.stage(job.staged_dependencies, application=job.application, known=known)
    client = connection.client
    with _deleted_on_failure(client, staged), TemporaryDirectory(prefix="spark-staging-") as folder:
        pods = pods_of(staged, settings=settings)
        whole = staged.classified if job.submission.is_cluster else found(list(job.dependencies))[0]
        prepared = prepare(job, classified=whole, sizes=staged.sizes, pods=pods, folder=Path(folder))
        staged_notice(staged)
        for note in prepared.delivery.notes:
            progress.notice(f"note: {note}")
        with cluster(
            kubeconfig=job.environment.get("KUBECONFIG"),
            context=settings.context,
            master=job.submission.master,
            namespace=job.namespace,
            spark=job.properties,
            retry_seconds=settings.retry_seconds,
            notice=progress.notice,
        ) as kubernetes:
            return _Runner(
                job,
                prepared,
                staged=staged,
                has_secret=pods.token_audience is None,
                client=client,
                kubernetes=kubernetes,
                progress=progress,
            ).run()


@contextmanager
def _deleted_on_failure(client: StagingClient, staged: Staged) -> Iterator[None]:
    try:
        yield
    except BaseException:  # an interruption too
        with suppress(StagingError):
            client.delete(staged.namespace, staged.id)
        raise


class _Runner:
    """Spark-submit and what stands around it."""

    def __init__(
        self,
        job: Plan,
        prepared: Prepared,
        *,
        staged: Staged,
        has_secret: bool,
        client: StagingClient,
        kubernetes: Cluster,
        progress: Progress,
    ) -> None:
        self._job = job
        self._prepared = prepared
        self._staged = staged
        self._has_secret = has_secret
        self._client = client
        self._kubernetes = kubernetes
        self._progress = progress

    def run(self) -> int:
        staged = self._staged
        if self._has_secret:
            self._kubernetes.create_secret(
                bundle_secret(staged.id, namespace=staged.namespace, token=staged.token, pods=staged.pods)
            )
        if self._job.submission.is_cluster:
            return self._run_in_cluster()
        try:
            with leased(self._client, namespace=staged.namespace, bundle=staged.id, notice=self._progress.notice):
                return self._run_child()
        finally:
            self._clear()

    def _run_in_cluster(self) -> int:
        watch = DriverWatch(
            cluster=self._kubernetes,
            client=self._client,
            namespace=self._staged.namespace,
            bundle=self._staged.id,
            has_secret=self._has_secret,
            notice=self._progress.notice,
        )
        try:
            with watch.looking():
                return self._run_child()
        finally:
            self._settle(watch)

    def _run_child(self) -> int:
        program, *arguments = self._prepared.command.written()
        return run_child([self._job.program or program, *arguments], environment=self._prepared.environment)

    def _settle(self, watch: DriverWatch) -> None:
        """Leave everything to the driver's pod, or clear up when there is none."""
        try:
            if not watch.look():
                self._progress.notice(f"spark-submit ended without a driver pod; deleting {self._what()}")
                self._clear()
        except StagingError as error:
            self._progress.notice(f"{error.detail}; {self._what()} may be left")

    def _what(self) -> str:
        return f"the bundle {self._staged.id}{' and its Secret' if self._has_secret else ''}"

    def _clear(self) -> None:
        if self._has_secret:
            self._tried(lambda: self._kubernetes.delete_secret(self._staged.id))
        self._tried(lambda: self._client.delete(self._staged.namespace, self._staged.id))

    def _tried(self, delete: Callable[[], None]) -> None:
        try:
            delete()
        except StagingError as error:
            self._progress.notice(f"could not clear up: {error.detail}")


def shell_line(command: SubmitCommand) -> str:
    """Return the command as a shell reads it."""
    return shlex.join(command.written())
