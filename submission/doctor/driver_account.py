"""Checks of the driver's service account: it is there, and may do what a driver does to its executors.

Its rights are asked for by LocalSubjectAccessReview, which few people may create; else by impersonating it, which few
may, too; else nobody tells, and a test job will show.
"""

import threading
from collections.abc import Callable
from typing import Final

from staging_protocol.errors import Denied, NotFound
from submission import parallel
from submission.doctor.findings import Finding, fail, ok, unknown, warn
from submission.doctor.setup import Setup
from submission.kube.resources import (
    CONFIG_MAPS,
    LOCAL_ACCESS_REVIEWS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    SERVICE_ACCOUNTS,
    SERVICES,
    Resource,
)

_AT_ONCE: Final = 8
_KEY: Final = "spark.kubernetes.authenticate.driver.serviceAccountName"
_NEEDED: Final = (
    *((verb, PODS) for verb in ("create", "get", "list", "watch", "delete")),
    ("create", CONFIG_MAPS),
)
"""Without these no executor starts."""
_TIDY: Final = tuple(("deletecollection", kind) for kind in (PODS, CONFIG_MAPS, SERVICES, PERSISTENT_VOLUME_CLAIMS))
"""With these the driver leaves nothing behind at its end."""

_Ask = Callable[[tuple[str, Resource]], bool]


def is_there(setup: Setup) -> Finding:
    """Is it there?"""
    name = setup.driver_account
    if setup.drives_here:
        return ok("none is needed: in client mode the driver runs here, as you")
    try:
        setup.api.get(SERVICE_ACCOUNTS, name, namespace=setup.namespace)
    except NotFound:
        make = f"kubectl -n {setup.namespace} create serviceaccount {name}"
        return fail(
            f"there is no service account {name} in namespace {setup.namespace}",
            fix=f"name another one with --conf {_KEY}=NAME, or: {make}",
        )
    except Denied:
        return unknown(f"we may not look whether {name} is there", fix=f"ask an administrator whether {name} exists")
    return ok(name)


def rights(setup: Setup) -> Finding:
    """May it create executors?"""
    if setup.drives_here:
        return ok("in client mode they are yours")
    try:
        answers = _answers(_by_review(setup))
    except Denied:
        try:
            answers = _answers(_by_impersonation(setup))
        except Denied:
            return unknown(
                f"we may not ask what {setup.driver_account} may do",
                fix=f"an administrator sees it by: kubectl -n {setup.namespace} auth can-i create pods "
                f"--as {_user_name(setup)}",
            )
    missing = [f"{verb} {resource.plural}" for (verb, resource), allowed in answers.items() if not allowed]
    needed = {f"{verb} {resource.plural}" for verb, resource in _NEEDED}
    if needed & set(missing):
        return fail(f"{setup.driver_account} may not {', '.join(missing)}", fix=_binding(setup))
    if missing:
        return warn(
            f"{setup.driver_account} may not {', '.join(missing)}: it leaves things behind", fix=_binding(setup)
        )
    return ok(f"{setup.driver_account} may create, follow and delete executors")


def _answers(ask: _Ask) -> dict[tuple[str, Resource], bool]:
    wanted = (*_NEEDED, *_TIDY)
    found = parallel.each(wanted, ask, at_once=_AT_ONCE, stop=threading.Event())
    return dict(zip(wanted, found, strict=True))


def _by_review(setup: Setup) -> _Ask:
    def ask(right: tuple[str, Resource]) -> bool:
        verb, resource = right
        review = {
            "apiVersion": LOCAL_ACCESS_REVIEWS.api_version,
            "kind": LOCAL_ACCESS_REVIEWS.kind,
            "metadata": {"namespace": setup.namespace},
            "spec": {
                "user": _user_name(setup),
                "groups": [
                    "system:serviceaccounts",
                    f"system:serviceaccounts:{setup.namespace}",
                    "system:authenticated",
                ],
                "resourceAttributes": {
                    "namespace": setup.namespace,
                    "verb": verb,
                    "group": resource.group,
                    "resource": resource.plural,
                },
            },
        }
        return (setup.api.create(review).get("status") or {}).get("allowed") is True

    return ask


def _by_impersonation(setup: Setup) -> _Ask:
    api = setup.api.acting_as(_user_name(setup))
    return lambda right: api.may(right[0], right[1], namespace=setup.namespace).allowed


def _user_name(setup: Setup) -> str:
    return f"system:serviceaccount:{setup.namespace}:{setup.driver_account}"


def _binding(setup: Setup) -> str:
    namespace, name = setup.namespace, setup.driver_account
    return (
        f"let an administrator run: kubectl -n {namespace} create rolebinding {name}-edit --clusterrole=edit "
        f"--serviceaccount={namespace}:{name}"
    )
