"""Check of the rights that `submit` needs in the namespace (SelfSubjectAccessReview)."""

import threading
from collections.abc import Iterator
from typing import Final

from staging_protocol.errors import Denied
from submission import parallel
from submission.doctor.findings import Finding, Status, fail, ok, unknown
from submission.doctor.setup import Setup
from submission.kube.answers import KubeObject
from submission.kube.resources import CONFIG_MAPS, NETWORK_POLICIES, PODS, SECRETS, SERVICES, Resource
from submission.submit.planned import Planned
from submission.submit.rights import Right, rights_for

_AT_ONCE: Final = 8


def of_submitter(setup: Setup) -> Finding:
    """May we create a job, follow it, and delete it again?"""
    return _judged(tuple(dict.fromkeys(_of_job(setup))), setup=setup)


def of_secrets(setup: Setup) -> Finding:
    """How do pods show who they are, and may we give it to them?"""
    if setup.pods_are_known:
        return ok(f"by their own tokens for {setup.info.pods.token_audience}; no Secret is needed")
    found = _judged(tuple(Right(verb=verb, resource=SECRETS) for verb in ("create", "patch", "delete")), setup=setup)
    return ok("by a Secret with the token of their bundle, which submit makes") if found.status is Status.OK else found


def _judged(wanted: tuple[Right, ...], *, setup: Setup) -> Finding:
    namespace = setup.namespace

    def is_missing(right: Right) -> bool:
        return not setup.api.may(right.verb, right.resource, namespace=namespace, subresource=right.subresource).allowed

    try:
        answers = parallel.each(wanted, is_missing, at_once=_AT_ONCE, stop=threading.Event())
    except Denied as error:
        return unknown(error.detail, fix=f"try: kubectl -n {namespace} auth can-i create pods")
    missing = [str(right) for right, is_so in zip(wanted, answers, strict=True) if is_so]
    if missing:
        return fail(
            f"may not {', '.join(missing)} in namespace {namespace}",
            fix=f"let an administrator bind a role with these rights, such as: kubectl -n {namespace} create "
            "rolebinding spark-submitters --clusterrole=edit --user=YOU",
        )
    return ok(f"all {len(wanted)} that a job needs in namespace {namespace}")


def _of_job(setup: Setup) -> Iterator[Right]:
    late = [_some(SERVICES)]
    if any(key.startswith("spark.kubernetes.networkPolicy") for key in setup.properties):
        late.append(_some(NETWORK_POLICIES))
    planned = Planned(early=(_some(CONFIG_MAPS),), pod=_some(PODS), late=tuple(late), notes=())
    yield from rights_for(planned, waits=True)
    yield Right(verb="get", resource=PODS, subresource="log")


def _some(resource: Resource) -> KubeObject:
    return {"apiVersion": resource.api_version, "kind": resource.kind}
