"""`auth.mode=none`: everybody on this machine may do everything.

A web page of any origin can make a browser on this machine send requests here.  So Host must name loopback (or a
page rebinds its own name to 127.0.0.1), and Origin, which browsers send with everything that can change something,
must be the one that Host names.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from aiohttp import hdrs

from staging_protocol.errors import Denied
from staging_protocol.tokens import TokenKind
from staging_server.access_tokens import Verb
from staging_server.auth.base import ANONYMOUS, Authenticator, Grant, Identity
from staging_server.auth.bearer import bearer, parse_token

# Parsers of URLs find a host in much that is none (`x[::1]`, `a@localhost`).
_HOST: Final = re.compile(r"(?:(?P<name>[A-Za-z0-9.-]+)|\[(?P<address>[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)\])(?::[0-9]{0,5})?")
_LOCAL_NAMES: Final = frozenset({"localhost", "localhost."})


class Anonymous:
    """See the module."""

    _all: Final = Grant(name=ANONYMOUS, namespaces=None, verbs=frozenset(Verb))

    def check_origin(self, headers: Mapping[str, str]) -> None:
        """Take requests to this machine's own names only."""
        host = headers.get(hdrs.HOST, "")
        if not _is_local(host):
            msg = f"without authentication only requests to this machine's own names are answered, not to {host[:80]!r}"
            raise Denied(msg)
        origin = headers.get(hdrs.ORIGIN)
        if origin is not None and origin.lower() not in {f"http://{host.lower()}", f"https://{host.lower()}"}:
            msg = f"requests from pages of {origin[:80]!r} are not answered without authentication"
            raise Denied(msg)

    async def identify(self, headers: Mapping[str, str], *, address: str) -> Identity:
        """Return everybody's rights, or the bundle token that came."""
        del address
        text = bearer(headers)
        if text is None:
            return self._all
        token = parse_token(text)
        return token if token.kind is TokenKind.BUNDLE else self._all


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, is this machine and nothing else."""
    if host.lower() in _LOCAL_NAMES:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=64)
def _is_local(host: str) -> bool:
    """Tell whether a Host field names this machine; clients of one machine send a few different ones."""
    match = _HOST.fullmatch(host)
    return match is not None and is_loopback(match["name"] or match["address"])


_: type[Authenticator] = Anonymous
