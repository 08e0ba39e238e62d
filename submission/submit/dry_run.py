"""`submit --dry-run`: all objects as they would be created; nothing is created, and the cluster is not asked.

The staging server is asked where pods reach it and whether they need a Secret, if it answers.
"""

from collections.abc import Callable
from typing import Final

from staging_protocol.api.info import PodEndpoint
from staging_protocol.digests import Digest
from staging_protocol.errors import StagingError, Terminated
from staging_protocol.pod_contract import TOKEN_KEY
from staging_protocol.tokens import Token, TokenKind
from submission.access.connection import connected
from submission.bundle_secret import bundle_secret
from submission.driver.job import KubeObject
from submission.job_plan import Plan
from submission.pods.patch import PodBundle
from submission.pods.templates import DRY_BUNDLE, pod_bundle
from submission.progress.telling import in_words
from submission.settings import Settings
from submission.staging.local_files import found
from submission.submit.identity import identity
from submission.submit.options import PodSecurity
from submission.submit.planned import Job, check_image

_NOT_SHOWN: Final = "(made when it is staged)"


def objects_of(
    plan: Plan,
    *,
    submission_id: str | None,
    pod_security: PodSecurity | None,
    master: str,
    settings: Settings,
    say: Callable[[str], None],
) -> tuple[KubeObject, ...]:
    """Return what would be created, and `say` what would be staged."""
    check_image(plan.properties)
    classified, local = found(plan.dependencies)
    who = identity(submission_id, namespace=plan.namespace)
    job = Job(plan=plan, identity=who, classified=classified, master=master, pod_security=pod_security)
    endpoint = _endpoint(settings, say=say) if job.needs_bundle else None
    pods = None if endpoint is None else _pods(job, endpoint=endpoint, settings=settings)
    for file in local:
        say(f"would stage {file.dependency} as {file.dependency.target} ({in_words(file.version.size)})")
    for item in classified.remote:
        say(f"pods would fetch {item}")
    planned = job.planned(pods, sizes={file.dependency: file.version.size for file in local})
    for note in planned.notes:
        say(f"note: {note}")
    if endpoint is not None and pods is not None and pods.token_audience is None:
        secret = _secret(endpoint, namespace=plan.namespace)
        planned = planned.with_early(job.identity.marked(secret, bundle=pods.id))
    return planned.objects


def _pods(job: Job, *, endpoint: PodEndpoint, settings: Settings) -> PodBundle:
    return pod_bundle(
        DRY_BUNDLE,
        namespace=job.plan.namespace,
        pods=endpoint,
        manifest_digest=Digest.of(b""),
        remote=bool(job.classified.remote),
        settings=settings,
    )


def _endpoint(settings: Settings, *, say: Callable[[str], None]) -> PodEndpoint:
    try:
        with connected(settings) as connection:
            return connection.client.info().pods
    except Terminated:
        raise
    except StagingError as error:
        say(f"note: the staging server is not known here, so what pods are told of it is not shown: {error.detail}")
        return PodEndpoint(url=settings.pod_url or settings.url or "https://unknown.invalid")


def _secret(endpoint: PodEndpoint, *, namespace: str) -> KubeObject:
    token = Token.generate(TokenKind.BUNDLE, identifier=DRY_BUNDLE)
    secret = bundle_secret(DRY_BUNDLE, namespace=namespace, token=token, pods=endpoint)
    return {**secret, "stringData": {**secret["stringData"], TOKEN_KEY: _NOT_SHOWN}}
