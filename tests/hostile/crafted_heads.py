"""Methods, paths, queries and header fields that lead nowhere, or try to lead elsewhere."""

from collections.abc import Iterator
from typing import Final

from tests.hostile.crafted import BUNDLES, CLOSE, DIGEST, FILE, HOST, HostileRequest, case, create, send

_QUERIES: Final = (
    b"limit=-1", b"limit=0", b"limit=1e3", b"limit=" + b"9" * 5000, b"limit=%00", b"limit=%d9%a3", b"cursor=-1",
    b"cursor=" + b"9" * 5000, b"cursor=%00", b"cursor=%d9%a3", b"cursor=99999999999999999999", b"application=%00",
    b"application=", b"application=" + b"a" * 5000, b"state=SEALED", b"state=%00", b"state='--",
)  # fmt: skip


def targets() -> Iterator[HostileRequest]:
    """Yield methods and paths that lead nowhere, or try to lead elsewhere."""
    gone = (404, "not-found")
    bundle = BUNDLES + b"/{bundle}"
    yield case("connect", send(b"CONNECT", b"localhost:22"), 404, "not-found")
    yield case("trace", send(b"TRACE", b"/v1/info"), 405, "method-not-allowed")
    yield case("options-asterisk", send(b"OPTIONS", b"*"), 404, "not-found")
    yield case("method-of-webdav", send(b"PROPFIND", b"/v1/info"), 405, "method-not-allowed")
    yield case("method-lower-case", send(b"get", b"/v1/info"), 400, "invalid-request")
    yield case("absolute-form-elsewhere", send(b"GET", b"http://169.254.169.254/latest/meta-data/"), *gone)
    yield case("websocket", send(b"GET", b"/v1/usage", b"Upgrade: websocket", b"Sec-WebSocket-Key: a"), 403, "denied")
    yield case("dot-dot", send(b"GET", BUNDLES + b"/../../../../etc/passwd"), *gone)
    yield case("dot-dot-encoded", send(b"GET", bundle + b"/files/jar/%2e%2e"), *gone)
    yield case("dot-dot-twice-encoded", send(b"GET", bundle + b"/files/jar/%252e%252e%252fa.jar"), *gone)
    yield case("slash-encoded", send(b"GET", bundle + b"/files/jar/..%2f..%2fa.jar"), *gone)
    yield case("backslash", send(b"GET", bundle + b"/files/jar/..%5ca.jar"), *gone)
    yield case("absolute-name", send(b"GET", bundle + b"/files/jar/%2fetc%2fpasswd"), *gone)
    yield case("double-slash", send(b"GET", b"//" + FILE), *gone)
    yield case("nul-in-name", send(b"GET", bundle + b"/files/jar/a.jar%00"), *gone)
    yield case("newline-in-name", send(b"GET", bundle + b"/files/jar/a.jar%0d%0aX-Evil:%20yes"), *gone)
    yield case("overlong-utf-8", send(b"GET", bundle + b"/files/jar/%c0%ae%c0%ae%c0%af"), *gone)
    yield case("surrogate", send(b"GET", bundle + b"/files/jar/%ed%a0%80"), *gone)
    yield case("no-utf-8", send(b"GET", bundle + b"/files/jar/%ff%fe"), *gone)
    yield case("half-an-escape", send(b"GET", bundle + b"/files/jar/%"), *gone)
    yield case("wrong-escape", send(b"GET", bundle + b"/files/jar/%zz"), *gone)
    yield case("name-of-64-kib-in-12", send(b"GET", bundle + b"/files/jar/" + b"a" * 12_000), *gone)
    yield case("unicode-form", send(b"GET", bundle + b"/files/jar/a%cc%81.jar"), *gone)
    yield case("full-width", send(b"GET", bundle + b"/files/jar/%ef%bd%81.jar"), *gone)
    yield case("bytes-in-target", send(b"GET", bundle + b"/files/jar/\xef\xbd\x81.jar"), 400, "invalid-request")
    yield case("letter-case", send(b"GET", bundle + b"/files/jar/A.JAR"), *gone)
    yield case("kind-unknown", send(b"GET", bundle + b"/files/script/a.jar"), *gone)
    yield case("kind-of-another-case", send(b"GET", bundle + b"/files/JAR/a.jar"), *gone)
    yield case("bundle-id-nul", send(b"GET", BUNDLES + b"/%00/manifest"), *gone)
    yield case("bundle-id-long", send(b"GET", BUNDLES + b"/" + b"a" * 5000 + b"/manifest"), *gone)
    yield case("bundle-id-quote", send(b"GET", BUNDLES + b"/'%20or%20'1'='1/manifest"), *gone)
    yield case("bundle-id-unicode", send(b"GET", BUNDLES + b"/%ef%bd%81" + b"a" * 25), *gone)


