"""Dependencies on web servers: `http://…` and `https://…`.

Redirects are followed here, because each is a decision: at most five, never from https to http, and credentials never
go to another origin than the one they were written for.  User info in a URI is basic authentication for its origin.
"""

import base64
import re
import socket
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Final
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from resolver.sources.base import Reading, Source, Stat, Version
from resolver.sources.ranged import read_range, refused, size_of, stat_of
from staging_io.http import Answer, HttpClient, goes_in_clear_text
from staging_protocol.errors import NotFound, RefusedByPolicy
from staging_protocol.uris import DependencyUri

MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_METADATA: Final = frozenset({"metadata.google.internal", "fd00:ec2::254"})
_MAY_BE_ADDRESS: Final = re.compile(r"[0-9a-fx.]+|[0-9a-f:.]+(%.*)?")


class HttpSource:
    """Reads from any web server."""

    def __init__(self, http: HttpClient, *, allow_plain_http: bool = False) -> None:
        """`allow_plain_http` lets user info go to other machines in clear text."""
        self._http = http
        self._allow_plain_http = allow_plain_http

    def stat(self, uri: DependencyUri) -> Stat:
        """Ask with HEAD."""
        with self._follow("HEAD", uri, {}) as answer:
            if answer.status != 200:  # noqa: PLR2004 - RFC 9110, section 15.3.1
                raise refused(answer, name=str(uri))
            return stat_of(answer, size=size_of(answer))

    def read(
        self, uri: DependencyUri, *, version: Version | None, start: int, stop: int | None
    ) -> AbstractContextManager[Reading]:
        """Read with one ranged GET."""
        return read_range(
            partial(self._follow, "GET", uri),
            name=str(uri), version=version, start=start, stop=stop, refusal=partial(refused, name=str(uri)),
        )  # fmt: skip

    def _follow(self, method: str, uri: DependencyUri, headers: Mapping[str, str]) -> Answer:
        first = urlsplit(uri.without_fragment)
        url = start = _without_user_info(first)
        credentials = self._credentials(uri, first)
        for _ in range(MAX_REDIRECTS + 1):
            own = credentials if credentials and _origin(url) == _origin(start) else {}
            answer = self._http.open(method, url, headers={**headers, **own})
            if answer.status not in _REDIRECTS or not answer.headers.get("Location"):
                return answer
            answer.close()
            url = _next(url, location=answer.headers["Location"], uri=uri)
        msg = f"{uri} is redirected more than {MAX_REDIRECTS} times"
        raise NotFound(msg)

    def _credentials(self, uri: DependencyUri, url: SplitResult) -> dict[str, str]:
        if "@" not in url.netloc or url.username is None:
            return {}
        if goes_in_clear_text(url) and not self._allow_plain_http:
            msg = f"refusing to send the user info of {uri} in clear text; use https"
            raise RefusedByPolicy(msg)
        pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _without_user_info(url: SplitResult) -> str:
    return (url._replace(netloc=url.netloc.rpartition("@")[2]) if "@" in url.netloc else url).geturl()


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _next(url: str, *, location: str, uri: DependencyUri) -> str:
    try:
        target = urlsplit(urljoin(url, location))
        _ = target.port
    except ValueError as error:
        msg = f"{uri} is redirected to what is no URL"
        raise NotFound(msg) from error
    if target.scheme not in {"http", "https"}:
        msg = f"{uri} is redirected to the scheme {target.scheme!r}"
        raise RefusedByPolicy(msg)
    if urlsplit(url).scheme == "https" and target.scheme != "https":
        msg = f"{uri} is redirected from https to http"
        raise RefusedByPolicy(msg)
    if _gives_credentials(target.hostname or "") and not _gives_credentials(urlsplit(url).hostname or ""):
        msg = f"{uri} is redirected to {target.hostname}, an address that clouds give credentials at"
        raise RefusedByPolicy(msg)
    return _without_user_info(target._replace(fragment=""))


def _gives_credentials(host: str) -> bool:
    """Tell whether `host` is written as an address of clouds' metadata: link-local (RFC 3927), or known by name.

    It is no boundary: another name may lead there too.
    """
    if host in _METADATA or not _MAY_BE_ADDRESS.fullmatch(host):
        return host in _METADATA
    from ipaddress import ip_address  # 4 ms, and hardly any redirect names an address

    try:
        # As the resolver of names reads them: 2852039166 and 0xa9fea9fe are addresses too.
        found = ip_address(host if ":" in host else socket.inet_aton(host))
    except (ValueError, OSError):
        return False
    return (getattr(found, "ipv4_mapped", None) or found).is_link_local


_: type[Source] = HttpSource
