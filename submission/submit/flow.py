"""A submission in cluster mode, from the command that was read to the driver's exit code."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from typing import Final

from staging_protocol.errors import DeadlineExceeded, InvalidRequest, StagingError, Terminated
from staging_protocol.owners import OwnerReference
from submission.access.connection import Connection, connected
from submission.access.retrying import retried
from submission.bundle_secret import bundle_secret
from submission.driver.basic import POD_NAME
from submission.driver.job import KubeObject
from submission.driver.names import names_of
from submission.job_plan import Plan
from submission.kube.api import KubeApi
from submission.kube.connect import kube_api
from submission.pods.templates import pods_of
from submission.progress.style import ProgressStyle, shown
from submission.readiness.looks import Looks, Ready
from submission.settings import Settings
from submission.spark.effective import resolved_master
from submission.spark.values import boolean
from submission.staging.stage import Staged, Stager
from submission.submit.checked import Problems, check_cluster, look, spark_user
from submission.submit.creating import Taken, create
from submission.submit.existing import Driver, check_whole, existing
from submission.submit.identity import Identity, identity
from submission.submit.inputs import inputs_digest
from submission.submit.interrupts import hangup_ends
from submission.submit.planned import Job
from submission.submit.undoing import SECONDS as UNDO_SECONDS
from submission.submit.undoing import Made
from submission.submit.wanted import Submitted, Wanted

WAITS: Final = "spark.kubernetes.submission.waitAppCompletion"
_LOOKS: Final = 10
_PAUSE: Final = 0.3
"""Seconds; between the first object of a job and its driver lie some requests."""

Say = Callable[[str], None]


def submit(
    plan: Plan, *, wanted: Wanted, settings: Settings, looks: Looks, style: ProgressStyle, say: Say
) -> Submitted:
    """Submit a job, and wait for it unless that is not wanted.

    Args:
        plan: what the person wrote, understood.
        wanted: what is asked besides.
        settings: of the client, for this job.
        looks: how dependencies are looked at.
        style: how progress is told.
        say: tells a line.

    Raises:
        StagingError: nothing is left behind, but for what was told.
    """
    with hangup_ends(), ExitStack() as stack:
        submission = _Submission(plan, wanted=wanted, settings=settings, style=style, say=say, stack=stack)
        try:
            driver = submission.driver(looks)
        except (KeyboardInterrupt, Terminated):
            say("interrupted before the job was there")
            raise
        try:
            submission.bind(driver)
            return submission.awaited(driver)
        except (KeyboardInterrupt, Terminated):
            where = f"{driver.name} -n {driver.namespace}"
            say(f"no longer waiting; the job goes on: spark-staging logs -f {where}, spark-staging kill {where}")
            raise


class _Submission:
    def __init__(
        self, plan: Plan, *, wanted: Wanted, settings: Settings, style: ProgressStyle, say: Say, stack: ExitStack
    ) -> None:
        self._plan = plan
        self._wanted = wanted
        self._settings = settings
        self._style = style
        self._say = say
        self._stack = stack
        self._last_notice = ""
        self._to_bind: tuple[Staged, Connection] | None = None
        self._api = stack.enter_context(self._open_api(retry_seconds=settings.retry_seconds))

    def driver(self, looks: Looks) -> Driver:
        """Return the driver of the job, created unless it is there already."""
        plan, problems = self._plan, Problems()
        who = identity(self._wanted.submission_id, namespace=plan.namespace)
        with shown(self._style) as progress:
            ready, classified = look(plan, looks=looks, settings=self._settings, progress=progress, problems=problems)
            if who.is_given and not problems.found:
                named = plan.with_dependencies(ready.dependencies)
                digest = inputs_digest(named, known=ready.known, settings=self._settings, progress=progress)
                who = replace(who, inputs=digest)
        there = self._existing(who) if who.inputs is not None else None
        if there is not None:
            return there
        job = Job(
            plan=plan,
            identity=who,
            classified=classified,
            master=self._master,
            pod_security=self._wanted.pod_security,
            user=spark_user(self._wanted.pod_security, namespace=plan.namespace, api=self._api, say=self._say),
        )
        connection: Connection | None = None
        if job.needs_bundle:
            with problems.noted():
                connection = self._stack.enter_context(connected(self._settings))
        check_cluster(
            job,
            api=self._api,
            connection=connection,
            settings=self._settings,
            waits=self._waits,
            problems=problems,
            say=self._say,
        )
        other = self._of_another_run(who) if any(isinstance(one, Taken) for one in problems.found) else None
        if other is not None:
            return other
        problems.told()
        return self._created(job, ready=ready, connection=connection)

    def bind(self, driver: Driver) -> None:
        """Make the driver's pod the owner of the bundle."""
        if self._to_bind is None:
            return
        staged, connection = self._to_bind
        owner = OwnerReference(api_version="v1", kind="Pod", name=driver.name, uid=driver.uid)
        try:
            retried(
                lambda: connection.client.bind(staged.namespace, staged.id, owner), seconds=self._settings.retry_seconds
            )
        except Terminated:
            raise
        except StagingError as error:
            self._say(f"{error.detail}; the bundle {staged.id} stays until its time to live is over")

    def awaited(self, driver: Driver) -> Submitted:
        """Wait for the driver, if that is wanted."""
        if not self._waits:
            self._say(f"it runs by itself; see: spark-staging status {driver.name} -n {driver.namespace}")
            return Submitted(driver=driver)
        from submission.jobs.watching import wait_for_driver

        try:
            outcome = wait_for_driver(
                self._api,
                namespace=driver.namespace,
                pod=driver.name,
                say=self._say,
                follow=self._wanted.follow,
                seconds=self._wanted.wait_seconds,
            )
        except DeadlineExceeded as error:
            where = f"{driver.name} -n {driver.namespace}"
            self._say(f"{error.detail}; the job goes on: spark-staging status {where}, spark-staging logs -f {where}")
            return Submitted(driver=driver, reason=error.detail, is_given_up=True)
        return Submitted(driver=driver, exit_code=outcome.exit_code, reason=outcome.reason)

    # --- creating

    def _created(self, job: Job, *, ready: Ready, connection: Connection | None) -> Driver:
        made = Made(job.identity, namespace=self._plan.namespace, say=self._say)
        try:
            staged = None if connection is None else self._staged(ready, connection=connection, made=made)
            pod = self._objects_created(job, staged=staged, made=made)
        except BaseException as error:  # an interruption too
            client = None if connection is None else connection.client
            made.undo(partial(self._open_api, retry_seconds=UNDO_SECONDS), client)
            other = self._of_another_run(job.identity) if isinstance(error, Taken) else None
            if other is None:
                raise
            return other
        driver = Driver.of(pod)
        self._say(f"driver pod {driver.name} created in namespace {driver.namespace}")
        if connection is not None and staged is not None:
            self._to_bind = (staged, connection)
        return driver

    def _staged(self, ready: Ready, *, connection: Connection, made: Made) -> Staged:
        with shown(self._style) as progress:
            stager = Stager(connection, settings=self._settings, namespace=self._plan.namespace, progress=progress)
            staged = stager.stage(
                ready.dependencies, application=self._plan.application, known=ready.known, noted=made.note_bundle
            )
        self._say(staged.in_words)
        return staged

    def _objects_created(self, job: Job, *, staged: Staged | None, made: Made) -> KubeObject:
        pods = None if staged is None else pods_of(staged, settings=self._settings)
        planned = job.planned(pods, sizes={} if staged is None else staged.sizes)
        for note in planned.notes:
            self._say(f"note: {note}")
        if pods is not None and staged is not None and pods.token_audience is None:
            secret = bundle_secret(staged.id, namespace=staged.namespace, token=staged.token, pods=staged.pods)
            planned = planned.with_early(job.identity.marked(secret, bundle=staged.id))
        return create(planned, api=self._api, identity=job.identity, made=made, say=self._say)

    def _of_another_run(self, who: Identity) -> Driver | None:
        """Return the driver that another run with the same submission id creates at this moment."""
        for _ in range(_LOOKS if who.is_given else 0):
            there = self._existing(who)
            if there is not None:
                return there
            time.sleep(_PAUSE)
        return None

    def _existing(self, who: Identity) -> Driver | None:
        there = existing(self._api, identity=who, namespace=self._plan.namespace)
        if there is not None:
            pod = self._plan.properties.get(POD_NAME)
            names = names_of(self._plan.application, unique_id=who.unique, pod=pod)
            check_whole(there, api=self._api, service=names.service)
            self._say(there.in_words)
        return there

    # --- where

    @property
    def _waits(self) -> bool:
        waits = boolean(self._plan.properties.get(WAITS, "true"), key=WAITS)
        if not waits and self._wanted.wait_seconds is not None:
            msg = f"--wait-timeout says for how long to wait, and {WAITS}=false not to; give one of them"
            raise InvalidRequest(msg)
        return waits and not self._wanted.detach

    @property
    def _master(self) -> str:
        return resolved_master(self._plan.submission.master or f"k8s://{self._api.address}")

    def _open_api(self, *, retry_seconds: float) -> AbstractContextManager[KubeApi]:
        return kube_api(
            kubeconfig=self._plan.environment.get("KUBECONFIG"),
            context=self._settings.context,
            master=self._plan.submission.master,
            spark=self._plan.properties,
            retry_seconds=retry_seconds,
            notice=self._noticed,
        )

    def _noticed(self, text: str) -> None:
        """Tell once what several calls at the same time have to say."""
        if text != self._last_notice:
            self._last_notice = text
            self._say(text)
