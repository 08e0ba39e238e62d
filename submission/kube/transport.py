"""Requests to one API server with one identity: with the credential that is right now, and errors of ours."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import msgspec

from staging_io.http import Answer, goes_in_clear_text
from staging_protocol.errors import RefusedByPolicy, SourceUnavailable, StagingError
from submission.kube.answers import KubeObject
from submission.kube.clients import Clients
from submission.kube.endpoint import Endpoint
from submission.kube.errors import Answered, no_kubernetes, refusal, unanswered
from submission.kube.identity import Credential, Identity
from submission.kube.request import Request

_PATIENCE: Final = 30.0
"""Seconds without a byte: a call of ours is small, and a person waits."""

_MOST: Final = 256 * 1024 * 1024
"""Bytes of an answer: a page of 500 objects, none of which is larger than etcd's 1.5 MiB in some times as much JSON."""
_MOST_WORDS: Final = 64 * 1024
"""Bytes of a refusal."""

_UNAUTHENTICATED: Final = 401
_REDIRECTION: Final = 300
_REFUSED: Final = 400


class Transport:
    """One API server and one identity; safe to use from several threads."""

    def __init__(self, endpoint: Endpoint, identity: Identity, *, clients: Clients, acting: str | None = None) -> None:
        """`acting` is somebody whom we impersonate."""
        self._endpoint = endpoint
        self._identity = identity
        self._clients = clients
        self._acting = acting

    @property
    def address(self) -> str:
        """URL of the API server."""
        return self._endpoint.address

    @property
    def user(self) -> str:
        """Who we are, in words."""
        words = self._identity.user.words
        return words if self._acting is None else f"{words}, acting as {self._acting}"

    def acting_as(self, user: str) -> "Transport":
        """Return the same for an impersonated user."""
        return Transport(self._endpoint, self._identity, clients=self._clients, acting=user)

    def answer(self, request: Request) -> KubeObject:
        """Return the object of a good answer."""
        with self.opened(request, silence=_PATIENCE) as answer:
            data = answer.read(_MOST)
        try:
            found = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            found = None
        if not isinstance(found, dict):
            raise self.no_kubernetes(request)
        return found

    @contextmanager
    def opened(self, request: Request, *, silence: float) -> Iterator[Answer]:
        """Yield a good answer, its body still to be read.

        Raises:
            StagingError: it is not a good one, or ends before its end, also inside the block.
        """
        with self._exchanged(request, silence=silence) as answer:
            try:
                self._check(answer, request)
                yield answer
            except SourceUnavailable as error:
                raise self._unanswered(error, request) from error

    def no_kubernetes(self, request: Request) -> StagingError:
        """Return the error for an answer that no API server gives."""
        return no_kubernetes(what=request.what, named_by=self._endpoint.named_by)

    def _exchanged(self, request: Request, *, silence: float) -> Answer:
        """Send a request, and once more if there is another credential after 401."""
        credential = self._identity.current()
        answer = self._sent(request, credential, silence=silence)
        if answer.status != _UNAUTHENTICATED:
            return answer
        try:
            other = self._identity.after_refusal(credential)
        except BaseException:
            answer.close()
            raise
        if other is None:
            return answer
        answer.close()
        return self._sent(request, other, silence=silence)

    def _sent(self, request: Request, credential: Credential, *, silence: float) -> Answer:
        client = self._clients.of(silence=silence, certificate=credential.certificate)
        headers = {**request.headers, **self._identification(credential)}
        try:
            return client.open(request.method, self.address + request.target, headers=headers, body=request.data)
        except StagingError as error:
            found = self._unanswered(error, request)
            if found is error:
                raise
            raise found from error

    def _identification(self, credential: Credential) -> Mapping[str, str]:
        acting = {"Impersonate-User": self._acting} if self._acting else self._identity.user.acting
        if credential.authorization is None:
            return acting
        if goes_in_clear_text(urlsplit(self.address)):
            msg = (
                f"refusing to send the credentials of {self._identity.user.words} to {self.address} in clear text: "
                f"whoever sees them can use the cluster; use https in {self._endpoint.named_by}"
            )
            raise RefusedByPolicy(msg)
        return {"Authorization": credential.authorization, **acting}

    def _check(self, answer: Answer, request: Request) -> None:
        if answer.status >= _REFUSED:
            said = Answered(status=answer.status, headers=answer.headers, body=answer.read(_MOST_WORDS))
            raise refusal(said, what=request.what, has_secrets=request.has_secrets)
        if answer.status >= _REDIRECTION:  # to where a person would log in
            raise self.no_kubernetes(request)

    def _unanswered(self, error: StagingError, request: Request) -> StagingError:
        return unanswered(error, what=request.what, named_by=self._endpoint.named_by)
