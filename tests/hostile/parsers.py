"""Every parser that reads what others wrote, as a property: any bytes give a value or one of our errors, soon.

`test_parsers` tries them with hypothesis, `fuzz` with a coverage-guided fuzzer; both call these functions.
"""

import base64
import io
import re
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import unquote

from resolver.archives import unpack
from resolver.settings import ArchiveLimits
from staging_io.logs import redact
from staging_protocol.api.bundles import Pin
from staging_protocol.api.claims import Explanation
from staging_protocol.api.creation import NewBundle
from staging_protocol.api.problem import Problem
from staging_protocol.api.reports import Report
from staging_protocol.digests import Digest
from staging_protocol.errors import PreconditionFailed, RangeNotSatisfiable, StagingError
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Manifest
from staging_protocol.owners import OwnerReference, check_owner
from staging_protocol.printable import printable
from staging_protocol.tokens import BundleId, Token
from staging_protocol.uploads import UploadState, read_limits
from staging_protocol.uris import DependencyUri
from staging_protocol.wire import decode, encode
from staging_server.auth.anonymous import Anonymous
from staging_server.auth.claims import worth_asking
from staging_server.drafts import draft
from staging_server.namespaces import checked_namespace
from staging_server.sending.blob_response import _disposition
from staging_server.sending.preconditions import select
from staging_server.settings import LimitSettings
from submission.locks.changes import difference
from submission.locks.lockfile import lock_bytes, parse_lock
from submission.spark.properties import format_properties, parse_properties
from tests.hostile.parsers_of_answers import an_answer, answer_fields

Property = Callable[[bytes], None]
"""Raises AssertionError, or any foreign exception, when the parser does not keep its promise."""

_ETAG: Final = Digest.of(b"").etag
_LIMITS: Final = LimitSettings()
_ARCHIVES: Final = ArchiveLimits(entries=50, size=100_000, depth=5, ratio=100)


def _text(data: bytes) -> str:
    """Return bytes as header fields and arguments bring them: what is no UTF-8 comes as lone surrogates."""
    return data.decode("utf-8", "surrogateescape")


def a_uri(data: bytes) -> None:
    """URIs: what is read prints as itself and names a target in its folder, or is refused."""
    try:
        uri = DependencyUri.parse(_text(data))
    except StagingError:
        return
    assert DependencyUri.parse(uri.text) == uri
    assert uri.has_credentials or "@" not in (uri.authority or "")
    assert printable(str(uri)) is not None
    _ = uri.locality, uri.local_path, uri.without_fragment
    try:
        target = uri.target
    except StagingError:
        return
    assert "/" not in target
    assert target not in {"", ".", ".."}


def a_file_name(data: bytes) -> None:
    """File names: one component that can be encoded, or refused."""
    try:
        name = FileName(_text(data))
    except StagingError:
        return
    assert 0 < len(name.encode()) <= 255
    assert "/" not in name
    assert "\0" not in name
    _ = name.collision_key
    written = _disposition(name)
    assert written.isascii()
    assert written.isprintable()
    assert unquote(written.rpartition("''")[2]) == name


def a_token(data: bytes) -> None:
    """Tokens: what is read has the text that was read."""
    text = _text(data)
    try:
        token = Token.parse(text)
    except StagingError:
        return
    assert token.text == text.strip()
    assert token.secret not in repr(token)


def small_words(data: bytes) -> None:
    """Digests, ids, namespaces, owners: values that cannot be wrong."""
    text = _text(data)
    for parse in (Digest, Digest.of_repr_digest, BundleId, checked_namespace, _owner):
        try:
            value = parse(text)
        except StagingError:
            continue
        assert value is None or str(value).isascii()


def _owner(text: str) -> str:
    return str(check_owner(OwnerReference(api_version="v1", kind="Pod", name=text, uid=text)))


def json_bodies(data: bytes) -> None:
    """Bodies: a value that is written and read again equal, or refused."""
    for kind in (NewBundle, Manifest, Report, Pin, Problem, Explanation):
        try:
            value = decode(data, into=kind)
        except StagingError:
            continue
        assert decode(encode(value), into=kind) == value


def a_create(data: bytes) -> None:
    """Creates: a draft whose manifest can be read again, or refused."""
    try:
        body = decode(data, into=NewBundle)
        made = draft(body, limits=_LIMITS)
    except StagingError:
        return
    assert len(decode(made.manifest, into=Manifest).entries) == len(body.files) + len(body.remote)
    assert Digest.of(made.manifest) == made.manifest_digest


_FIELDS: Final = ("If-Match", "If-None-Match", "If-Range", "Range")


