"""Requests whose end two readers could see at different places, and what is no request at all."""

from collections.abc import Iterator
from typing import Final

from tests.hostile.crafted import AUTH, BUNDLES, CLOSE, HOST, HostileRequest, case

_BAD: Final = (400, "invalid-request")
_SMUGGLED: Final = b"GET /v1/usage HTTP/1.1\r\nHost: localhost\r\nX-Smuggled: yes\r\n\r\n"
_POST: Final = b"POST " + BUNDLES + b" HTTP/1.1\r\n" + HOST + CLOSE + AUTH + b"Content-Type: application/json\r\n"
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n\r\n"


def sizes() -> Iterator[HostileRequest]:
    """Yield bodies with no size, two of them, or one that is none."""
    bad, post, chunked, two = _BAD, _POST, _CHUNKED, b'{"application":"a"}'
    yield case("two-content-lengths", post + b"Content-Length: 19\r\nContent-Length: 5\r\n\r\n" + two + _SMUGGLED, *bad)
    yield case("content-length-list", post + b"Content-Length: 19, 5\r\n\r\n" + two + _SMUGGLED, *bad)
    yield case("content-length-plus", post + b"Content-Length: +19\r\n\r\n" + two + _SMUGGLED, *bad)
    yield case("content-length-negative", post + b"Content-Length: -1\r\n\r\n" + _SMUGGLED, *bad)
    yield case("content-length-hexadecimal", post + b"Content-Length: 0x13\r\n\r\n" + two + _SMUGGLED, *bad)
    yield case("content-length-empty", post + b"Content-Length: \r\n\r\n" + two + _SMUGGLED, *bad)
    yield case("content-length-inner-space", post + b"Content-Length: 1 9\r\n\r\n" + two + _SMUGGLED, *bad)
    yield case("content-length-gigantic", post + b"Content-Length: " + b"9" * 400 + b"\r\n\r\n", *bad)
    yield case("content-length-other-digits", post + "Content-Length: ١٩\r\n\r\n".encode() + two + _SMUGGLED, *bad)
    yield case("both-framings", post + b"Content-Length: 5\r\n" + chunked + b"13\r\n" + two + b"\r\n0\r\n\r\n", *bad)
    yield case(
        "both-framings-reversed", post + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", *bad
    )
    yield case("te-unknown", post + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + _SMUGGLED, *bad)
    yield case("te-chunked-not-last", post + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + _SMUGGLED, *bad)
    yield case("te-twice", post + b"Transfer-Encoding: chunked\r\n" + chunked + b"0\r\n\r\n" + _SMUGGLED, *bad)
    yield case("te-vertical-tab", post + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + _SMUGGLED, *bad)
    yield case("te-space-before-colon", post + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + _SMUGGLED, *bad)
    yield case("te-in-http-1.0", post.replace(b"1.1", b"1.0", 1) + chunked + b"0\r\n\r\n" + _SMUGGLED, *bad)


def chunks() -> Iterator[HostileRequest]:
    """Yield bodies in chunks that are none."""
    for name, chunk in (
        ("letters", b"zz\r\nhello\r\n0\r\n\r\n"),
        ("negative", b"-5\r\nhello\r\n0\r\n\r\n"),
        ("prefixed", b"0x5\r\nhello\r\n0\r\n\r\n"),
        ("overflow", b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        ("empty", b"\r\nhello\r\n0\r\n\r\n"),
        ("longer-than-said", b"5\r\nhelloworld\r\n0\r\n\r\n"),
        ("bare-line-feed", b"5\nhello\r\n0\r\n\r\n"),
        ("endless-extension", b"5;" + b"x" * 100_000 + b"\r\nhello\r\n0\r\n\r\n"),
    ):
        yield case(f"chunk-{name}", _POST + _CHUNKED + chunk, *_BAD)


def heads() -> Iterator[HostileRequest]:
    """Yield heads of requests that are none, and other protocols."""
    bad = _BAD
    head = b"GET / HTTP/1.1\r\n" + HOST
    yield case("folded-line", head + b"X-A: b\r\n c\r\n\r\n", *bad)
    yield case("first-field-folded", b"GET / HTTP/1.1\r\n X-A: b\r\n" + HOST + b"\r\n", *bad)
    yield case("nul-in-field", head + b"X-A: b\0c\r\n\r\n", *bad)
    yield case("bare-carriage-return", head + b"X-A: b\rX-B: c\r\n\r\n", *bad)
    yield case("bare-line-feed-in-field", head + b"X-A: b\nX-B: c\r\n\r\n", *bad)
    yield case("space-in-field-name", head + b"X A: b\r\n\r\n", *bad)
    yield case("space-before-colon", head + b"X-A : b\r\n\r\n", *bad)
    yield case("no-colon", head + b"XA\r\n\r\n", *bad)
    yield case("empty-field-name", head + b": b\r\n\r\n", *bad)
    yield case("no-host", b"GET /v1/info HTTP/1.1\r\nConnection: close\r\n\r\n", *bad)
    yield case("two-hosts", b"GET /v1/info HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", *bad)
    yield case("huge-field", head + b"X-A: " + b"x" * 100_000 + b"\r\n\r\n", *bad)
    yield case("huge-field-name", head + b"X" * 100_000 + b": a\r\n\r\n", *bad)
    yield case("huge-target", b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", *bad)
    yield case("many-fields", head + b"".join(b"X-%d: a\r\n" % n for n in range(20_000)) + b"\r\n", *bad)
    yield case(
        "head-of-a-megabyte", head + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 8000) for n in range(130)) + b"\r\n", *bad
    )
    yield case("http-0.9", b"GET /\r\n\r\n", *bad)
    yield case("http-2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", *bad)
    yield case("http-3.7", b"GET / HTTP/3.7\r\nHost: a\r\n\r\n", *bad)
    yield case("version-lower-case", b"GET / http/1.1\r\nHost: a\r\n\r\n", *bad)
    yield case("tls-hello", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(range(200)) + b"\r\n\r\n", *bad)
    yield case("socks", b"\x05\x01\x00\r\n\r\n", *bad)
    yield case("proxy-protocol", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + head + b"\r\n", *bad)
    yield case("redis", b"*1\r\n$4\r\nPING\r\n\r\n", *bad)
    yield case("nothing-but-nul", bytes(1000) + b"\r\n\r\n", *bad)
    yield case("method-with-parenthesis", b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", *bad)
    yield case("method-endless", b"A" * 100_000 + b" / HTTP/1.1\r\nHost: a\r\n\r\n", *bad)
    yield case("target-with-spaces", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", *bad)
    yield case("target-with-nul", b"GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n", *bad)
    yield case("target-missing", b"GET HTTP/1.1\r\nHost: a\r\n\r\n", *bad)
