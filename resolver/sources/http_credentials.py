"""What is shown to which web server: credentials of `sources.json`, and the user info of a URI.

Each belongs to one host and port and goes nowhere else, however redirects lead; and to no other machine in clear text.
Files are read again when they change, because Secrets are replaced while a program runs.
"""

import base64
import os
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import SplitResult, unquote

from resolver.sources.outside import Outside, named_authority
from staging_io.exchange import authority_of
from staging_io.http import goes_in_clear_text
from staging_protocol.errors import InvalidRequest, RefusedByPolicy
from staging_protocol.sources import HttpHost

_FIELD_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, section 5.6.2
_OURS: Final = frozenset(
    {"host", "range", "if-match", "content-length", "transfer-encoding", "connection", "accept-encoding"}
)
"""Fields that say what is asked for, not who asks."""

_MOST_HOSTS: Final = 1000
"""Hosts of which it is remembered whether they have credentials."""


class HttpCredentials:
    """The credentials of all hosts; safe to use from several threads."""

    def __init__(self, outside: Outside) -> None:
        """Take the settings; the files are read when their host is asked.

        Raises:
            InvalidRequest: a host or the name of a field is none.
        """
        self._outside = outside
        self._hosts = {named_authority(name): host for name, host in outside.settings.http.hosts.items()}
        for host in self._hosts.values():
            _check_names(host)
        self._known: dict[tuple[str, str], HttpHost | None] = {}
        self._secrets: dict[str, _Secret] = {}

    def headers(self, url: SplitResult, *, user_info: str | None) -> dict[str, str]:
        """Return what is sent to `url`; `user_info` is what a URI has for that origin, and counts more.

        Raises:
            RefusedByPolicy: it would travel in clear text to another machine.
            InvalidRequest: a file cannot be used.
        """
        host = self._of(url) if self._hosts else None
        if host is None and user_info is None:
            return {}
        shown = {} if host is None else self._shown(host)
        if user_info is not None:
            user, _, password = user_info.partition(":")
            shown["Authorization"] = _basic(unquote(user), unquote(password))
        if shown and goes_in_clear_text(url) and not self._outside.settings.allow_plain_http:
            msg = f"refusing to send credentials to {url.scheme}://{authority_of(url)} in clear text; use https"
            raise RefusedByPolicy(msg)
        return shown

    def identity(self, url: SplitResult) -> str:
        """Return as whom `url` is asked for, without a secret, and where that was found."""
        host = self._hosts.get(authority_of(url))
        found = [] if host is None else list(_identities(host, self._secret))
        if "@" in url.netloc:
            found.insert(0, "the user info of the URI")
        return ", ".join(found) or "nobody"

    def _of(self, url: SplitResult) -> HttpHost | None:
        key = (url.scheme, url.netloc)
        try:
            return self._known[key]
        except KeyError:
            host = self._hosts.get(authority_of(url))
            if len(self._known) < _MOST_HOSTS:
                self._known[key] = host
            return host

    def _shown(self, host: HttpHost) -> dict[str, str]:
        shown = {name: self._secret(file) for name, file in host.headers.items()}
        if host.bearer is not None:
            shown["Authorization"] = f"Bearer {self._secret(host.bearer)}"
        if host.basic is not None:
            shown["Authorization"] = _basic(self._secret(host.basic.username), self._secret(host.basic.password))
        return shown

    def _secret(self, name: str) -> str:
        if name not in self._secrets:
            self._secrets[name] = _Secret(self._outside, name)
        return self._secrets[name].current()


class _Secret:
    """What one file holds."""

    def __init__(self, outside: Outside, name: str) -> None:
        self._outside = outside
        self._name = name
        self._path = os.fspath(outside.secret_file(name))
        self._held: tuple[object, str] | None = None

    def current(self) -> str:
        """Return it as it is now; read again only when the file is another one, because each request asks."""
        try:
            found = os.stat(self._path)  # noqa: PTH116 - a Path costs more than the question
        except OSError:
            return self._outside.secret(self._name)  # which says what is wrong
        state = (found.st_ino, found.st_size, found.st_mtime_ns)
        held = self._held
        if held is None or held[0] != state:
            held = self._held = (state, self._outside.secret(self._name))
        return held[1]


def _check_names(host: HttpHost) -> None:
    for name in host.headers:
        if not _FIELD_NAME.fullmatch(name) or name.lower() in _OURS:
            msg = f"{name!r} in http.hosts of sources.json is no name of a header field for credentials"
            raise InvalidRequest(msg)
    if host.basic is not None and host.bearer is not None:
        msg = "http.hosts of sources.json has a host with `basic` and `bearer`; only one can be sent"
        raise InvalidRequest(msg)


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _identities(host: HttpHost, secret: Callable[[str], str]) -> "list[str]":
    found = []
    if host.basic is not None:
        found.append(f"the user {secret(host.basic.username)!r} ({host.basic.username})")
    if host.bearer is not None:
        found.append(f"the bearer of a token ({host.bearer})")
    found += [f"whom {name} names ({file})" for name, file in host.headers.items()]
    if host.client_certificate is not None:
        found.append(f"the owner of a client certificate ({host.client_certificate})")
    return found
