"""Requests that no honest client sends, byte by byte, with what the server has to answer.

`{token}` stands for an access token with every right but to operate, `{bundle}` for a sealed bundle of `team-a` with
one file `jar/a.jar` of 7 bytes.  Each connection is closed by the server after one answer: none of these requests may
be followed by another one, which a proxy before us could have seen differently (RFC 9112, section 11.2).
"""

from dataclasses import dataclass

AUTH = b"Authorization: Bearer {token}\r\n"
HOST = b"Host: localhost\r\n"
CLOSE = b"Connection: close\r\n"
BUNDLES = b"/v1/namespaces/team-a/bundles"
FILE = BUNDLES + b"/{bundle}/files/jar/a.jar"
DIGEST = b"sha256:" + b"ab" * 32


@dataclass(frozen=True, kw_only=True)
class HostileRequest:
    """One case: what is sent, and the status and code of the answer."""

    name: str
    data: bytes
    status: int
    code: str


def case(name: str, data: bytes, status: int, code: str) -> HostileRequest:
    """Return one case."""
    return HostileRequest(name=name, data=data, status=status, code=code)


def send(method: bytes, target: bytes, *fields: bytes, body: bytes = b"", version: bytes = b"HTTP/1.1") -> bytes:
    """Return a request with our credentials; the fields come as they are, the Content-Length is right unless given."""
    known = b"".join(field + b"\r\n" for field in fields)
    lower = known.lower()
    if body and b"content-length" not in lower and b"transfer-encoding" not in lower:
        known += b"Content-Length: %d\r\n" % len(body)
    return method + b" " + target + b" " + version + b"\r\n" + HOST + CLOSE + AUTH + known + b"\r\n" + body


def create(body: bytes, *fields: bytes) -> bytes:
    """Return a create with that body."""
    return send(b"POST", BUNDLES, b"Content-Type: application/json", *fields, body=body)
