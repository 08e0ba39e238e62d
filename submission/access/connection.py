"""The connection to the staging server that the settings describe."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from staging_io.http import Answer, Body, HttpClient, HttpSettings
from staging_io.staging import StagingClient
from staging_protocol.errors import InvalidRequest
from submission.access.login import Login
from submission.settings import Settings, proxies


class CountingHttp(HttpClient):
    """Counts the requests, for the result of `stage`."""

    def __init__(self, settings: HttpSettings | None = None) -> None:
        super().__init__(settings)
        self._lock = Lock()
        self.requests = 0

    def open(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: Body | None = None
    ) -> Answer:
        """Count and send."""
        with self._lock:
            self.requests += 1
        return super().open(method, url, headers=headers, body=body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A client of the server and the HTTP client under it."""

    url: str
    client: StagingClient
    http: CountingHttp


@contextmanager
def connected(settings: Settings) -> Iterator[Connection]:
    """Yield a connection with the submitter's access token, or with an identity of Kubernetes if the server wants one.

    Raises:
        InvalidRequest: no URL is known.
    """
    if settings.url is None:
        msg = "no staging server is known; set SPARK_STAGING_URL, --url, or `url` in the configuration file"
        raise InvalidRequest(msg)
    if not settings.url.startswith(("http://", "https://")):
        msg = f"{settings.url!r} is not the URL of a server; it begins with http:// or https://"
        raise InvalidRequest(msg)
    http = CountingHttp(http_settings(settings))
    try:
        client = StagingClient(
            url=settings.url,
            token=settings.bearer() or Login(settings, url=settings.url, http=http),
            http=http,
            allow_plain_http=settings.allow_plain_http,
        )
        yield Connection(url=settings.url, client=client, http=http)
    finally:
        http.close()


def http_settings(settings: Settings) -> HttpSettings:
    """Return how to reach other machines."""
    by_scheme, direct = proxies()
    return HttpSettings(
        stall_timeout=settings.stall_timeout,
        ca_file=None if settings.ca_file is None else str(settings.ca_file),
        proxies=by_scheme,
        no_proxy=direct,
        connections=max(16, settings.uploads),
    )
