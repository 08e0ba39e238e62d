"""What a bearer token says of itself, and whether it is worth asking Kubernetes about.

Nothing here is believed: no signature is checked, so a claim can only be a reason to refuse.  It saves the API server
from most of what strangers send, and tells an honest caller with the wrong token what is wrong with it.

    JWT (RFC 7519) for our audience              → ask with our audience
    JWT for another audience, an opaque token    → refused, or with `api_server_tokens` asked as the API server's own
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from staging_protocol.printable import printable
from staging_server.problems import NeedsCredentials

_LARGEST: Final = 8 * 1024
"""Characters; a service account's token has about 1,200, one with many groups some thousands."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, section 2.1
_JWT: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]*")

_EARLY: Final = 60.0
"""Seconds by which the clock of the issuer may be ahead of ours.  One that is behind only costs the last seconds of a
token, which the kubelet replaces long before."""

# A date after the year 5000 is none that anybody issues.
_Moment = Annotated[float, Meta(ge=0, le=1e11)]


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """The registered claims that are looked at; times are seconds since 1970."""

    iss: str = ""
    aud: str | tuple[str, ...] = ()
    exp: _Moment | None = None
    nbf: _Moment | None = None

    @property
    def audiences(self) -> tuple[str, ...]:
        """Whom the token is for."""
        return (self.aud,) if isinstance(self.aud, str) else self.aud


class _Header(msgspec.Struct, frozen=True):
    alg: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """A token that is worth a question.

    Attributes:
        audience: to ask with; None asks for the API server's own.
        issuer: that it names; None when it does not matter.
        until: when it expires, in seconds since 1970.
    """

    audience: str | None
    issuer: str | None = None
    until: float | None = None


def read_claims(text: str) -> Claims | None:
    """Return the claims of a JWT; None for what is none."""
    match = _JWT.fullmatch(text)
    if match is None:
        return None
    try:
        msgspec.json.decode(_decoded(match[1]), type=_Header)
        return msgspec.json.decode(_decoded(match[2]), type=Claims)
    except (msgspec.MsgspecError, binascii.Error, UnicodeDecodeError, RecursionError):
        return None


def worth_asking(text: str, *, audience: str, api_server_tokens: bool, now: float) -> Worth:
    """Return what to ask about a token; `now` is seconds since 1970.

    Raises:
        NeedsCredentials: the answer is known without asking.
    """
    if len(text) > _LARGEST or not _TOKEN.fullmatch(text):
        raise _refused("this is no token, or it was cut")
    claims = read_claims(text)
    if claims is None:
        if not api_server_tokens:
            msg = f"expected a token of a service account for the audience {audience!r}, or a bundle token"
            raise _refused(msg)
        return Worth(audience=None)
    if claims.exp is not None and claims.exp <= now:
        raise _refused("this token has expired")
    if claims.nbf is not None and claims.nbf > now + _EARLY:
        raise _refused("this token is not valid yet")
    if audience in claims.audiences:
        return Worth(audience=audience, issuer=claims.iss, until=claims.exp)
    if not api_server_tokens:
        found = printable(", ".join(claims.audiences))[:200] or "nobody in particular"
        msg = f"this token is for {found}; make one for the audience {audience!r} (kubectl create token --audience)"
        raise _refused(msg)
    return Worth(audience=None, until=claims.exp)


def check_issuer(worth: Worth, *, issuer: str) -> None:
    """Raise NeedsCredentials when the token names another issuer than the cluster's."""
    if worth.issuer is not None and worth.issuer != issuer:
        raise _refused("this token was issued by somebody else than this server's cluster")


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _refused(detail: str) -> NeedsCredentials:
    return NeedsCredentials(detail, invalid=True)