def queries() -> Iterator[HostileRequest]:
    """Yield namespaces, digests and queries that cannot be."""
    for name in ("%00", "..", "%2e%2e", "team-a%2fteam-b", "TEAM-A", "team_a", "a" * 64, "team-a%0a", "%ef%bd%81"):
        target = f"/v1/namespaces/{name}/bundles".encode()
        yield case(f"namespace-{name[:16]}", send(b"GET", target), 400, "invalid-request")
    for number, digest in enumerate(
        (b"sha256:", b"md5:00", b"sha256:" + b"A" * 64, DIGEST + b"%0a", b"../" + DIGEST, DIGEST + b"00")
    ):
        kind = b"Content-Type: application/octet-stream"
        refused = (404, "not-found") if b"/" in digest else (400, "invalid-request")
        yield case(
            f"digest-{number}", send(b"PUT", b"/v1/namespaces/team-a/blobs/" + digest, kind, body=b"x"), *refused
        )
    for number, query in enumerate(_QUERIES):
        yield case(f"query-{number}", send(b"GET", BUNDLES + b"?" + query), 400, "invalid-request")


def fields() -> Iterator[HostileRequest]:
    """Yield good requests with header fields that are none."""
    json_body = b'{"application":"a"}'
    out = b"Content-Type: application/octet-stream"
    blob = b"/v1/namespaces/team-a/blobs/" + DIGEST
    for name, value in (
        ("empty", b""),
        ("space", b"a b"),
        ("long", b"k" * 256),
        ("umlaut", "ü".encode()),
        ("tab", b"a\tb"),
    ):
        yield case(f"idempotency-key-{name}", create(json_body, b"Idempotency-Key: " + value), 400, "invalid-request")
    for encoding in (b"gzip", b"br", b"deflate", b"identity, gzip", b"GZIP", b"x" * 1000):
        wanted = (415, "unsupported-encoding")
        yield case(
            f"content-encoding-{encoding[:14].decode()}", create(json_body, b"Content-Encoding: " + encoding), *wanted
        )
    for number, kind in enumerate(
        (b"text/plain", b"application/json-patch+json", b"multipart/form-data; boundary=x", b"", b"a" * 5000, b"/")
    ):
        body = send(b"POST", BUNDLES, b"Content-Type: " + kind, body=json_body)
        yield case(f"content-type-{number}", body, 415, "unsupported-encoding")
    yield case(
        "put-json", send(b"PUT", blob, b"Content-Type: application/json", body=b"{}"), 415, "unsupported-encoding"
    )
    yield case("put-without-size", send(b"PUT", blob, out), 411, "size-required")
    yield case(
        "put-in-chunks",
        send(b"PUT", blob, out, b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        411,
        "size-required",
    )
    yield case("put-unwanted", send(b"PUT", blob, out, body=b"x"), 409, "blob-not-wanted")
    yield case("put-gigantic", send(b"PUT", blob, out, b"Content-Length: " + b"9" * 18), 413, "too-large")
    yield case("if-match-other", send(b"GET", FILE, b'If-Match: "other"'), 412, "precondition-failed")
    yield case("if-match-weak", send(b"GET", FILE, b'If-Match: W/"{digest}"'), 412, "precondition-failed")
    yield case("if-match-garbage", send(b"GET", FILE, b"If-Match: " + b'"' * 5000), 412, "precondition-failed")
    yield case("if-match-bytes", send(b"GET", FILE, b"If-Match: \xff\xfe"), 412, "precondition-failed")
    yield case("range-behind", send(b"GET", FILE, b"Range: bytes=7-"), 416, "range-not-satisfiable")
    yield case("range-of-nothing", send(b"GET", FILE, b"Range: bytes=-0"), 416, "range-not-satisfiable")
    yield case("range-gigantic", send(b"GET", FILE, b"Range: bytes=" + b"9" * 19 + b"-"), 416, "range-not-satisfiable")


def identities() -> Iterator[HostileRequest]:
    """Yield credentials that are none."""
    for name, value in (
        ("none", b""), ("nothing", b"Bearer"), ("empty", b"Bearer "), ("basic-garbage", b"Basic ====="),
        ("basic-no-utf-8", b"Basic /////w=="), ("two-words", b"Bearer a b"), ("no-scheme", b"{token}"),
        ("long", b"Bearer " + b"a" * 15_000), ("other", b"Negotiate abc"), ("bytes", b"Bearer \xff\xfe"),
        ("lookalike", b"Bearer \xef\xbd\x93sa_"),
    ):  # fmt: skip
        head = b"GET /v1/usage HTTP/1.1\r\n" + HOST + CLOSE
        yield case(f"authorization-{name}", head + b"Authorization: " + value + b"\r\n\r\n", 401, "unauthenticated")


def uploads() -> Iterator[HostileRequest]:
    """Yield fields of resumable uploads that cannot be, and uploads that are none."""
    root = b"/v1/namespaces/team-a/uploads"
    part, gone = b"Content-Type: application/partial-upload", (404, "not-found")
    digest, bad = b"Repr-Digest: sha-256=:" + b"A" * 43 + b"=:", (400, "invalid-request")
    good = {b"Upload-Length": b"5", b"Upload-Complete": b"?0", b"Repr-Digest": digest.partition(b" ")[2]}
    for name, field, value in (
        ("no-length", b"Upload-Length", None), ("length-negative", b"Upload-Length", b"-1"),
        ("length-fraction", b"Upload-Length", b"1.0"), ("length-gigantic", b"Upload-Length", b"9" * 5000),
        ("length-text", b"Upload-Length", b'"5"'), ("length-list", b"Upload-Length", b"5, 5"),
        ("length-other-digits", b"Upload-Length", b"\xd9\xa3"), ("no-complete", b"Upload-Complete", None),
        ("complete-number", b"Upload-Complete", b"1"), ("complete-word", b"Upload-Complete", b"true"),
        ("complete-twice", b"Upload-Complete", b"?0, ?0"), ("no-digest", b"Repr-Digest", None),
        ("digest-md5", b"Repr-Digest", b"md5=:AAAA:"), ("digest-short", b"Repr-Digest", b"sha-256=:AAAA:"),
        ("digest-no-base64", b"Repr-Digest", b"sha-256=:" + b"=" * 44 + b":"),
        ("digest-33-bytes", b"Repr-Digest", b"sha-256=:" + b"A" * 44 + b":"),
    ):  # fmt: skip
        named = [key + b": " + text for key, text in {**good, field: value}.items() if text is not None]
        yield case(f"upload-{name}", send(b"POST", root, part, b"Content-Length: 0", *named), *bad)
    fields = [key + b": " + value for key, value in good.items()]
    empty = b"Content-Length: 0"
    yield case("upload-unwanted", send(b"POST", root, part, empty, *fields), 409, "blob-not-wanted")
    yield case("upload-type", send(b"POST", root, empty, *fields), 415, "unsupported-encoding")
    yield case(
        "upload-gzip", send(b"POST", root, part, b"Content-Encoding: gzip", empty, *fields), 415, "unsupported-encoding"
    )
    huge = [b"Upload-Length: 999999999999999", *fields[1:]]
    yield case("upload-of-a-petabyte", send(b"POST", root, part, empty, *huge), 413, "too-large")
    chunked = send(b"POST", root, part, b"Transfer-Encoding: chunked", *fields, body=b"0\r\n\r\n")
    yield case("upload-in-chunks", chunked, 411, "size-required")
    at = [b"Upload-Offset: 0", b"Upload-Complete: ?0"]
    for name, identifier in (
        ("unknown", b"a" * 26),
        ("upper", b"A" * 26),
        ("dot-dot", b"%2e%2e"),
        ("nul", b"%00"),
        ("long", b"a" * 9000),
    ):
        target = root + b"/" + identifier
        yield case(f"upload-{name}-append", send(b"PATCH", target, part, *at, body=b"x"), *gone)
        yield case(f"upload-{name}-cancel", send(b"DELETE", target), *gone)
    for name, offset in (("negative", b"-1"), ("gigantic", b"9" * 5000), ("missing", b""), ("hexadecimal", b"0x1")):
        field = b"Upload-Offset: " + offset
        yield case(
            f"upload-offset-{name}", send(b"PATCH", root + b"/" + b"a" * 26, part, field, at[1], body=b"x"), *bad
        )
