"""What the cluster would refuse, found out before anything is created or uploaded.

First our rights are asked for, then the API server is let check every object without keeping it (`dryRun=All`): the
namespace, names, quotas, the service account, priority classes, Pod Security and webhooks have their say, as they will
when it counts.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from staging_protocol.errors import Denied, NotFound, StagingError
from submission import parallel
from submission.driver.job import KubeObject
from submission.kube.api import KubeApi
from submission.kube.errors import AlreadyExists, BadRequest
from submission.kube.resources import PRIORITY_CLASSES, SERVICE_ACCOUNTS, Resource, resource_of
from submission.submit.creating import taken
from submission.submit.planned import Planned
from submission.submit.rights import Right, missing_in_words, rights_for

_AT_ONCE: Final = 8
_ACCOUNT: Final = "spark.kubernetes.authenticate.driver.serviceAccountName"


def problems(
    planned: Planned,
    *,
    also: Sequence[Resource],
    api: KubeApi,
    namespace: str,
    waits: bool,
    say: Callable[[str], None],
) -> list[StagingError]:
    """Return all that stands in the way.

    Args:
        planned: what will be created.
        also: kinds of what will be created besides, and is not known yet.
        api: of the cluster.
        namespace: of the job.
        waits: whether the driver is waited for.
        say: is told what could matter later.

    Raises:
        StagingError: the API server cannot be asked.
    """
    missing = _missing_rights(rights_for(planned, also=also, waits=waits), api=api, namespace=namespace)
    found: list[StagingError] = []
    needed = [right for right in missing if right.is_needed]
    if needed:
        found.append(Denied(missing_in_words(needed, user=api.user, namespace=namespace)))
    elif missing:
        words = missing_in_words(missing, user=api.user, namespace=namespace)
        say(f"note: {words}; if this submission fails half-way, such objects stay")
    refused = {right.resource for right in missing if right.verb == "create"}
    return [*found, *_refusals([one for one in planned.objects if resource_of(one) not in refused], api=api)]


def _missing_rights(rights: Sequence[Right], *, api: KubeApi, namespace: str) -> list[Right]:
    def is_missing(right: Right) -> bool:
        try:
            return not api.may(right.verb, right.resource, namespace=namespace, subresource=right.subresource).allowed
        except Denied:  # who may not even ask is told when it counts
            return False

    answers = parallel.each(rights, is_missing, at_once=_AT_ONCE, stop=threading.Event())
    return [right for right, missing in zip(rights, answers, strict=True) if missing]


def _refusals(objects: Sequence[KubeObject], *, api: KubeApi) -> Iterator[StagingError]:
    answers = parallel.each(objects, lambda obj: _refusal(obj, api=api), at_once=_AT_ONCE, stop=threading.Event())
    found = [error for error in answers if error is not None]
    # Without the namespace all of them say the same.
    yield from found[:1] if all(isinstance(error, NotFound) for error in answers) else found


def _refusal(obj: KubeObject, *, api: KubeApi) -> StagingError | None:
    spec, namespace = obj.get("spec") or {}, obj["metadata"]["namespace"]
    account = spec.get("serviceAccountName")
    if account and _is_absent(lambda: api.get(SERVICE_ACCOUNTS, account, namespace=namespace)):
        msg = f"there is no service account {account} in namespace {namespace}; create it, or name another: {_ACCOUNT}"
        return NotFound(msg)
    try:
        api.create(obj, dry_run=True)
    except AlreadyExists:
        return taken(obj)
    except BadRequest:  # as of a webhook that cannot be tried; what is really wrong is said when it counts
        pass
    except Denied as error:
        priority = spec.get("priorityClassName")
        if priority and _is_absent(lambda: api.get(PRIORITY_CLASSES, priority, namespace=None)):
            return NotFound(f"there is no priority class {priority} in the cluster; see: kubectl get priorityclasses")
        return error
    except StagingError as error:
        if error.retryable:
            raise
        return error
    return None


def _is_absent(look: Callable[[], object]) -> bool:
    try:
        look()
    except NotFound:
        return True
    except Denied:  # who may not look is told what the API server says
        return False
    return False
