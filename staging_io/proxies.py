"""Which proxy a request goes through, if any.

NO_PROXY has no standard; these forms are understood by most: a host, which includes those below it, with or without a
leading dot or `*.`; one of these with a port; an address; a network, for addresses that are written in the URL (names
are not looked up for it); and `*` for everything.  Loopback is always reached directly.
"""

from collections.abc import Callable
from typing import Final
from urllib.parse import SplitResult

from staging_io.exchange import HttpSettings, authority_of

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts on this machine, where nobody else reads along."""

_MOST_HOSTS: Final = 1000
"""Hosts whose answer is remembered."""


class Proxies:
    """The proxies of a program."""

    def __init__(self, settings: HttpSettings) -> None:
        self._by_scheme = settings.proxies
        self._exceptions = tuple(_exception(entry.strip().lower()) for entry in settings.no_proxy if entry.strip())
        self._known: dict[tuple[str, str], str | None] = {}

    def of(self, url: SplitResult) -> str | None:
        """Return the URL of the proxy for `url`; None when it is reached directly."""
        if not self._by_scheme:
            return None
        key = (url.scheme, url.netloc)
        try:
            return self._known[key]
        except KeyError:
            found = None if self._is_direct(url) else self._by_scheme.get(url.scheme)
            if len(self._known) < _MOST_HOSTS:
                self._known[key] = found
            return found

    def _is_direct(self, url: SplitResult) -> bool:
        host, port = (url.hostname or "").rstrip("."), authority_of(url).rpartition(":")[2]
        return host in LOOPBACK or any(matches(host, port) for matches in self._exceptions)


_Matches = Callable[[str, str], bool]


def _exception(entry: str) -> _Matches:
    """Return what tells whether an entry is about a host and port."""
    if entry == "*":
        return lambda _host, _port: True
    if "/" in entry:
        return _network(entry)
    name, _, only = entry.rpartition(":") if entry.count(":") == 1 or "]:" in entry else (entry, "", "")
    name = name.strip("[]").removeprefix("*").strip(".")
    return lambda host, port: only in {"", port} and (host == name or host.endswith(f".{name}"))


def _network(entry: str) -> _Matches:
    from ipaddress import ip_address, ip_network  # 4 ms, and hardly any NO_PROXY in a pod has networks

    try:
        network = ip_network(entry, strict=False)
    except ValueError:
        return lambda _host, _port: False  # as everywhere: what nobody understands is passed over

    def matches(host: str, _port: str) -> bool:
        try:
            return ip_address(host) in network
        except ValueError:
            return False

    return matches
