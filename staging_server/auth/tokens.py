"""`auth.mode=tokens`: a file of hashed access tokens."""

from collections.abc import Mapping
from typing import Final

from staging_protocol.tokens import TokenKind
from staging_server.auth.base import Authenticator, Grant, Identity
from staging_server.auth.bearer import bearer, parse_token
from staging_server.known_tokens import AccessTokens
from staging_server.problems import NeedsCredentials

_UNKNOWN: Final = "this access token is not known here, or it has expired or was revoked"


class ByTokens:
    """See the module."""

    def __init__(self, tokens: AccessTokens) -> None:
        self._tokens = tokens

    def check_origin(self, headers: Mapping[str, str]) -> None:
        """Take requests from everywhere: without a token they can do nothing."""

    async def identify(self, headers: Mapping[str, str], *, address: str) -> Identity:
        """Return the rights of the access token, or the bundle token."""
        del address
        text = bearer(headers)
        if text is None:
            return None
        token = parse_token(text)
        if token.kind is TokenKind.BUNDLE:
            return token
        known = self._tokens.find(token)
        if known is None:
            raise NeedsCredentials(_UNKNOWN, invalid=True)
        namespaces = None if "*" in known.namespaces else frozenset(known.namespaces)
        return Grant(name=f"token:{known.id}", namespaces=namespaces, verbs=frozenset(known.verbs))


_: type[Authenticator] = ByTokens
