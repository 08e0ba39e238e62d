"""A token of a service account, made for the staging server alone (TokenRequest) and renewed before it ends.

Nobody else takes such a token, not even the API server: so it can be sent to a server that is trusted with staged files
only.  Whoever has a kubeconfig can have one, whatever is in it, with the right to create `serviceaccounts/token`.
"""

import time
from collections.abc import Callable
from threading import Lock
from typing import Any, Final

import msgspec

from staging_io.bearers import Bearer
from staging_protocol.errors import Unavailable
from submission.kube_calls import ask

_SECONDS: Final = 3600
"""What is asked for; the cluster may give more or less."""

_RENEWED_AFTER: Final = 0.8
"""Part of its life after which a token is replaced, as the kubelet does it."""


class AccountToken:
    """Tokens of one account for one audience; the first is made when it is needed."""

    def __init__(
        self, identity: Any, *, namespace: str, name: str, audience: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`identity` is that of who asks for the tokens, as `load_identity` returns it."""
        self._identity = identity
        self._namespace = namespace
        self._name = name
        self._audience = audience
        self._clock = clock
        self._lock = Lock()
        self._text: str | None = None
        self._renew_at = 0.0

    def current(self) -> str:
        """Return a token that has a good part of its life before it.

        Raises:
            StagingError: Kubernetes refused to make one, or does not answer.
        """
        with self._lock:
            if self._text is None or self._clock() >= self._renew_at:
                self._text = self._made()
            return self._text

    def after_refusal(self, refused: str | None) -> str:
        """Return a new token: the account, and with it the last one, may have been made anew."""
        with self._lock:
            if self._text is None or self._text == refused:
                self._text = self._made()
            return self._text

    def _made(self) -> str:
        from kubernetes import client

        spec = {"audiences": [self._audience], "expirationSeconds": _SECONDS}
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        what = f"create a token of the service account {self._namespace}/{self._name}"
        asked_at = self._clock()
        with client.ApiClient(self._identity) as api:
            call = client.CoreV1Api(api).create_namespaced_service_account_token
            answer = ask(what, call, self._name, self._namespace, request, address_from="the kubeconfig")
        made = _read(answer)
        # By our own clock and the time that was granted: the clocks need not agree.
        self._renew_at = asked_at + made.spec.expiration_seconds * _RENEWED_AFTER
        return made.status.token


class _Spec(msgspec.Struct, rename="camel"):
    expiration_seconds: int


class _Status(msgspec.Struct):
    token: str


class _Made(msgspec.Struct):
    spec: _Spec
    status: _Status


def _read(answer: dict[str, Any]) -> _Made:
    try:
        return msgspec.convert(answer, _Made)
    except msgspec.ValidationError as error:
        msg = "what answers is no Kubernetes API: it makes no tokens; check the kubeconfig"
        raise Unavailable(msg) from error


_: type[Bearer] = AccountToken
