"""Who the submitter is to a server, when no token of it is given: nobody, until the server asks who.

    answered without credentials            → a server on this machine; Kubernetes is not asked
    401, and `/v1/info` says `kubernetes`   → the identity that kubectl has:
        --service-account NAME    a token made for the server (`account_token`), whatever the kubeconfig has
        a token, a login program  that token, where the server takes what is for the API server; over TLS only
        a client certificate      none: it cannot be shown to another server, so the error says what to do

An account is named for a server that asks, so its token is made at once, for the usual audience.
"""

from threading import Lock
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import urlsplit

from staging_io.bearers import Bearer
from staging_io.http import HttpClient, goes_in_clear_text
from staging_io.staging import StagingClient
from staging_protocol.errors import InvalidRequest, RefusedByPolicy, Unauthenticated
from staging_protocol.pod_contract import TOKEN_AUDIENCE
from submission.settings import DEFAULT_NAMESPACE, Settings, kubeconfig

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from staging_protocol.api.info import Info
    from submission.access.account_token import AccountToken
    from submission.kube.api import KubeApi
    from submission.kube.identity import Identity

_KUBERNETES: Final = "kubernetes"
_WHAT_TO_DO: Final = (
    "name a service account that may create bundles (--service-account NAME, or SPARK_STAGING_SERVICE_ACCOUNT), "
    "or give --token-file with a token for the audience {audience!r}"
)


class Login:
    """The secrets of a submitter who gave none."""

    def __init__(self, settings: Settings, *, url: str, http: HttpClient) -> None:
        self._settings = settings
        self._url = url
        self._http = http
        self._lock = Lock()
        self._has_asked = False
        self._found: Bearer | None = None

    def current(self) -> str | None:
        """Return nothing until the server has refused that, unless an account is named."""
        with self._lock:
            if self._found is None and not self._has_asked and self._settings.service_account is not None:
                self._found = self._account(TOKEN_AUDIENCE)
            found = self._found
        return None if found is None else found.current()

    def after_refusal(self, refused: str | None) -> str | None:
        """Return what the server wants, if we have it.

        Raises:
            StagingError: we have not, or it must not be sent; the error says what to do.
        """
        with self._lock:
            if not self._has_asked:
                info = StagingClient(url=self._url, token=None, http=self._http).info()
                self._found = self._identity(info)
                self._has_asked = True
            found = self._found
        if found is None:
            return None
        return found.current() if refused is None else found.after_refusal(refused)

    def _identity(self, info: "Info") -> Bearer | None:
        account, audience = self._settings.service_account, info.token_audience or TOKEN_AUDIENCE
        if info.auth_mode != _KUBERNETES:
            if account is not None:
                msg = f"the server knows no service accounts (auth.mode is {info.auth_mode!r}); leave {account} out"
                raise InvalidRequest(msg)
            return None
        if account is not None:
            return self._account(audience)
        found = ApiServerToken(self._kubeconfigs())
        if not found.is_there:
            _say_no(found.why_not, audience=audience)
        if not info.api_server_tokens:
            _say_no(
                "the server takes no tokens that are for the API server, as that of the kubeconfig", audience=audience
            )
        if goes_in_clear_text(urlsplit(self._url)):
            msg = (
                f"refusing to send the kubeconfig's token to {self._url} in clear text: whoever sees it can use the "
                "cluster with it; use https, or --service-account NAME"
            )
            raise RefusedByPolicy(msg)
        return found

    def _account(self, audience: str) -> "AccountToken":
        from submission.access.account_token import AccountToken

        settings = self._settings
        namespace, _, name = (settings.service_account or "").rpartition("/")
        namespace = namespace or settings.namespace or DEFAULT_NAMESPACE
        return AccountToken(self._cluster, namespace=namespace, name=name, audience=audience)

    def _cluster(self) -> "AbstractContextManager[KubeApi]":
        from submission.kube.connect import kube_api

        settings = self._settings
        return kube_api(
            kubeconfig=kubeconfig(), context=settings.context, master=None, retry_seconds=settings.retry_seconds
        )

    def _kubeconfigs(self) -> "Identity":
        from submission.kube.connect import access

        return access(kubeconfig=kubeconfig(), context=self._settings.context).identity


class ApiServerToken:
    """The token that a kubeconfig, or a pod, has for the API server."""

    def __init__(self, identity: "Identity") -> None:
        self._identity = identity

    @property
    def is_there(self) -> bool:
        """Whether there is one."""
        return self.current() is not None

    @property
    def why_not(self) -> str:
        """What there is instead."""
        if self._identity.current().certificate is not None:
            return "the kubeconfig has a client certificate, which only the API server can check"
        return "the kubeconfig has no token"

    def current(self) -> str | None:
        """Return the token; one that has expired is renewed by the kubeconfig's login program."""
        return self._identity.current().token

    def after_refusal(self, refused: str | None) -> str | None:
        """Read the kubeconfig anew, which runs its login program again; return what was not refused yet."""
        held = self._identity.current()
        if held.token != refused:
            return held.token
        other = self._identity.after_refusal(held)
        return None if other is None or other.token == refused else other.token


def _say_no(why: str, *, audience: str) -> NoReturn:
    msg = f"the server knows callers by Kubernetes, and {why}; {_WHAT_TO_DO.format(audience=audience)}"
    raise Unauthenticated(msg)


_a: type[Bearer] = Login
_b: type[Bearer] = ApiServerToken
