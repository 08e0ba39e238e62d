"""A whole staging server in this process, on a real loopback socket, watched by blockbuster."""

import asyncio
import contextlib
import hashlib
import io
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from blockbuster import blockbuster_ctx
from multidict import CIMultiDict

from staging_protocol.tokens import BundleId, Token, TokenKind
from staging_server.access_tokens import AccessToken, Verb, add_token
from staging_server.logs import configured
from staging_server.serving import RunningServer, running
from staging_server.settings import Settings
from staging_server.times import Clock, utc_now

JSON = {"Content-Type": "application/json"}
BYTES = {"Content-Type": "application/octet-stream"}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(kw_only=True)
class Live:
    """A running server and a client of it; `token` is sent with each request unless another is named."""

    server: RunningServer
    session: aiohttp.ClientSession
    token: str | None = None
    log_file: Path
    host: str = field(init=False)
    port: int = field(init=False)

    def __post_init__(self) -> None:
        host, _, port = self.server.url.rpartition("//")[2].rpartition(":")
        self.host, self.port = host.strip("[]"), int(port)

    def logs(self) -> str:
        """Return all lines logged so far."""
        descriptor = os.open(self.log_file, os.O_RDONLY)
        try:
            return os.pread(descriptor, 10_000_000, 0).decode()
        finally:
            os.close(descriptor)

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> Answer:
        """Send one request; `body` goes as JSON, `data` as bytes."""
        fields = dict(headers or {})
        bearer = token or self.token
        if bearer is not None and "Authorization" not in fields:
            fields["Authorization"] = f"Bearer {bearer}"
        if body is not None:
            data, fields = json.dumps(body).encode(), {**JSON, **fields}
        url = f"{self.server.url}{path}"
        async with self.session.request(
            method,
            url,
            data=None if data is None else io.BytesIO(data),
            headers=fields,
            skip_auto_headers=["Content-Type"],
            allow_redirects=False,
        ) as response:
            return Answer(status=response.status, headers=response.headers.copy(), body=await response.read())

    async def create(self, *files: Mapping[str, Any], namespace: str = "team-a", **more: Any) -> Any:
        """Create a bundle and return the answer's JSON."""
        body = {"application": "job", "files": list(files), **more}
        answer = await self.call("POST", f"/v1/namespaces/{namespace}/bundles", body=body)
        assert answer.status == 201, answer.body
        return answer.json

    async def put(self, content: bytes, *, namespace: str = "team-a", **more: Any) -> Answer:
        """Upload one blob."""
        path = f"/v1/namespaces/{namespace}/blobs/{digest_of(content)}"
        return await self.call("PUT", path, data=content, headers={**BYTES, **more.pop("headers", {})}, **more)

    async def staged(self, content: bytes = b"content", *, name: str = "a.jar", namespace: str = "team-a") -> Any:
        """Create, upload and seal a bundle of one jar; return the JSON of the create."""
        made = await self.create(new_file(content, name=name), namespace=namespace)
        if made["files"] == ["wanted"]:
            assert (await self.put(content, namespace=namespace)).status == 201
            sealed = await self.call("POST", f"/v1/namespaces/{namespace}/bundles/{made['id']}/seal")
            assert sealed.status == 200, sealed.body
        return made

    @contextlib.asynccontextmanager
    async def raw(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Open a bare connection, for what no proper client would send."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def digest_of(content: bytes) -> str:
    """Return the digest of `content`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def new_file(content: bytes, *, name: str = "a.jar", kind: str = "jar") -> dict[str, Any]:
    """Return the entry of a create's body for `content`."""
    return {"kind": kind, "name": name, "size": len(content), "digest": digest_of(content)}


def access_token(
    path: Path, *, verbs: tuple[str, ...], namespaces: tuple[str, ...] = ("*",), expires: datetime | None = None
) -> Token:
    """Add an access token to the file at `path`."""
    token = Token.generate(TokenKind.ACCESS)
    entry = AccessToken(
        id=token.id,
        hash=token.hash,
        name="test",
        namespaces=namespaces,
        verbs=tuple(map(Verb, verbs)),
        created=datetime.now(UTC),
        expires=expires,
    )
    add_token(path, entry)
    return token


def bundle_token(bundle: str | None = None) -> Token:
    """Return a well-formed bundle token that no server knows."""
    return Token.generate(TokenKind.BUNDLE, identifier=None if bundle is None else BundleId(bundle))


@contextlib.asynccontextmanager
async def live_server(
    folder: Path, *, token: str | None = None, clock: Clock = utc_now, **settings: Any
) -> AsyncIterator[Live]:
    """Run a server with its data in `folder`; `settings` are groups as dictionaries."""
    storage: Any = {"folder": folder / "data", "synchronous": "normal", **settings.pop("storage", {})}
    values = Settings(port=0, storage=storage, **settings)
    log_file = folder / "server.log"
    with log_file.open("wb") as log, configured(level=values.logs.level, plain=False, descriptor=log.fileno()):
        async with running(values, clock=clock) as server, aiohttp.ClientSession() as session:
            # While it serves, the event loop never waits for a disk; starting and ending may.
            with blockbuster_ctx() as watch:
                # `page_cache.warm` has looked that it does not wait.
                watch.functions["os.sendfile"].can_block_in("staging_server/sending/kernel.py", {"step"})
                watch.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", {"lock_data"})
                # The library reads a kubeconfig in an event loop on a thread of its own.
                for function in watch.functions.values():
                    function.can_block_in("staging_server/cluster/credentials.py", {"_configuration"})
                yield Live(server=server, session=session, token=token, log_file=log_file)


async def eventually(condition: Callable[[], bool] | Callable[[], Awaitable[bool]], *, seconds: float = 10) -> None:
    """Wait until `condition` holds; fail when it does not within `seconds`."""
    async with asyncio.timeout(seconds):
        while True:
            answer = condition()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.01)


async def read_head(reader: asyncio.StreamReader) -> tuple[int, CIMultiDict[str]]:
    """Return status and header fields of the next answer on a bare connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    fields: CIMultiDict[str] = CIMultiDict()
    for line in filter(None, head[1:]):
        name, _, value = line.partition(": ")
        fields.add(name, value)
    return int(head[0].split()[1]), fields
