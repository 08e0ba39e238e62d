"""Bodies of a create that are not what a create takes."""

import json
from collections.abc import Iterator
from typing import Final

from tests.hostile.crafted import DIGEST, HostileRequest, case, create

_BAD: Final = (400, "invalid-request")
_MANY: Final = b'{"application":"a","files":[%s]}'
_ENTRY: Final = b'{"kind":"jar","name":"%s","size":%s,"digest":"' + DIGEST + b'"}'
_OWNED: Final = b'{"application":"a","owner":{"api_version":"v1","kind":"%s","name":"%s","uid":"%s"}}'
_LIVING: Final = b'{"application":"a","retention":{"time_to_live":%s}}'


def json_bodies() -> Iterator[HostileRequest]:
    """Yield what is no JSON, and JSON that is no create."""
    for name, body in (
        ("empty", b" "), ("null", b"null"), ("array", b"[]"), ("number", b"1"), ("string", b'"a"'),
        ("cut", b'{"application":'), ("comma", b'{"application":"a",}'), ("comment", b'{"application":"a"/**/}'),
        ("single-quotes", b"{'application':'a'}"), ("rest", b'{"application":"a"}{}'),
        ("byte-order-mark", b'\xef\xbb\xbf{"application":"a"}'), ("utf-16", '{"application":"a"}'.encode("utf-16")),
        ("latin-1", b'{"application":"\xfc"}'), ("overlong", b'{"application":"\xc0\xaf"}'),
        ("surrogate", b'{"application":"\\ud800"}'), ("surrogate-bytes", b'{"application":"\xed\xa0\x80"}'),
        ("control", b'{"application":"a\x01"}'), ("nul-escaped", b'{"application":"a\\u0000b"}'),
        ("escape-sequence", b'{"application":"\\u001b[2J"}'), ("newline", b'{"application":"a\\n"}'),
        ("c1-control", b'{"application":"\\u009b2J"}'), ("no-application", b"{}"),
        ("empty-application", b'{"application":""}'), ("application-null", b'{"application":null}'),
        ("long-application", b'{"application":"%s"}' % (b"a" * 254)), ("application-number", b'{"application":1}'),
        ("deep-arrays", b'{"application":"a","x":' + b"[" * 1_000_000),
        ("deep-arrays-closed", b'{"application":"a","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        ("deep-objects", b'{"application":"a","x":' + b'{"a":' * 100_000),
        ("deep-in-files", b'{"application":"a","files":' + b"[" * 100_000),
        ("files-null", b'{"application":"a","files":null}'), ("files-object", b'{"application":"a","files":{}}'),
        ("owner-unknown", _OWNED % (b"Secret", b"x", b"u")), ("owner-nameless", _OWNED % (b"Pod", b"", b"u")),
        ("owner-escape", _OWNED % (b"Pod", b"\\u001b[2J", b"u")), ("owner-path", _OWNED % (b"Pod", b"../x", b"u")),
        ("owner-uid-long", _OWNED % (b"Pod", b"x", b"a" * 10_000)),
        ("owner-uid-nul", _OWNED % (b"Pod", b"x", b"\\u0000")),
    ):  # fmt: skip
        yield case(f"json-{name}", create(body), *_BAD)


def numbers() -> Iterator[HostileRequest]:
    """Yield sizes, times and counts that cannot be."""
    for name, text in (
        ("nan", b"NaN"), ("infinity", b"Infinity"), ("of-100-kb", b"1" + b"0" * 100_000), ("exponent", b"1e999999999"),
        ("negative", b"-1"), ("zero", b"0"), ("fraction", b"1.5"), ("true", b"true"), ("text", b'"1"'),
        ("eternity", b"9223372036854775807"),
    ):  # fmt: skip
        yield case(f"time-{name}", create(_LIVING % text), *_BAD)
    for name, size in (
        ("negative", b"-1"), ("beyond-64-bits", b"9223372036854775808"), ("gigantic", b"9" * 4000), ("text", b'"1"'),
        ("fraction", b"1.0"), ("null", b"null"),
    ):  # fmt: skip
        yield case(f"size-{name}", create(_MANY % (_ENTRY % (b"a", size))), *_BAD)
    one = _ENTRY % (b"same.jar", b"1")
    yield case("one-digest-two-sizes", create(_MANY % (one + b"," + _ENTRY % (b"b.jar", b"2"))), *_BAD)
    many = b",".join(_ENTRY % (b"%d.jar" % number, b"1") for number in range(10_001))
    yield case("size-of-a-petabyte", create(_MANY % (_ENTRY % (b"a", b"%d" % 2**50))), 413, "too-large")
    yield case("too-many-files", create(_MANY % many), 413, "too-large")
    yield case("too-large-body", create(b'{"application":"' + b"a" * (9 * 1024 * 1024)), 413, "too-large")


def names() -> Iterator[HostileRequest]:
    """Yield names that no file may have, pairs that are one file in a pod, and digests that are none."""
    for name, text in (
        ("dot-dot", b".."), ("dot", b"."), ("empty", b""), ("slash", b"a/b"), ("absolute", b"/etc/passwd"),
        ("backslash", b"a\\\\b"), ("nul", b"a\\u0000"), ("newline", b"a\\nb"), ("space-first", b" a"),
        ("space-last", b"a "), ("64-kib", b"a" * 65_536), ("256-bytes", b"a" * 256),
        ("256-bytes-of-accents", "é".encode() * 128), ("surrogate", b"\\udfff"), ("line-separator", b"a\\u2028b"),
        ("right-to-left", b"a\\u202egnp.jar"), ("escape", b"\\u001b[31m"),
    ):  # fmt: skip
        yield case(f"name-{name}", create(_MANY % (_ENTRY % (text, b"1"))), *_BAD)
    for name, one, other in (
        ("twice", "same.jar", "same.jar"), ("in-another-case", "same.jar", "SAME.jar"),
        ("in-another-form", "é.jar", "e\u0301.jar"),
    ):  # fmt: skip
        pair = b",".join(_ENTRY % (text.encode(), b"1") for text in (one, other))
        yield case(f"same-name-{name}", create(_MANY % pair), 422, "target-collision")
    for name, digest in (
        ("short", "sha256:ab"), ("upper", "sha256:" + "AB" * 32), ("md5", "md5:" + "ab" * 16), ("bare", "ab" * 32),
        ("newline", "sha256:" + "ab" * 32 + "\n"),
    ):  # fmt: skip
        file = {"kind": "jar", "name": "a", "size": 1, "digest": digest}
        yield case(f"digest-in-json-{name}", create(json.dumps({"application": "a", "files": [file]}).encode()), *_BAD)


def remote_entries() -> Iterator[HostileRequest]:
    """Yield remote dependencies that are none, or carry a secret."""
    for name, uri in (
        ("local-file", "/etc/passwd"), ("file-uri", "file:///etc/passwd"), ("staged", "staged:///jar/other"),
        ("empty", ""), ("newline", "https://host/a\r\nX: y"), ("nul", "https://host/a\0"), ("no-path", "https://host"),
        ("user-info", "https://me:secret@host/a.jar"), ("signature", "https://host/a.jar?X-Amz-Signature=x"),
    ):  # fmt: skip
        yield case(f"remote-{name}", create(_remote(uri=uri)), *_BAD)
    for name, size in (("negative", -1), ("gigantic", 10**30)):
        yield case(f"remote-size-{name}", create(_remote(size=size)), *_BAD)
    yield case("remote-target", create(_remote(target="../a")), *_BAD)


def _remote(**fields: object) -> bytes:
    remote = {"uri": "https://host/a.jar", "kind": "jar", "target": "a.jar", **fields}
    return json.dumps({"application": "a", "remote": [remote]}).encode()