def conditions(data: bytes) -> None:
    """Conditions of a read: the selected bytes exist."""
    size, *values = (part.decode("utf-8", "surrogateescape") for part in data.split(b"\n")[:5])
    headers = dict(zip(_FIELDS, filter(None, values), strict=False))
    whole = len(size)
    try:
        selection = select("GET", headers, etag=_ETAG, size=whole)
    except (PreconditionFailed, RangeNotSatisfiable):
        return
    if selection is not None:
        assert 0 <= selection.start <= selection.stop <= whole
        assert selection.partial or (selection.start, selection.stop) == (0, whole)
        assert re.fullmatch(r"bytes \d+-\d+/\d+", selection.content_range) or not selection.partial


def host_fields(data: bytes) -> None:
    """Host and Origin in mode `none`: this machine's names, or refused."""
    host, _, origin = _text(data).partition("\n")
    try:
        Anonymous().check_origin({"Host": host, **({"Origin": origin} if origin else {})})
    except StagingError:
        return
    assert re.fullmatch(r"(?i)(localhost\.?|127\.[0-9.]+|\[[0:]+1\])(:[0-9]*)?", host), host
    assert not origin or origin.lower().partition("://")[2] == host.lower()


_UPLOAD_FIELDS: Final = ("Upload-Offset", "Upload-Complete", "Upload-Limit")


def upload_fields(data: bytes) -> None:
    """Fields of resumable uploads: numbers that are not negative, or refused."""
    headers = dict(zip(_UPLOAD_FIELDS, _text(data).split("\n"), strict=False))
    assert all(isinstance(value, int) for value in read_limits(headers).values())
    try:
        state = UploadState.of_fields(headers)
    except StagingError:
        return
    assert state.offset >= 0
    assert UploadState.of_fields(state.to_fields()) == state


def an_archive(data: bytes) -> None:
    """Archives: what is unpacked lies in its folder and within its limits, or the archive is refused."""
    with TemporaryDirectory() as name:
        base = Path(name)
        archive, folder = base / "archive", base / "folder"
        archive.write_bytes(data)
        folder.mkdir()
        with suppress(StagingError):
            unpack(archive, folder, limits=_ARCHIVES, durable=False, check=lambda: None)
        assert {path.name for path in base.iterdir()} == {"archive", "folder"}
        found = list(folder.rglob("*"))
        assert len(found) <= 50 * 6
        assert sum(path.stat().st_size for path in found if path.is_file() and not path.is_symlink()) <= 200_000
        assert all(path.resolve().is_relative_to(folder.resolve()) for path in found if path.is_symlink())


def a_zip_of_members(data: bytes) -> None:
    """Zips that are whole, with members whose names and bytes come from the data."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for number, part in enumerate(data.split(b"\n")[:20]):
            member = zipfile.ZipInfo(f"{number}" + part.decode("latin-1").replace("\0", ""))
            member.external_attr = (part[0] << 24) if part else 0
            archive.writestr(member, part)
    an_archive(raw.getvalue())


def a_lock(data: bytes) -> None:
    """Locks, which come with the repository of a stranger: written and read again equal, or refused."""
    try:
        lock = parse_lock(data, name="deps.lock.json")
    except StagingError:
        return
    assert parse_lock(lock_bytes(lock), name="deps.lock.json") == lock
    assert not difference(lock.entries, lock.entries)
    with suppress(StagingError):
        assert len(lock.dependencies(by="deps.lock.json")) <= len(lock.entries)
        _ = [one.dependency(by="deps.lock.json").target for one in lock.entries]


def spark_properties(data: bytes) -> None:
    """Properties files: what is read is written and read again equal."""
    found = parse_properties(data.decode("utf-8", "replace"))
    assert parse_properties(format_properties(found)) == found


def a_bearer(data: bytes) -> None:
    """Bearer tokens that may be of a cluster: worth a question for our audience, or refused."""
    head, _, claims = data.partition(b"\n")
    jwt = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (head, claims, b"s"))
    for text in (jwt, _text(data)):
        for api_server_tokens in (False, True):
            try:
                worth = worth_asking(text, audience="spark-staging", api_server_tokens=api_server_tokens, now=1.0)
            except StagingError:
                continue
            assert worth.audience == "spark-staging" or api_server_tokens
            assert worth.until is None or worth.until > 1


def log_lines(data: bytes) -> None:
    """Logs: redacting ends, and twice changes nothing more."""
    once = redact(_text(data))
    assert redact(once) == once


PROPERTIES: Final[dict[str, Property]] = {
    one.__name__: one
    for one in (
        a_uri, a_file_name, a_token, small_words, json_bodies, a_create, conditions, host_fields, upload_fields,
        answer_fields, an_answer, an_archive, a_zip_of_members, a_lock, spark_properties, a_bearer, log_lines,
    )
}  # fmt: skip
