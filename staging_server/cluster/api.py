"""The Kubernetes API as three calls: get, post and watch, with deadlines on both sides and errors of ours.

Answers are decoded into msgspec structs that name the few fields which are looked at.  Every way to fail becomes one of
these here, and nowhere else:

    404 NotFound   403 Denied   401 Unauthenticated (once the credentials were loaded anew)   410 `ListAgain`
    408, 429, 5xx, refused, silent, broken off, TLS, an answer that is no JSON: Unavailable, which may pass
    every other 4xx: InternalError, as it is this program that wrote the request
"""

import asyncio
import importlib.util
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import aiohttp
import msgspec

from staging_protocol.errors import (
    Denied,
    InternalError,
    InvalidRequest,
    NotFound,
    StagingError,
    Unauthenticated,
    Unavailable,
)
from staging_server.cluster.credentials import Connection, Credentials
from staging_server.settings import KubernetesSettings

Body = Mapping[str, Any] | msgspec.Struct
Query = Mapping[str, str | int]
T = TypeVar("T")

JSON: Final = "application/json"
_NOTHING: Final[Query] = {}

_UNAUTHENTICATED: Final = 401
_GONE: Final = 410
_MAY_PASS: Final = frozenset({408, 429})
_SERVER_ERRORS: Final = 500
_REFUSALS: Final[Mapping[int, type[StagingError]]] = {401: Unauthenticated, 403: Denied, 404: NotFound}

_MAX_LINE: Final = 16 * 1024 * 1024
"""Bytes of one event; etcd keeps no object above 1.5 MiB, and JSON may be some times as long."""
_SPEAKS_LATE: Final = 5.0
"""Seconds that we wait longer than the API server was asked to, so that it is the one that says so."""

_TURNS: Final = 3
"""Of the event loop, in which transports that were told to close do it: TLS, and then the connection below."""


class ListAgain(Exception):
    """The API server no longer has what happened since that version (410): only a new list tells."""


class _Status(msgspec.Struct, frozen=True):
    """What the API server says when it refuses (meta/v1 Status)."""

    reason: str = ""
    message: str = ""


