"""Who asks, and what they may do.

    Authorization header → Authenticator → identity:  Access        a person or program, with verbs in namespaces
                                                      BundleToken   opens one bundle for reading
                                                      None          nobody in particular
    identity + `Rule` of the route → allowed, or one of Unauthenticated, Denied, NotFound

An authenticator only says who asks; `Rule` says what a route needs; `middlewares.guard` brings both together.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, Protocol

from aiohttp import hdrs

from staging_protocol.errors import Denied, InvalidRequest
from staging_protocol.tokens import Token, TokenKind
from staging_server.access_tokens import Verb
from staging_server.known_tokens import AccessTokens
from staging_server.problems import NeedsCredentials

ANONYMOUS: Final = "anonymous"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a route needs: one of `verbs`, or one of the other ways in.

    Attributes:
        anyone: no credentials are needed.
        verbs: one of these, in the namespace of the path.
        own: or one of these, for the bundles that the caller created.
        bundle_token: or the token of the bundle.
    """

    anyone: bool = False
    verbs: tuple[Verb, ...] = ()
    own: tuple[Verb, ...] = ()
    bundle_token: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """A person or a program.  `namespaces` None means all."""

    name: str
    namespaces: frozenset[str] | None
    verbs: frozenset[Verb]

    def may(self, verbs: tuple[Verb, ...], *, namespace: str | None) -> bool:
        """Whether one of `verbs` is allowed in `namespace`; None asks for all namespaces."""
        if self.namespaces is not None and namespace not in self.namespaces:
            return False
        return not self.verbs.isdisjoint(verbs)


Identity = Access | Token | None
"""A `Token` is a bundle token that nobody has checked yet; the domain does, in its own bundle only."""


class Authenticator(Protocol):
    """Says who asks.  One for each `auth.mode`."""

    def check_origin(self, headers: Mapping[str, str]) -> None:
        """Look at where a request comes from, also when its route needs no credentials.

        Raises:
            Denied: from where none may come.
        """
        ...

    async def identify(self, headers: Mapping[str, str]) -> Identity:
        """Return who asks by the header fields of a request.

        Raises:
            Unauthenticated: credentials came, and they are none of ours.
        """
        ...


class Anonymous:
    """`auth.mode=none`: everybody on this machine may do everything.

    A web page of any origin can make a browser on this machine send requests here.  So Host must name loopback (or a
    page rebinds its own name to 127.0.0.1), and Origin, which browsers send with everything that can change something,
    must be the one that Host names.
    """

    _all: Final = Access(name=ANONYMOUS, namespaces=None, verbs=frozenset(Verb))

    def check_origin(self, headers: Mapping[str, str]) -> None:
        """Take requests to this machine's own names only."""
        _check_local(headers)

    async def identify(self, headers: Mapping[str, str]) -> Identity:
        """Return everybody's rights, or the bundle token that came."""
        text = _bearer(headers)
        if text is None:
            return self._all
        token = _parse(text)
        return token if token.kind is TokenKind.BUNDLE else self._all


class ByTokens:
    """`auth.mode=tokens`: a file of hashed access tokens."""

    def __init__(self, tokens: AccessTokens) -> None:
        self._tokens = tokens

    def check_origin(self, headers: Mapping[str, str]) -> None:
        """Take requests from everywhere: without a token they can do nothing."""

    async def identify(self, headers: Mapping[str, str]) -> Identity:
        """Return the rights of the access token, or the bundle token."""
        text = _bearer(headers)
        if text is None:
            return None
        token = _parse(text)
        if token.kind is TokenKind.BUNDLE:
            return token
        known = self._tokens.find(token)
        if known is None:
            raise NeedsCredentials(_UNKNOWN, invalid=True)
        namespaces = None if "*" in known.namespaces else frozenset(known.namespaces)
        return Access(name=f"token:{known.id}", namespaces=namespaces, verbs=frozenset(known.verbs))


_UNKNOWN: Final = "this access token is not known here, or it has expired or was revoked"
# Parsers of URLs find a host in much that is none (`x[::1]`, `a@localhost`).
_HOST: Final = re.compile(r"(?:(?P<name>[A-Za-z0-9.-]+)|\[(?P<address>[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)\])(?::[0-9]{0,5})?")
_LOCAL_NAMES: Final = frozenset({"localhost", "localhost."})


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, is this machine and nothing else."""
    if host.lower() in _LOCAL_NAMES:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _check_local(headers: Mapping[str, str]) -> None:
    host = headers.get(hdrs.HOST, "")
    if not _is_local(host):
        msg = f"without authentication only requests to this machine's own names are answered, not to {host[:80]!r}"
        raise Denied(msg)
    origin = headers.get(hdrs.ORIGIN)
    if origin is not None and origin.lower() not in {f"http://{host.lower()}", f"https://{host.lower()}"}:
        msg = f"requests from pages of {origin[:80]!r} are not answered without authentication"
        raise Denied(msg)


@lru_cache(maxsize=64)
def _is_local(host: str) -> bool:
    """Tell whether a Host field names this machine; clients of one machine send a few different ones."""
    match = _HOST.fullmatch(host)
    return match is not None and is_loopback(match["name"] or match["address"])


def _bearer(headers: Mapping[str, str]) -> str | None:
    """Return the secret of the Authorization header: a bearer token, or the password that a browser asked for."""
    value = headers.get(hdrs.AUTHORIZATION)
    if value is None:
        return None
    scheme, _, secret = value.strip().partition(" ")
    match scheme.lower():
        case "bearer":
            return secret
        case "basic":
            return _password(secret)
        case _:
            msg = "expected 'Authorization: Bearer <token>'"
            raise NeedsCredentials(msg, invalid=True)


def _password(secret: str) -> str:
    try:
        return base64.b64decode(secret, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError) as error:
        msg = "the Authorization header is not valid"
        raise NeedsCredentials(msg, invalid=True) from error


def _parse(text: str) -> Token:
    try:
        return Token.parse(text)
    except InvalidRequest as error:
        raise NeedsCredentials(error.detail, invalid=True) from error


def _are_authenticators(anonymous: Anonymous, tokens: ByTokens) -> tuple[Authenticator, Authenticator]:
    return anonymous, tokens
