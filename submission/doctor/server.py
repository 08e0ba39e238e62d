"""Checks of the staging server: who it is, which versions it speaks, who we are to it, and what we may."""

from importlib.metadata import version
from typing import Final

from staging_io.refusals import problem_error
from staging_protocol.api.info import API_VERSION
from staging_protocol.errors import Denied, InvalidRequest, NotFound, StagingError, Unauthenticated
from staging_protocol.pod_contract import TOKEN_AUDIENCE
from submission.doctor import clocks
from submission.doctor.findings import Finding, fail, ok, unknown, warn
from submission.doctor.machine import version_numbers
from submission.doctor.setup import Setup

_REFUSED: Final = 300
_KUBERNETES: Final = "kubernetes"
_OF_THE_CLUSTER: Final = (
    "kubeconfig", "cluster login", "cluster DNS", "cluster port", "cluster TLS", "API server", "cluster identity",
)  # fmt: skip
"""Checks without which there is no identity of Kubernetes."""


def url(setup: Setup) -> Finding:
    """Is a URL given?"""
    found = setup.settings.url
    if found is None:
        return fail("no staging server is known")
    if not found.startswith(("http://", "https://")) or not setup.server.host:
        return fail(f"{found!r} is not the URL of a server", fix="write it as https://HOST or http://HOST:PORT")
    return ok(found)


def staging_server(setup: Setup) -> Finding:
    """Is what answers there a staging server?"""
    reply = setup.server_answer.reply
    if reply.status >= _REFUSED:
        return fail(
            f"{setup.server.host}:{setup.server.port} answers {reply.status} where a staging server says who it is"
        )
    try:
        info = setup.info
    except InvalidRequest:
        return fail(f"what answers at {setup.server.host}:{setup.server.port} is not a staging server")
    return ok(f"{info.server}, which knows callers by {info.auth_mode}")


def api_versions(setup: Setup) -> Finding:
    """Do client and server understand one another?"""
    client = version("spark-staging")
    theirs, ours = setup.info, version_numbers(client)
    if API_VERSION not in theirs.api_versions:
        spoken = ", ".join(theirs.api_versions) or "none"
        return fail(f"the server speaks {spoken} of the API, and this client {API_VERSION}", fix=_other(setup))
    server = version_numbers(theirs.server.rpartition("/")[2])
    if len(server) < 2:  # noqa: PLR2004 - major and minor
        return unknown(f"the server does not say its version: {theirs.server}", fix=_other(setup))
    if server[0] != ours[0] or abs(server[1] - ours[1]) > 1:
        return warn(f"the server is {theirs.server}, this client {client}: more than one minor version apart")
    return ok(f"API {API_VERSION}; server {theirs.server.rpartition('/')[2]}, client {client}")


def clock(setup: Setup) -> Finding:
    """Is it the same time here and there?"""
    told = setup.server_answer
    return clocks.judged(told.date, now=told.at, words="the staging server")


def identity(setup: Setup) -> Finding:
    """Does the server know who we are?"""
    fix = _how_to_log_in(setup)
    try:
        reply = setup.admission
    except StagingError as error:
        return fail(error.detail, fix=fix, because=_OF_THE_CLUSTER if _is_of_cluster(setup) else ())
    if reply.status == Unauthenticated.status:
        return fail(problem_error(reply, reply.data).detail, fix=fix)
    return ok(_who(setup))


def right_to_create(setup: Setup) -> Finding:
    """May we create bundles?"""
    reply = setup.admission
    error = problem_error(reply, reply.data)
    match error:
        case InvalidRequest():  # it would read what we sent, which is nothing
            return ok(f"may create bundles in namespace {setup.namespace}")
        case Denied():
            return fail(error.detail, fix=_how_to_be_allowed(setup))
        case NotFound():
            return fail(error.detail, fix=f"give the namespace of the job (-n), now {setup.namespace}")
        case _:
            return fail(error.detail)


def _is_of_cluster(setup: Setup) -> bool:
    """Whether we are to the server who we are to the cluster."""
    settings = setup.settings
    return setup.info.auth_mode == _KUBERNETES and settings.token_file is None and settings.token is None


def _who(setup: Setup) -> str:
    settings, info = setup.settings, setup.info
    if info.auth_mode == "none":
        return "the server asks nobody who they are"
    if settings.token_file is not None:
        return f"known by the token in {settings.token_file}"
    if settings.token is not None:
        return "known by the token in SPARK_STAGING_TOKEN"
    if settings.service_account is not None:
        return f"known as the service account {settings.service_account}"
    return "known by the kubeconfig's token"


def _how_to_log_in(setup: Setup) -> str:
    if setup.info.auth_mode == _KUBERNETES:
        audience = setup.info.token_audience or TOKEN_AUDIENCE
        return (
            "name a service account that may create bundles (--service-account NAME), or write a token into the file "
            f"of SPARK_STAGING_TOKEN_FILE: kubectl -n {setup.namespace} create token NAME --audience {audience}"
        )
    return (
        "ask whoever runs the server for an access token (spark-staging-server tokens create), write it into a file "
        "and name that in SPARK_STAGING_TOKEN_FILE"
    )


def _how_to_be_allowed(setup: Setup) -> str:
    namespace = setup.namespace
    if setup.info.auth_mode == _KUBERNETES:
        account = setup.settings.service_account
        whom = "--user=YOU" if account is None else f"--serviceaccount={_qualified(account, namespace)}"
        return (
            f"let an administrator run: kubectl -n {namespace} create rolebinding spark-staging-submitters "
            f"--clusterrole=spark-staging-submitter {whom}"
        )
    return f"ask for an access token whose namespaces have {namespace} and whose verbs have create"


def _qualified(account: str, namespace: str) -> str:
    return (account if "/" in account else f"{namespace}/{account}").replace("/", ":")


def _other(setup: Setup) -> str:
    return f"install spark-staging of the server's version ({setup.info.server.rpartition('/')[2] or 'ask for it'})"
