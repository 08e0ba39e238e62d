"""The file of access tokens (`auth.mode=tokens`): hashes of `ssa_…` tokens with what each may do.

    {"tokens": [{"id": "…", "hash": "<sha256>", "name": "ci", "namespaces": ["team-a"], "verbs": ["create", "get"],
                 "created": "2026-11-22T08:00:00Z", "expires": "2027-11-22T08:00:00Z"}]}

The secret is shown once, by `tokens create`; who reads the file learns no token.  A running server reads the file
again when it changes and keeps what it has when the new file is not valid, so a slip of an editor locks nobody out.
"""

import os
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from staging_protocol.errors import InvalidRequest, NotFound
from staging_protocol.wire import decode, encode


class Verb(StrEnum):
    """What an access token may allow; the first five as Kubernetes RBAC calls them."""

    CREATE = "create"
    GET = "get"
    LIST = "list"
    DELETE = "delete"
    PIN = "pin"
    OPERATE = "operate"
    """Usage and lists of all namespaces, sweeps, the page, and the bundles of other creators."""


class AccessToken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry.  `namespaces` may hold `*`."""

    id: str
    hash: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    name: str
    namespaces: tuple[str, ...]
    verbs: tuple[Verb, ...]
    created: datetime
    expires: datetime | None = None

    def has_expired(self, *, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires is not None and self.expires <= now


class TokensFile(msgspec.Struct, frozen=True):
    """The whole file."""

    tokens: tuple[AccessToken, ...] = ()


def read_tokens(path: Path) -> TokensFile:
    """Return the file's content.  Waits for the disk.

    Raises:
        InvalidRequest: it cannot be read or is not valid.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        msg = f"the tokens file {path} cannot be read: {error.strerror}"
        raise InvalidRequest(msg) from error
    try:
        return decode(content, into=TokensFile)
    except InvalidRequest as error:
        msg = f"the tokens file {path} is not valid: {error.detail}"
        raise InvalidRequest(msg) from error


def write_tokens(path: Path, content: TokensFile) -> None:
    """Replace the file in one step, readable for its owner only.  Waits for the disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    data = msgspec.json.format(encode(content), indent=2) + b"\n"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def add_token(path: Path, entry: AccessToken) -> None:
    """Add an entry to the file, which is made when there is none."""
    content = read_tokens(path) if path.exists() else TokensFile()
    write_tokens(path, TokensFile(tokens=(*content.tokens, entry)))


def remove_token(path: Path, identifier: str) -> None:
    """Remove the entry with that id.

    Raises:
        NotFound: there is none.
    """
    content = read_tokens(path)
    kept = tuple(entry for entry in content.tokens if entry.id != identifier)
    if len(kept) == len(content.tokens):
        msg = f"there is no access token {identifier!r} in {path}"
        raise NotFound(msg)
    write_tokens(path, TokensFile(tokens=kept))
