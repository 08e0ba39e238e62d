"""Requests to one server with one identity: with the secret that is right now, and refusals as our errors."""

from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from staging_io.bearers import Bearer
from staging_io.http import Answer, Body, HttpClient, bearer
from staging_io.refusals import problem_error
from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest
from staging_protocol.uploads import DIGEST
from staging_protocol.wire import decode, encode

T = TypeVar("T")

JSON: Final[Mapping[str, str]] = {"Content-Type": "application/json"}

_MAX_ANSWER: Final = 16 * 1024 * 1024
"""Bytes; a manifest of 10,000 files has 3 MB. What is larger did not come from our server."""


class AuthorizedHttp:
    """One server and one identity; safe to use from several threads."""

    def __init__(self, *, url: str, bearer: Bearer, http: HttpClient, allow_plain_http: bool) -> None:
        self._url = url.rstrip("/")
        self._bearer = bearer
        self._http = http
        self._allow_plain_http = allow_plain_http

    def call(
        self,
        method: str,
        path: str,
        *,
        answer: type[T],
        body: msgspec.Struct | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """Send a body as JSON, and return the answer as `answer`."""
        data = None if body is None else encode(body)
        fields = {**JSON, **content_digest(data), **(headers or {})}
        return read(self.send(method, path, body=data, headers=fields), into=answer)

    def send(
        self, method: str, path: str, *, body: Body | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """Return the body of a good answer."""
        return self.exchange(method, path, body=body, headers=headers).data

    def exchange(
        self, method: str, path: str, *, body: Body | None = None, headers: Mapping[str, str] | None = None
    ) -> "Reply":
        """Return a good answer; raises the error that another one stands for."""
        return without_problem(self.ask(method, path, body=body, headers=headers))

    def ask(
        self, method: str, path: str, *, body: Body | None = None, headers: Mapping[str, str] | None = None
    ) -> "Reply":
        """Return the whole answer, whatever its status."""
        with self.open(method, path, body=body, headers=headers) as response:
            return Reply(status=response.status, headers=response.headers, data=response.read(_MAX_ANSWER))

    def open(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: Body | None = None
    ) -> Answer:
        """Send a request with our secret, and again if there is another one after 401; return its answer, still unread.

        Parts of a body can be sent only once, so with them a refusal stands.
        """
        secret = self._bearer.current()
        answer = self._open(method, path, headers=headers, body=body, secret=secret)
        if answer.status != 401 or not (body is None or isinstance(body, bytes)):  # noqa: PLR2004 - RFC 9110, 15.5.2
            return answer
        try:
            other = self._bearer.after_refusal(secret)
        except BaseException:
            answer.close()
            raise
        if other is None:
            return answer
        answer.close()
        return self._open(method, path, headers=headers, body=body, secret=other)

    def _open(
        self, method: str, path: str, *, headers: Mapping[str, str] | None, body: Body | None, secret: str | None
    ) -> Answer:
        return self._http.open(
            method, self._url + path, body=body, headers={**(headers or {}), **self._authorization(secret)}
        )

    def authorization(self) -> dict[str, str]:
        """Return the header fields with our secret as it is now."""
        return self._authorization(self._bearer.current())

    def _authorization(self, secret: str | None) -> dict[str, str]:
        return {} if secret is None else bearer(secret, url=self._url, allow_plain_http=self._allow_plain_http)


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that was read to its end."""

    status: int
    headers: Mapping[str, str]
    data: bytes


def without_problem(reply: Reply) -> Reply:
    """Return a good answer; raises the error that another one stands for."""
    if reply.status >= 300:  # noqa: PLR2004 - RFC 9110, section 15.4: our server never redirects these routes
        raise problem_error(reply, reply.data)
    return reply


def content_digest(data: bytes | None) -> dict[str, str]:
    """Return the field by which the server notices that a body was changed on its way (RFC 9530, section 2)."""
    return {} if data is None else {"Content-Digest": Digest.of(data).repr_digest}


def is_whole(reply: Reply) -> bool:
    """Whether the bytes have the digest that came with them; a server that states none is older than that field."""
    stated = reply.headers.get(DIGEST)
    return stated is None or stated == Digest.of(reply.data).repr_digest


def read(data: bytes, *, into: type[T]) -> T:
    """Return the JSON of an answer; raises InvalidRequest when it is not one of our server."""
    try:
        return decode(data, into=into)
    except InvalidRequest as error:
        msg = f"the answer is not one of a staging server; is the URL right? ({error.detail})"
        raise InvalidRequest(msg) from error
