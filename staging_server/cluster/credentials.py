"""Who we are to the API server, and by which connection: from the pod's own identity or from a kubeconfig.

Both change while we run.  The token of a pod is written anew into its file about every hour, and is read again each
minute.  What a kubeconfig gives (a token of a plug-in, a certificate) and the authorities that are trusted are loaded
again when the API server refuses us or its certificate does not hold.  New trust means a new REST client.

The library reads files where it stands and starts plug-ins; so it works on a thread of its own.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from staging_protocol.errors import Unavailable
from staging_server.settings import Connect, KubernetesSettings

_TOKEN_EVERY: Final = 60.0
"""Seconds between two looks at the pod's token: the kubelet renews it long before it ends."""
_RENEW_AT_MOST_EVERY: Final = 10.0
"""Seconds; whoever is refused for good must not start the plug-in of a kubeconfig for every request."""
_LOADED_WITHIN: Final = 30.0
"""Seconds for a plug-in of a kubeconfig; it may have to ask somebody."""
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How to reach the API server, and as whom.

    Attributes:
        rest: the library's `RESTClientObject`.
        host: URL without path.
        authorization: value of the header; None with a client certificate.
        trust: digest of everything that the TLS context was made of.
    """

    rest: Any
    host: str
    authorization: str | None
    trust: str

    def __repr__(self) -> str:
        """Return where it leads; the header is a secret."""
        return f"Connection({self.host})"


class Credentials:
    """The connection of now.  Belongs to one event loop."""

    def __init__(self, settings: KubernetesSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._connection: Connection | None = None
        self._retired: Connection | None = None
        self._loaded = 0.0

    async def current(self) -> Connection:
        """Return the connection to use for the next request.

        Raises:
            Unavailable: there are no credentials, or not now.
        """
        old = self._connection
        if old is None:
            return await self._load()
        if self._settings.connect is Connect.IN_CLUSTER and self._clock() - self._loaded >= _TOKEN_EVERY:
            with suppress(Unavailable):  # the old token is good for some more minutes
                return await self._load()
        return old

    async def renew(self, used: Connection) -> bool:
        """Load anew after `used` was refused; return whether another one is there now."""
        if self._connection is used and self._clock() - self._loaded >= _RENEW_AT_MOST_EVERY:
            await self._load()
        return self._connection is not used

    async def close(self) -> None:
        """Close the connections."""
        for connection in (self._connection, self._retired):
            if connection is not None:
                await connection.rest.close()

    async def _load(self) -> Connection:
        before = self._loaded
        async with self._one_at_a_time:
            # Somebody else may have loaded while this one waited.
            if self._connection is None or self._loaded == before:
                await self._take(*await self._read())
            if self._connection is None:
                raise AssertionError
            return self._connection

    async def _read(self) -> tuple[Any, str]:
        """Return the library's configuration, and the digest of the trust in it."""
        self._loaded = self._clock()
        try:
            async with asyncio.timeout(_LOADED_WITHIN):
                return await asyncio.to_thread(_configuration, self._settings)
        except _unusable() as error:
            msg = f"there are no credentials for Kubernetes ({self._settings.connect}): {error}"
            raise Unavailable(msg) from error

    async def _take(self, configuration: Any, trust: str) -> None:
        old = self._connection
        authorization = configuration.api_key.get("BearerToken")
        if old is not None and (old.host, old.trust) == (configuration.host, trust):
            if old.authorization != authorization:
                self._connection = Connection(rest=old.rest, host=old.host, authorization=authorization, trust=trust)
            return
        rest = await asyncio.to_thread(_rest_client, configuration)
        self._connection = Connection(rest=rest, host=configuration.host, authorization=authorization, trust=trust)
        if self._retired is not None:
            await self._retired.rest.close()
        self._retired = old  # whoever uses it may end in peace; watches take minutes, trust lasts for months


def _configuration(settings: KubernetesSettings) -> tuple[Any, str]:
    """Load on this thread; the library needs an event loop for plug-ins."""
    from kubernetes.aio import config
    from kubernetes.aio.client import Configuration

    found = Configuration(connection_pool_maxsize=0)  # as many as there are watches, and reviews besides
    if settings.connect is Connect.IN_CLUSTER:
        config.load_incluster_config(found, try_refresh_token=False)  # type: ignore[no-untyped-call] # the library has no types
    else:
        file = None if settings.kubeconfig is None else str(settings.kubeconfig)
        load = config.load_kube_config
        asyncio.run(load(file, settings.context, client_configuration=found, persist_config=False))  # type: ignore[no-untyped-call] # as above
    if "BearerToken" in found.api_key:
        found.api_key["BearerToken"] = found.api_key["BearerToken"].strip()
    # As with kubectl, a cluster on this machine is not asked through HTTPS_PROXY.
    found.client_session_kwargs = {"trust_env": urlsplit(found.host).hostname not in _LOOPBACK}
    return found, _digest(found)


def _digest(configuration: Any) -> str:
    files = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    parts = [Path(file).read_bytes() if file else b"" for file in files]
    parts.append(repr((configuration.verify_ssl, configuration.tls_server_name, configuration.proxy)).encode())
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _rest_client(configuration: Any) -> Any:
    """Make the TLS context, which reads files; connections come later, on the event loop."""
    from kubernetes.aio.client.rest import RESTClientObject

    return RESTClientObject(configuration)


def _unusable() -> tuple[type[Exception], ...]:
    """Return what the library raises for files that are not there or that make no sense."""
    import yaml
    from kubernetes.aio.config import ConfigException

    # TimeoutError is an OSError.
    return (ConfigException, OSError, ValueError, KeyError, TypeError, yaml.YAMLError)
