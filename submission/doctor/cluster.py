"""Checks of the cluster: the kubeconfig, how it logs in, the API server, and who we are to it."""

from typing import Final

from staging_protocol.errors import Denied, InvalidRequest, NotFound, Unauthenticated
from submission.doctor import clocks
from submission.doctor.findings import Finding, fail, ok, unknown
from submission.doctor.setup import Setup
from submission.kube.errors import LOG_IN
from submission.kube.resources import NAMESPACES, PODS, SELF_REVIEWS

_WHO_AM_I: Final = {"apiVersion": SELF_REVIEWS.api_version, "kind": SELF_REVIEWS.kind}


def kubeconfig(setup: Setup) -> Finding:
    """Is there a kubeconfig that can be used?"""
    found = setup.access
    return ok(f"{found.endpoint.address}, as {found.identity.user.words}")


def login(setup: Setup) -> Finding:
    """Does it give credentials?"""
    identity = setup.access.identity
    program = identity.user.login
    identity.current()
    return ok("credentials are there" if program is None else f"{program.command} gives credentials")


def api_server(setup: Setup) -> Finding:
    """Is what answers there a Kubernetes API?"""
    try:
        return ok(f"Kubernetes {setup.api.version()}")
    except (Unauthenticated, Denied):  # who we are to it is asked next
        return ok("Kubernetes, which does not tell its version to everybody")


def clock(setup: Setup) -> Finding:
    """Is it the same time here and there?"""
    told = setup.cluster_answer
    return clocks.judged(told.date, now=told.at, words="the API server")


def user(setup: Setup) -> Finding:
    """Does the cluster know who we are?"""
    try:
        found = setup.api.create(_WHO_AM_I)
        return ok(str(found["status"]["userInfo"]["username"]))
    except (NotFound, Denied, InvalidRequest, LookupError, TypeError):  # it is older than 1.28: who may ask is known
        setup.api.may("get", PODS, namespace=setup.namespace)
        return ok(setup.api.user)
    except Unauthenticated as error:
        return fail(error.detail, fix=LOG_IN)


def namespace(setup: Setup) -> Finding:
    """Is the namespace there?"""
    name = setup.namespace
    try:
        found = setup.api.get(NAMESPACES, name, namespace=None)
    except NotFound:
        return fail(
            f"there is no namespace {name}",
            fix=f"give the right one (-n, or spark.kubernetes.namespace), or: kubectl create namespace {name}",
        )
    except Denied:
        return unknown(f"we may not look whether {name} is there", fix=f"ask an administrator whether {name} exists")
    if (found.get("status") or {}).get("phase") == "Terminating":
        return fail(f"the namespace {name} is being deleted", fix="wait until it is gone, then make it anew")
    return ok(name)