class ClusterApi:
    """The API server of one cluster, as ourselves."""

    def __init__(self, credentials: Credentials, *, settings: KubernetesSettings) -> None:
        self._credentials = credentials
        self._settings = settings

    async def get(self, path: str, *, into: type[T], query: Query = _NOTHING, accept: str = JSON) -> T:
        """Return the object or list at `path`, decoded.

        Raises:
            NotFound: it is not there.
            Denied: we may not read it; the message says which right is missing.
            Unauthenticated: the API server does not know us.
            ListAgain: a page of a list was asked for too late.
            Unavailable: not now.
            InternalError: the API server refuses the request as such.
        """
        within = self._settings.request_timeout
        wanted = {"timeoutSeconds": max(1, int(within)), **query}
        async with self._answer("GET", path, query=wanted, accept=accept, timeout=self._whole(within)) as answer:
            return _decoded(await answer.read(), into=into)

    async def post(self, path: str, body: Body, *, into: type[T]) -> T:
        """Create what `body` says, such as a review, and return the answer; raises as `get`."""
        sent = msgspec.to_builtins(body, enc_hook=str)  # ids are str, but not exactly
        timeout = self._whole(self._settings.request_timeout)
        async with self._answer("POST", path, body=sent, timeout=timeout) as answer:
            return _decoded(await answer.read(), into=into)

    async def watch(self, path: str, *, query: Query, accept: str = JSON) -> AsyncGenerator[bytes]:
        """Yield the lines of a watch until the API server ends it; raises as `get`.

        The first one is empty and comes as soon as the API server has agreed.
        Where nothing happens it may be silent until then (in 1.20 there is not even a bookmark), so it is asked to end
        it soon, and given up when it does not.  A line that was cut off is not given.
        """
        settings = self._settings
        wanted = {"watch": 1, "timeoutSeconds": int(settings.watch_timeout), **query}
        total = settings.watch_timeout + settings.request_timeout
        timeout = aiohttp.ClientTimeout(total=total, connect=settings.connect_timeout)
        async with self._answer("GET", path, query=wanted, accept=accept, timeout=timeout) as answer:
            try:
                async with aclosing(_lines(answer)) as lines:
                    async for line in lines:
                        yield line
            finally:
                # Whoever leaves early does not wait for the farewell of TLS, which a silent peer never says.
                if answer.connection is not None and answer.connection.transport is not None:
                    answer.connection.transport.abort()

    def _whole(self, within: float) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(total=within + _SPEAKS_LATE, connect=self._settings.connect_timeout)

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        *,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - several limits in one, for aiohttp
        query: Query = _NOTHING,
        accept: str = JSON,
        body: Any = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the answer when it is a good one."""
        target = f"{path}?{urlencode(query)}" if query else path
        used = await self._credentials.current()
        try:
            async with await _send(used, method, target, accept=accept, body=body, timeout=timeout) as answer:
                if answer.status != _UNAUTHENTICATED or not await self._credentials.renew(used):
                    await _check(answer, what=f"{method} {path}")
                    yield answer
                    return
            used = await self._credentials.current()
            async with await _send(used, method, target, accept=accept, body=body, timeout=timeout) as answer:
                await _check(answer, what=f"{method} {path}")
                yield answer
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:  # TimeoutError is an OSError
            if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
                await self._credentials.renew(used)  # for the next request
            msg = f"Kubernetes does not answer {method} {path}: {str(error) or type(error).__name__}"
            raise Unavailable(msg) from error


def open_cluster_api(settings: KubernetesSettings) -> AbstractAsyncContextManager[ClusterApi]:
    """Open the API of the cluster that the settings name; `settings.connect` is not `no`.

    Nothing is asked yet: where Kubernetes cannot be reached, the calls say so.

    Raises:
        InvalidRequest: the library is not installed, so that no call could ever work.
    """
    # Not imported: it takes half a second, and may come with the first call.
    if importlib.util.find_spec("kubernetes") is None:
        msg = (
            f"kubernetes.connect={settings.connect} needs the Python package kubernetes, which is not installed here: "
            "install spark-staging[server], or use an image that was built with it"
        )
        raise InvalidRequest(msg)
    return _opened(settings)


@asynccontextmanager
async def _opened(settings: KubernetesSettings) -> AsyncIterator[ClusterApi]:
    credentials = Credentials(settings)
    try:
        yield ClusterApi(credentials, settings=settings)
    finally:
        await credentials.close()
        for _ in range(_TURNS):
            await asyncio.sleep(0)


async def _send(
    used: Connection,
    method: str,
    target: str,
    *,
    accept: str,
    body: Any,
    timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - several limits in one, for aiohttp
) -> aiohttp.ClientResponse:
    # Not compressed: inside a cluster bytes are cheaper than the API server's time.
    headers = {"Accept": accept, "Accept-Encoding": "identity"}
    if used.authorization is not None:
        headers["Authorization"] = used.authorization
    answer = await used.rest.request(method, used.host + target, headers=headers, body=body, _request_timeout=timeout)
    response: aiohttp.ClientResponse = answer.response
    return response


async def _lines(answer: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
    yield b""
    rest = b""
    async for piece in answer.content.iter_any():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line
        if len(rest) > _MAX_LINE:
            raise Unavailable("an event of a watch is longer than any object may be")


async def _check(answer: aiohttp.ClientResponse, *, what: str) -> None:
    if answer.ok:
        return
    status = answer.status
    said = _status(await answer.read())
    if status == _GONE:
        raise ListAgain(said.message)
    if status in _MAY_PASS or status >= _SERVER_ERRORS:
        msg = f"Kubernetes answers {what} with {status} {said.reason}"
        raise Unavailable(msg, retry_after=_seconds(answer.headers.get("Retry-After", "")))
    # The message of a refusal names the missing right; others could repeat what was sent, which may be a token.
    told = said.message if status in _REFUSALS else said.reason
    msg = f"Kubernetes answers {what} with {status}: {told or answer.reason}"
    raise _REFUSALS.get(status, InternalError)(msg)


def _status(content: bytes) -> _Status:
    try:
        return msgspec.json.decode(content, type=_Status)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Status()  # from a proxy on the way


def _seconds(text: str) -> float | None:
    return float(text) if text.isdecimal() else None


def _decoded(content: bytes, *, into: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=into)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"Kubernetes gives an answer that is none: {error}"
        raise Unavailable(msg) from error
