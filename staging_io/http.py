"""HTTP for pods and submitters: connections, TLS, proxies and time-outs in one place.

One `HttpClient` holds the connections of a program.  It neither retries nor follows redirects: both are decisions of
its callers.  Every foreign exception leaves here as one of ours.

There are two ways out.  What needs no proxy goes by `direct`, which costs little; proxies are reached by urllib3
(`pooled`), which is loaded then.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from staging_io.direct import DirectClient
from staging_io.exchange import Answer, Body, HttpSettings
from staging_protocol.errors import InvalidRequest, RefusedByPolicy

if TYPE_CHECKING:
    import ssl

    from staging_io.pooled import PooledClient

__all__ = ["Answer", "Body", "HttpClient", "HttpSettings", "bearer", "goes_in_clear_text"]

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class HttpClient:
    """Connections to any number of hosts; safe to use from several threads."""

    def __init__(self, settings: HttpSettings | None = None) -> None:
        self._settings = settings or HttpSettings()
        # Encoded bodies have other sizes and digests than the ones we were promised.
        self._headers = {"User-Agent": self._settings.user_agent, "Accept-Encoding": "identity"}
        self._direct = DirectClient(self._settings, tls=self.tls)
        self._context: ssl.SSLContext | None = None
        self._pooled: PooledClient | None = None

    def open(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: Body | None = None
    ) -> Answer:
        """Send one request and return its answer, whatever its status, with the body still to be read.

        The caller closes it, best by `with`; a body that was not read to its end costs the connection.  What the parts
        of `body` raise passes through.

        Raises:
            SourceUnavailable: no connection, no answer, or a body that ends early; also while the caller reads.
            InvalidRequest: the URL is none.
        """
        parts = _split(url)
        all_headers = {**self._headers, **(headers or {})}
        proxy = self._settings.proxies.get(parts.scheme)
        if proxy is not None and self._is_direct(parts.hostname or ""):
            proxy = None
        if proxy is None:
            return self._direct.open(method, parts, headers=all_headers, body=body)
        return self._pool().open(method, url, headers=all_headers, body=body, proxy=proxy)

    def close(self) -> None:
        """Close all connections."""
        self._direct.close()
        if self._pooled is not None:
            self._pooled.close()

    def tls(self) -> "ssl.SSLContext":
        """Return what certificates are checked by; loading the system's authorities takes 20 ms, so only when asked."""
        if self._context is None:
            import ssl

            context = ssl.create_default_context()
            if self._settings.ca_file is not None:
                try:
                    context.load_verify_locations(cafile=self._settings.ca_file)
                except OSError as error:
                    msg = f"{self._settings.ca_file} is not a readable PEM file of certificates: {error}"
                    raise InvalidRequest(msg) from error
            self._context = context
        return self._context

    def _pool(self) -> "PooledClient":
        if self._pooled is None:
            from staging_io.pooled import PooledClient

            self._pooled = PooledClient(self._settings, tls=self.tls)
        return self._pooled

    def _is_direct(self, host: str) -> bool:
        return host in _LOOPBACK or any(
            entry == "*" or host == entry.lstrip(".") or host.endswith(f".{entry.lstrip('.')}")
            for entry in self._settings.no_proxy
        )


def goes_in_clear_text(url: SplitResult) -> bool:
    """Tell whether others on the network can read what is sent to `url`: then it must carry no secret."""
    return url.scheme != "https" and url.hostname not in _LOOPBACK


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
