"""The way to a cluster: what kubectl would take, which is a kubeconfig, else the identity of the own pod."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

from submission.kube.api import KubeApi
from submission.kube.attempts import RETRY_SECONDS
from submission.kube.clients import Clients
from submission.kube.endpoint import Endpoint, address_of, endpoint_of
from submission.kube.identity import Identity, User
from submission.kube.kubeconfig import paths_of, read_kubeconfig
from submission.kube.own_identity import own_endpoint, own_user
from submission.kube.spark_credentials import endpoint_with, names_user, user_with
from submission.kube.transport import Transport
from submission.kube.users import user_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where a cluster is, and who we are to it."""

    endpoint: Endpoint
    identity: Identity


def access(
    *,
    kubeconfig: str | None,
    context: str | None,
    master: str | None = None,
    spark: Mapping[str, str] = MappingProxyType({}),
) -> Access:
    """Return what kubectl would take; nobody is asked, and no login program runs yet.

    Args:
        kubeconfig: file or files, as KUBECONFIG has them; None or empty for the usual one.  Where there is none, the
            identity of the pod is taken.
        context: of the kubeconfig; None for the current one.
        master: Spark's master, whose address wins over that of the kubeconfig, as in spark-submit.
        spark: Spark's properties, of which credentials win over those of the kubeconfig.

    Raises:
        InvalidRequest: there is no usable kubeconfig.
    """
    found = _found(kubeconfig=kubeconfig, context=context, master=master, spark=spark)
    if master is None:
        return found
    return replace(found, endpoint=replace(found.endpoint, address=address_of(master), named_by="--master"))


def _found(*, kubeconfig: str | None, context: str | None, master: str | None, spark: Mapping[str, str]) -> Access:
    from submission.settings import own_cluster

    paths = paths_of(kubeconfig)
    if context is None and not any(path.exists() for path in paths):
        if master is not None and names_user(spark):
            named = partial(user_with, None, spark)
            endpoint = endpoint_with(Endpoint(address=address_of(master)), spark)
            return Access(endpoint=endpoint, identity=Identity(named(), read=named))
        own = own_endpoint(own_cluster())
        if own is not None:
            return Access(endpoint=own, identity=Identity(own_user(), read=own_user))

    def read() -> tuple[Endpoint, User]:
        found = read_kubeconfig(paths)
        chosen = found.context(context)
        (_, cluster), (name, user) = found.part(chosen, "cluster"), found.part(chosen, "user")
        return endpoint_with(endpoint_of(cluster), spark), user_with(user_of(name, user, cluster=cluster), spark)

    endpoint, user = read()
    return Access(endpoint=endpoint, identity=Identity(user, read=lambda: read()[1]))


@contextmanager
def kube_api(
    *,
    kubeconfig: str | None,
    context: str | None,
    master: str | None,
    spark: Mapping[str, str] = MappingProxyType({}),
    retry_seconds: float = RETRY_SECONDS,
    notice: Callable[[str], None] | None = None,
) -> Iterator[KubeApi]:
    """Yield the API of a cluster.

    Args:
        kubeconfig: file or files, as KUBECONFIG has them; None or empty for the usual one.
        context: of the kubeconfig; None for the current one.
        master: Spark's master, whose address wins over that of the kubeconfig, as in spark-submit.
        spark: Spark's properties, of which credentials win over those of the kubeconfig.
        retry_seconds: for how long calls that fail in passing are tried again; 0: one attempt.
        notice: is told why a call is tried again.

    Raises:
        InvalidRequest: there is no usable kubeconfig.
    """
    from submission.settings import proxies

    found = access(kubeconfig=kubeconfig, context=context, master=master, spark=spark)
    by_scheme, direct = proxies()
    clients = Clients(found.endpoint, proxies=by_scheme, no_proxy=direct)
    transport = Transport(found.endpoint, found.identity, clients=clients)
    try:
        yield KubeApi(transport, retry_seconds=retry_seconds, notice=notice)
    finally:
        clients.close()
