"""What the checks look at: what was given, and connections that are opened when one is first needed.

A fact of another machine is asked for by the check that is about it; those that need that check find it here.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, quote, urlsplit

from staging_io.authorized import JSON, Reply
from staging_io.http import HttpClient, HttpSettings
from staging_io.proxies import Proxies
from staging_protocol.api.info import Info
from staging_protocol.errors import StagingError
from submission.doctor.given import Wanted, read_given
from submission.doctor.reaching import Target
from submission.settings import DEFAULT_NAMESPACE, Environment, Settings, kubeconfig, proxies

if TYPE_CHECKING:
    import ssl

    from submission.access.connection import Connection
    from submission.job_plan import Plan
    from submission.kube.api import KubeApi
    from submission.kube.connect import Access

_MOST: Final = 1024 * 1024
"""Bytes of an answer that are read."""
_ON_THIS_MACHINE: Final = "127.0.0.0/8"
"""Not asked for through a proxy, as by kubectl."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An answer of a server, and when it came."""

    reply: Reply
    at: datetime

    @property
    def date(self) -> str | None:
        """What time it is there."""
        return self.reply.headers.get("Date")


class Setup:
    """One set-up; used by one thread after the other for each fact, as the checks need one another."""

    def __init__(self, wanted: Wanted, *, stack: ExitStack) -> None:
        self.environment = Environment.read()
        self.given = read_given(wanted, environment=self.environment)
        self.seconds = wanted.seconds
        self._stack = stack

    # --- what is wanted

    @property
    def patience(self) -> float:
        """Seconds for which one step may wait: a little less than the check that takes it, so that it tells why."""
        return self.seconds * 0.9

    @property
    def settings(self) -> Settings:
        """The settings, which the check of that name found to be good."""
        if self.given.settings is None:
            raise AssertionError(self.given.settings_error)
        return self.given.settings

    @property
    def job(self) -> "Plan | None":
        """The submission that was given, if one was, and it can be understood."""
        return self.given.job

    @property
    def drives_here(self) -> bool:
        """Whether the driver will run on this machine: client mode."""
        return self.job is not None and not self.job.submission.is_cluster

    @property
    def properties(self) -> Mapping[str, str]:
        """Spark's properties of the command."""
        return {} if self.job is None else self.job.properties

    @property
    def namespace(self) -> str:
        """The namespace of the job."""
        return self.job.namespace if self.job is not None else self.settings.namespace or DEFAULT_NAMESPACE

    @property
    def driver_account(self) -> str:
        """The service account of the driver, as Spark finds it."""
        keys = (
            "spark.kubernetes.authenticate.driver.serviceAccountName",
            "spark.kubernetes.authenticate.serviceAccountName",
        )
        return next((self.properties[key] for key in keys if self.properties.get(key)), "default")

    # --- the staging server

    @cached_property
    def server(self) -> Target:
        """The staging server."""
        from staging_io.tls import TlsContexts
        from submission.access.connection import http_settings

        settings = http_settings(self.settings)
        url = urlsplit(self.settings.url or "")
        return Target(
            words="the staging server",
            url=url,
            named_by="SPARK_STAGING_URL (or --url)",
            proxy=Proxies(settings).of(url),
            context=lambda: TlsContexts(settings).of(url),
            trust="write the PEM file of the authority that issued it into SPARK_STAGING_CA_FILE (or --ca-file)",
            takes_clear_text=self.settings.allow_plain_http,
        )

    @cached_property
    def connection(self) -> "Connection":
        """A client of the staging server, with the submitter's identity."""
        from submission.access.connection import connected

        changes = {
            "stall_timeout": self.patience, "retry_seconds": 0.0, "namespace": self.namespace, "context": self._context,
        }  # fmt: skip
        return self._stack.enter_context(connected(self.settings.model_copy(update=changes)))

    @cached_property
    def server_answer(self) -> Told:
        """What the staging server tells anybody."""
        from submission.access.connection import http_settings

        # The connection with our identity may be what does not work.
        return self._asked(http_settings(self.settings), of=self.server, path="/v1/info")

    @cached_property
    def info(self) -> Info:
        """The same, read."""
        from staging_io.authorized import read, without_problem

        return read(without_problem(self.server_answer.reply).data, into=Info)

    @cached_property
    def admission(self) -> Reply:
        """The answer to a create without a body, which makes nothing: who asks and may, comes before what is asked."""
        path = f"/v1/namespaces/{quote(self.namespace, safe='')}/bundles"
        with self.connection.client.open("POST", path, headers=JSON) as answer:
            return Reply(status=answer.status, headers=answer.headers, data=answer.read(_MOST))

    @property
    def pods_are_known(self) -> bool:
        """Whether pods read by their own tokens, so that no Secret is made for them."""
        return not self.settings.pod_secret and self.info.pods.token_audience is not None

    # --- the cluster

    @cached_property
    def access(self) -> "Access":
        """What the kubeconfig, or the own pod, says about the cluster and who we are."""
        from submission.kube.connect import access

        return access(kubeconfig=kubeconfig(), context=self._context, master=self._master, spark=self.properties)

    @cached_property
    def cluster(self) -> Target:
        """The API server."""
        from submission.kube.clients import context_for

        endpoint = self.access.endpoint
        url = urlsplit(endpoint.address)
        return Target(
            words="the API server",
            url=url,
            named_by=endpoint.named_by,
            proxy=endpoint.proxy or Proxies(_with_environment()).of(url),
            context=partial(context_for, endpoint, certificate=None),
            trust="take the kubeconfig of this cluster: its certificate-authority-data belongs to another one",
        )

    @property
    def cluster_if_known(self) -> Target | None:
        """The API server; None where no kubeconfig names one."""
        try:
            return self.cluster
        except StagingError:
            return None

    @cached_property
    def cluster_answer(self) -> Told:
        """What the API server tells anybody, or refuses to."""
        return self._asked(_with_environment(), of=self.cluster, path="/version")

    @cached_property
    def api(self) -> "KubeApi":
        """The API server, as who we are; with the same identity, so that a login program runs once."""
        from submission.kube.api import KubeApi
        from submission.kube.clients import Clients
        from submission.kube.transport import Transport

        by_scheme, direct = proxies()
        clients = Clients(self.access.endpoint, proxies=by_scheme, no_proxy=direct)
        self._stack.callback(clients.close)
        return KubeApi(Transport(self.access.endpoint, self.access.identity, clients=clients), retry_seconds=0)

    def _asked(self, settings: HttpSettings, *, of: Target, path: str) -> Told:
        http = HttpClient(_settings_for(settings, target=of, seconds=self.patience))
        self._stack.callback(http.close)
        with http.open("GET", of.url.geturl().rstrip("/") + path) as answer:
            reply = Reply(status=answer.status, headers=answer.headers, data=answer.read(_MOST))
            return Told(reply=reply, at=datetime.now(UTC))

    @property
    def _context(self) -> str | None:
        return self.settings.context or self.properties.get("spark.kubernetes.context")

    @property
    def _master(self) -> str | None:
        return None if self.job is None else self.job.submission.master


@contextmanager
def opened(wanted: Wanted) -> Iterator[Setup]:
    """Yield the set-up, and close its connections."""
    with ExitStack() as stack:
        yield Setup(wanted, stack=stack)


def _settings_for(settings: HttpSettings, *, target: Target, seconds: float) -> HttpSettings:
    """Return the settings for one server that is asked by hand."""
    import msgspec

    def context(_url: SplitResult) -> "ssl.SSLContext":
        return target.context()

    by_scheme = {} if target.proxy is None else dict.fromkeys(("http", "https"), target.proxy)
    return msgspec.structs.replace(settings, stall_timeout=seconds, proxies=by_scheme, no_proxy=(), tls=context)


def _with_environment() -> HttpSettings:
    by_scheme, direct = proxies()
    return HttpSettings(proxies=by_scheme, no_proxy=(*direct, _ON_THIS_MACHINE))
