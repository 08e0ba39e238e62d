"""What an answer that is not a success means.

NameNodes and DataNodes answer with the Java exception's name, in JSON; the status says little, for every IOException is
a 403.  An answer without such JSON did not come from WebHDFS.
"""

from typing import Final

import msgspec

from resolver.sources.ranged import retry_after
from staging_io.http import Answer
from staging_protocol.errors import (
    Denied,
    InvalidRequest,
    NotFound,
    SourceUnavailable,
    StagingError,
    TooManyRequests,
    Unauthenticated,
)
from staging_protocol.printable import printable
from staging_protocol.wire import decode

_MAX_BODY: Final = 64 * 1024
_MAX_MESSAGE: Final = 300
_NOT_FOUND: Final = frozenset({"FileNotFoundException"})
_DENIED: Final = frozenset({"AccessControlException", "AuthorizationException"})
_UNAUTHENTICATED: Final = frozenset({"SecurityException", "InvalidToken"})
_INVALID: Final = frozenset(
    {
        "UnsupportedOperationException",
        "IllegalArgumentException",
        "InvalidPathException",
        "UnresolvedLinkException",
        "UnresolvedPathException",
        "ParentNotDirectoryException",
        "PathIsNotDirectoryException",
        "FSLimitException$PathComponentTooLongException",
    }
)
"""Exceptions that the same request meets again.  All others are taken for what passes: StandbyException,
RetriableException, SafeModeException, BlockMissingException, and IOException, which says nothing."""


class RemoteException(msgspec.Struct, frozen=True):
    """A Java exception, without its package, and its message."""

    exception: str = ""
    message: str = ""

    def __str__(self) -> str:
        lines = self.message.strip().splitlines()
        return f"{printable(self.exception)}: {printable(lines[0] if lines else '')}"[:_MAX_MESSAGE]


class _Body(msgspec.Struct, frozen=True):
    remote: RemoteException = msgspec.field(name="RemoteException")


def refused(answer: Answer, *, name: str, identity: str, asked: str) -> StagingError:
    """Return the error for an answer about the dependency `name`, which `identity` asked for at the URL `asked`."""
    remote = _remote(answer)
    if remote is None:
        return _not_webhdfs(answer, name=name, identity=identity, asked=asked)
    if remote.exception in _NOT_FOUND:
        return NotFound(f"{name} is not there: {remote}")
    if remote.exception in _DENIED:
        return Denied(f"{name} may not be read by {identity}: {remote}")
    if remote.exception in _UNAUTHENTICATED:
        # Its message may be about the token.
        return Unauthenticated(f"{name}: {asked} does not take {identity}: it is expired, cancelled or wrong")
    if remote.exception in _INVALID:
        return InvalidRequest(f"{name} is refused by {asked}: {remote}")
    return SourceUnavailable(f"{name}: {asked} answers {remote}", retry_after=retry_after(answer.headers))


def _remote(answer: Answer) -> RemoteException | None:
    if "json" not in answer.headers.get("Content-Type", "").lower():
        return None
    try:
        return decode(answer.read(_MAX_BODY), into=_Body).remote
    except InvalidRequest:
        return None


def _not_webhdfs(answer: Answer, *, name: str, identity: str, asked: str) -> StagingError:
    status = answer.status
    match status:
        case 401:
            return Unauthenticated(
                f"{name}: {asked} wants to know who asks, and {identity} does not do. Kerberos is not spoken here: "
                "fetch a delegation token (hdfs fetchdt) and name its file as hdfs.delegation_token in sources.json"
            )
        case 407:
            return Denied(f"{name}: the proxy before {asked} wants credentials")
        case 429:
            return TooManyRequests(f"{name}: {asked} answers 429", retry_after=retry_after(answer.headers))
        case _ if status in {408, 425} or status >= 500:  # noqa: PLR2004 - RFC 9110, sections 15.5.9 and 15.6
            return SourceUnavailable(f"{name}: {asked} answers {status}", retry_after=retry_after(answer.headers))
        case _:
            return no_webhdfs(name=name, asked=asked, why=f"it answers {status} without a word of Hadoop's")


def no_webhdfs(*, name: str, asked: str, why: str) -> InvalidRequest:
    """Return the error for a server that is something else."""
    return InvalidRequest(
        f"{name}: {asked} does not serve WebHDFS: {why}. Is dfs.webhdfs.enabled true in the cluster's hdfs-site.xml, "
        "and is this the HTTP address of a NameNode, or of HttpFS?"
    )
