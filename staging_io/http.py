"""HTTP for pods and submitters: connections, TLS, proxies and time-outs in one place.

One `HttpClient` holds the connections of a program.  It neither retries nor follows redirects: both are decisions of
its callers.  Every foreign exception leaves here as one of ours.

There are two ways out.  What needs no proxy goes by `direct`, which costs little; proxies are reached by urllib3
(`pooled`), which is loaded then.  An `Admission` of the settings is asked before each request, and for each address
that a connection would go to.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Self
from urllib.parse import SplitResult, urlsplit

import msgspec

from staging_io.direct import DirectClient
from staging_io.exchange import Answer, Body, HttpSettings
from staging_io.proxies import LOOPBACK, Proxies
from staging_protocol.errors import InvalidRequest, RefusedByPolicy

if TYPE_CHECKING:
    import ssl

    from staging_io.pooled import PooledClient
    from staging_io.tls import TlsContexts

__all__ = ["Answer", "Body", "HttpClient", "HttpSettings", "bearer", "goes_in_clear_text"]


class HttpClient:
    """Connections to any number of hosts; safe to use from several threads."""

    def __init__(self, settings: HttpSettings | None = None) -> None:
        self._settings = settings or HttpSettings()
        # Encoded bodies have other sizes and digests than the ones we were promised.
        self._headers = {"User-Agent": self._settings.user_agent, "Accept-Encoding": "identity"}
        self._admission = self._settings.admission
        self._proxies = Proxies(self._settings)
        self._direct = DirectClient(self._settings, tls=self._tls)
        self._contexts: TlsContexts | None = None
        self._pooled: PooledClient | None = None
        self._hastier: list[HttpClient] = []

    def open(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: Body | None = None
    ) -> Answer:
        """Send one request and return its answer, whatever its status, with the body still to be read.

        The caller closes it, best by `with`; a body that was not read to its end costs the connection.  What the parts
        of `body` raise passes through.

        Raises:
            SourceUnavailable: no connection, no answer, or a body that ends early; also while the caller reads.
            InvalidRequest: the URL is none, or a certificate file of the settings cannot be used.
            RefusedByPolicy: no request may go there.
            PeerNotTrusted, Unauthenticated, Denied: the peer's certificate does not hold, it refuses ours, or the proxy
                refuses to connect.
        """
        parts = _split(url)
        if self._admission is not None:
            self._admission.check_url(parts)
        all_headers = {**self._headers, **(headers or {})}
        proxy = self._proxies.of(parts)
        if proxy is None:
            return self._direct.open(method, parts, headers=all_headers, body=body)
        return self._pool().open(method, url, headers=all_headers, body=body, proxy=proxy)

    def hastier(self, *, seconds: float) -> Self:
        """Return a client under the same policy, with connections of its own, that gives peers up after `seconds`.

        It is closed with this one.
        """
        made = type(self)(
            msgspec.structs.replace(
                self._settings,
                connect_timeout=min(seconds, self._settings.connect_timeout),
                stall_timeout=min(seconds, self._settings.stall_timeout),
            )
        )
        self._hastier.append(made)
        return made

    def close(self) -> None:
        """Close all connections."""
        self._direct.close()
        if self._pooled is not None:
            self._pooled.close()
        for made in self._hastier:
            made.close()

    def _tls(self, url: SplitResult) -> "ssl.SSLContext":
        return self._usual_tls(url) if self._settings.tls is None else self._settings.tls(url)

    def _usual_tls(self, url: SplitResult) -> "ssl.SSLContext":
        if self._contexts is None:
            from staging_io.tls import TlsContexts  # 20 ms, for `ssl`

            self._contexts = TlsContexts(self._settings)
        return self._contexts.of(url)

    def _pool(self) -> "PooledClient":
        if self._pooled is None:
            from staging_io.pooled import PooledClient

            self._pooled = PooledClient(self._settings, tls=self._tls, proxy_tls=self._usual_tls)
        return self._pooled


def goes_in_clear_text(url: SplitResult) -> bool:
    """Tell whether others on the network can read what is sent to `url`: then it must carry no secret."""
    return url.scheme != "https" and url.hostname not in LOOPBACK


def bearer(secret: str, *, url: str, allow_plain_http: bool) -> dict[str, str]:
    """Return the Authorization header with the token `secret` for `url`.

    Raises:
        RefusedByPolicy: it would travel readable to another machine, and no setting allows that.
    """
    parts = urlsplit(url)
    if goes_in_clear_text(parts) and not allow_plain_http:
        msg = (
            f"refusing to send a token to {parts.scheme}://{parts.hostname} in clear text; "
            "use https, or set SPARK_STAGING_ALLOW_PLAIN_HTTP=true in a network that you trust"
        )
        raise RefusedByPolicy(msg)
    return {"Authorization": f"Bearer {secret}"}


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        valid = _is_origin(parts.scheme, parts.netloc)
    except ValueError:
        valid = False
    if not valid:
        msg = "this is not a URL of http or https"  # it is not repeated: it may hold a secret
        raise InvalidRequest(msg)
    return parts


@lru_cache(maxsize=256)
def _is_origin(scheme: str, netloc: str) -> bool:
    parts = SplitResult(scheme, netloc, "", "", "")
    return scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
