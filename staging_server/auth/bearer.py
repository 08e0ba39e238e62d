"""The Authorization field: the secret that came with a request, and the tokens of ours that it may be."""

import base64
from collections.abc import Mapping

from aiohttp import hdrs

from staging_protocol.errors import InvalidRequest
from staging_protocol.tokens import Token
from staging_server.problems import NeedsCredentials


def bearer(headers: Mapping[str, str]) -> str | None:
    """Return the secret: a bearer token, or the password that a browser asked for; None when none came.

    Raises:
        NeedsCredentials: the field is not valid.
    """
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


def parse_token(text: str) -> Token:
    """Return a token of ours; raises NeedsCredentials for what is none."""
    try:
        return Token.parse(text)
    except InvalidRequest as error:
        raise NeedsCredentials(error.detail, invalid=True) from error


def _password(secret: str) -> str:
    try:
        return base64.b64decode(secret, validate=True).decode().partition(":")[2]
    except ValueError as error:  # so are binascii.Error and UnicodeDecodeError
        msg = "the Authorization header is not valid"
        raise NeedsCredentials(msg, invalid=True) from error
