"""A token of a service account, made for the staging server alone (TokenRequest) and renewed before it ends.

Nobody else takes such a token, not even the API server: so it can be sent to a server that is trusted with staged files
only.  Whoever has a kubeconfig can have one, whatever is in it, with the right to create `serviceaccounts/token`.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Lock
from typing import Final

from staging_io.bearers import Bearer
from submission.kube.api import KubeApi

_SECONDS: Final = 3600
"""What is asked for; the cluster may give more or less."""

_RENEWED_AFTER: Final = 0.8
"""Part of its life after which a token is replaced, as the kubelet does it."""


class AccountToken:
    """Tokens of one account for one audience; the first is made when it is needed."""

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[KubeApi]],
        *,
        namespace: str,
        name: str,
        audience: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`connect` opens the cluster in which the account is, as who asks for its tokens."""
        self._connect = connect
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
        asked_at = self._clock()
        with self._connect() as api:
            made = api.token(self._name, namespace=self._namespace, audience=self._audience, seconds=_SECONDS)
        # By our own clock and the time that was granted: the clocks need not agree.
        self._renew_at = asked_at + made.seconds * _RENEWED_AFTER
        return made.text


_: type[Bearer] = AccountToken
