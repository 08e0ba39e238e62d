"""Good inputs of every parser: what mutations begin with."""

import gzip
import io
import tarfile
import zipfile
from typing import Final

from staging_protocol.digests import Digest
from staging_protocol.tokens import Token, TokenKind

_DIGEST: Final = Digest.of(b"")
_FILE: Final = f'{{"kind":"jar","name":"a.jar","size":3,"digest":"{_DIGEST}"}}'.encode()
_REMOTE: Final = b'{"uri":"https://h/a.jar?v=1","kind":"jar","target":"b.jar","size":3}'
_OWNER: Final = b'{"api_version":"v1","kind":"Pod","name":"p","uid":"u"}'
_CREATE: Final = b'{"application":"a","files":[%s],"remote":[%s],"owner":%s,"retention":{"time_to_live":60}}'
_PROBLEM: Final = (
    b'{"type":"t","title":"t","status":404,"detail":"d","code":"not-found","retryable":true,"request_id":"r"}'
)
_REPORT: Final = b'{"outcome":"failed","role":"driver","pod":"p","exit_code":42,"seconds":1.5,"code":"x","detail":"d"}'
_OK: Final = b"HTTP/1.1 200 OK\r\n"


def _tar(mode: str) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode=mode) as archive:  # type: ignore[call-overload]
        for name, kind, target in (
            ("d", tarfile.DIRTYPE, ""),
            ("d/a", tarfile.REGTYPE, ""),
            ("l", tarfile.SYMTYPE, "d/a"),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, target, 3 if kind == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(b"abc"))
    return raw.getvalue()


def _zip() -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("d/a", b"abc" * 10)
        archive.writestr("b", b"")
    return raw.getvalue()


SEEDS: Final[dict[str, tuple[bytes, ...]]] = {
    "a_uri": (
        b"https://user:word@host:1/d/a%20b.jar?x=1&sig=2#name", b"file:///a/b.jar", b"s3a://bucket/a.zip#env",
        b"/a/b.jar",
        b"staged:///jar/a", b"hdfs:///a", b"local:///opt/a.jar", b"https://h/%ff",
    ),
    "a_file_name": (b"a.jar", "é.jar".encode(), b"..", b"a\\b", b"\xe2\x80\xae"),
    "a_token": (Token.generate(TokenKind.BUNDLE).text.encode(), Token.generate(TokenKind.ACCESS).text.encode() + b"\n"),
    "small_words": (_DIGEST.encode(), b"crc32c=:AAAAAA==:, " + _DIGEST.repr_digest.encode(), b"team-a", b"a" * 26),
    "json_bodies": (
        _CREATE % (_FILE, _REMOTE, _OWNER), b'{"entries":[%s],"version":1}' % _REMOTE, _REPORT, _PROBLEM,
        b'{"reason":"r","until":"2030-01-01T00:00:00+01:00"}',
    ),
    "a_create": (_CREATE % (_FILE, _REMOTE, _OWNER), b'{"application":"a"}'),
    "conditions": (
        b"12345678\n" + _DIGEST.etag.encode() + b', W/"x"\n*\n' + _DIGEST.etag.encode() + b"\nbytes=1-3",
        b"123\n\n\n\nbytes=-2",
    ),
    "host_fields": (b"localhost:1\nhttp://localhost:1", b"[127.0.0.11]", b"x[::1]", b"[::1]:8480", b"127.0.0.1"),
    "upload_fields": (b"12\n?1\nmax-size=1, max-age=2;x=y, max-append-size=-3",),
    "answer_fields": (
        b'bytes 0-7/8\n8\n"v"\n' + _DIGEST.repr_digest.encode() + b"\n5\nSun, 22 Nov 2026 11:00:00 GMT\n/b?c#d",
        b'bytes */8\n8\nW/"v"\n\nSun, 22 Nov 2026 12:00:00 GMT\nSun, 22 Nov 2026 11:00:00 +0100\nhttps://other/x',
    ),
    "an_answer": (
        _OK + b"Content-Length: 5\r\n\r\nhello",
        _OK + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nT: x\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nhello", b"HTTP/1.1 100 Continue\r\n\r\n" + _OK + b"Connection: close\r\n\r\nhello",
        _OK + b"Content-Length: 5, 5\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nhello",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
    ),
    "an_archive": (_tar("w"), _tar("w:gz"), _tar("w:bz2"), _tar("w:xz"), _zip(), gzip.compress(b"no archive")),
    "a_zip_of_members": (b"a\n/b\n../c\n\xa1link", b"d/\nd/e"),
    "a_lock": (
        b'{"lock_version":1,"version":1,"entries":[]}',
        b'{"lock_version":1,"version":1,"entries":[{"uri":"s3a://b/d/a.jar","kind":"jar","target":"a.jar",'
        b'"named":"s3a://b/d/*.jar","size":3,"digest":"%s","version":"1","weak":true},'
        b'{"uri":"e.zip","kind":"archive","target":"env","named":"e.zip#env","digest":"%s"}]}'
        % (_DIGEST.encode(), _DIGEST.encode()),
    ),
    "spark_properties": (
        b"# c\nspark.jars  a.jar,b.jar\nk=\\u00e9\\\n  more\n! x\nspark.a:b",
        b"a\\=b = c\\\\\r\nd\te\x0cf",
    ),
    "a_bearer": (
        b'{"alg":"RS256"}\n{"iss":"https://k","aud":["spark-staging"],"exp":4e9,"nbf":1,"sub":"system:serviceaccount:a:b"}',
        b'{"alg":"none"}\n{"aud":"other","exp":2}', b"opaque-token~+/=", b"a.b.c",
    ),
    "log_lines": (b"Bearer abcdefgh https://u:p@h/?sig=x&token=y sst_aaaaaaaa_b", b"://a@b@c password=x"),
}  # fmt: skip
"""By the name of the property."""
