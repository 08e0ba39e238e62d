"""Dependencies on web servers: `http://…` and `https://…`.

Redirects are followed here, because each is a decision: as many and to such hosts as the settings say, never from https
to http, and each goes through the rules of egress.  Credentials go to the host that they were written for only
(`http_credentials`).

Bytes are taken as the server has them.  One that encodes them though nobody asked for it is refused, since they would
be others than the file's; but a file that is named `.gz` or `.tgz` is what such a server calls "encoded with gzip".
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from resolver.policy import matches
from resolver.sources.base import Identified, Reading, Source, Stat, Version
from resolver.sources.http_credentials import HttpCredentials
from resolver.sources.outside import Outside
from resolver.sources.ranged import read_range, refused, size_of, stat_of
from staging_io.exchange import authority_of
from staging_io.http import Answer
from staging_protocol.errors import Denied, InvalidRequest, NotFound, RefusedByPolicy, StagingError, Unauthenticated
from staging_protocol.uris import DependencyUri

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HEAD_UNKNOWN: Final = frozenset({400, 403, 405, 501})
"""Answers of servers that do not know HEAD, and to signed URLs, whose signature is for GET only."""


class HttpSource:
    """Reads from any web server."""

    def __init__(self, outside: Outside) -> None:
        """Take the way out, with the settings of web servers."""
        self._outside = outside
        self._http = outside.http
        self._settings = outside.settings.http
        self._credentials = HttpCredentials(outside)

    def stat(self, uri: DependencyUri) -> Stat:
        """Ask with HEAD, and where that is not known for the first byte."""
        with self._follow("HEAD", uri, {}) as answer:
            if answer.status == 200:  # noqa: PLR2004 - RFC 9110, section 15.3.1
                return stat_of(answer, size=size_of(answer))
            if answer.status not in _HEAD_UNKNOWN:
                raise self._refused(answer, uri=uri)
        with self.read(uri, version=None, start=0, stop=1) as reading:
            return reading.stat

    def read(
        self, uri: DependencyUri, *, version: Version | None, start: int, stop: int | None
    ) -> AbstractContextManager[Reading]:
        """Read with one ranged GET."""
        return read_range(
            partial(self._follow, "GET", uri),
            name=str(uri), version=version, start=start, stop=stop, refusal=partial(self._refused, uri=uri),
        )  # fmt: skip

    def identity(self, uri: DependencyUri) -> str:
        """Return as whom it asks."""
        return self._credentials.identity(_url(uri))

    def _follow(self, method: str, uri: DependencyUri, headers: Mapping[str, str]) -> Answer:
        url, user_info = _split(uri)
        origin = (url.scheme, authority_of(url)) if user_info else None
        for hop in range(self._settings.redirects + 1):
            own = user_info if origin and (url.scheme, authority_of(url)) == origin else None
            shown = self._credentials.headers(url, user_info=own)
            answer = self._open(method, url, headers={**headers, **shown}, uri=uri, hop=hop)
            if answer.status not in _REDIRECTS or not answer.headers.get("Location"):
                return _plain(answer, uri=uri)
            answer.close()
            url = self._next(url, location=answer.headers["Location"], uri=uri)
        msg = f"{uri} is redirected more than {self._settings.redirects} times"
        raise NotFound(msg)

    def _open(
        self, method: str, url: SplitResult, *, headers: Mapping[str, str], uri: DependencyUri, hop: int
    ) -> Answer:
        try:
            return self._http.open(method, url.geturl(), headers=headers)
        except RefusedByPolicy as error:
            if not hop:
                raise
            msg = f"{uri} is redirected to where nothing is fetched from: {error.detail}"
            raise RefusedByPolicy(msg) from error

    def _next(self, url: SplitResult, *, location: str, uri: DependencyUri) -> SplitResult:
        try:
            target = urlsplit(urljoin(url.geturl(), location))
            _ = target.port
        except ValueError as error:
            msg = f"{uri} is redirected to what is no URL"
            raise NotFound(msg) from error
        self._check_redirect(url, target, uri=uri)
        return _without_user_info(target)

    def _check_redirect(self, url: SplitResult, target: SplitResult, *, uri: DependencyUri) -> None:
        host, permitted = target.hostname or "", self._settings.redirect_hosts
        if not self._settings.redirects:
            msg = f"{uri} is redirected to the host {host}, and http.redirects of sources.json is 0"
        elif target.scheme not in {"http", "https"}:
            msg = f"{uri} is redirected to the scheme {target.scheme!r}"
        elif url.scheme == "https" and target.scheme != "https":
            msg = f"{uri} is redirected from https to http"
        elif permitted and host != url.hostname and not matches(host, permitted):
            msg = f"{uri} is redirected to {host}, which http.redirect_hosts of sources.json does not have"
        else:
            if self._outside.policy is not None:
                self._outside.policy.check_scheme(target.scheme, name=f"a redirect of {uri}")
            return
        raise RefusedByPolicy(msg)

    def _refused(self, answer: Answer, *, uri: DependencyUri) -> StagingError:
        error = refused(answer, name=str(uri))
        if isinstance(error, Denied | Unauthenticated | InvalidRequest):
            return type(error)(f"{error.detail} (asked as {self.identity(uri)})")
        return error


def _url(uri: DependencyUri) -> SplitResult:
    try:
        return urlsplit(uri.without_fragment)
    except ValueError as error:
        msg = f"{uri} is no URL"
        raise InvalidRequest(msg) from error


def _split(uri: DependencyUri) -> tuple[SplitResult, str | None]:
    """Return the URL without user info, and that."""
    url = _url(uri)
    if "@" not in url.netloc:
        return url, None
    return _without_user_info(url), url.netloc.rpartition("@")[0]


def _without_user_info(url: SplitResult) -> SplitResult:
    return url._replace(netloc=url.netloc.rpartition("@")[2], fragment="")


def _plain(answer: Answer, *, uri: DependencyUri) -> Answer:
    coding = answer.headers.get("Content-Encoding")
    if coding is None:
        return answer
    coding = coding.lower()
    is_file = coding in {"gzip", "x-gzip"} and uri.path.lower().endswith((".gz", ".tgz"))
    if coding in {"", "identity"} or is_file or answer.status >= 300:  # noqa: PLR2004 - an error's page is not read
        return answer
    answer.close()
    msg = f"{uri} comes encoded with {coding[:40]!r} though the file itself was asked for: it would not be that file"
    raise InvalidRequest(msg)


_source: type[Source] = HttpSource
_identified: type[Identified] = HttpSource
