"""Folders and globs become the dependencies that are there: `s3://bucket/libs/` and `hdfs:///libs/*.jar`.

A path that ends with a slash stands for the files of that folder, not deeper; `globs` tells what patterns match.  Names
come from a service, and whoever may write there chooses them: one that cannot be a file's name here is refused, with
an error, because a job that silently lacks a file is worse than one that does not start.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import msgspec

from resolver.globs import MAGIC, Glob, parse_glob
from resolver.plan import RESERVED_PREFIX
from resolver.retry import Attempts, persistently
from resolver.sources.base import Listed, Lists, Source
from staging_protocol.errors import InvalidRequest, NotFound
from staging_protocol.filenames import FileName
from staging_protocol.manifest import ManifestEntry
from staging_protocol.uris import STAGED_SCHEME, DependencyUri, Locality

if TYPE_CHECKING:
    from resolver.sources.choose import Sources

MAX_FILES: Final = 10_000
"""Files that one pattern may stand for.  A job has hundreds; a pattern that matches a whole bucket is a mistake, which
is told before it fills memory (some 10 MiB for so many), volume and hours."""

_WITH_QUERY: Final = frozenset({"http", "https", STAGED_SCHEME})
_QUERY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_\-]*=[^/]*")
"""What follows a `?` is a query when it looks like one (`?versionId=…`); else the `?` is of the pattern."""


def is_pattern(uri: DependencyUri) -> bool:
    """Tell whether `uri` is remote and stands for the files of a folder, or for those that match a glob."""
    return uri.locality is Locality.REMOTE and (uri.path.endswith("/") or not MAGIC.isdisjoint(_path(uri)))


def expand(uri: DependencyUri, *, source: Source, limit: int = MAX_FILES) -> tuple[Listed, ...]:
    """Return what `uri` stands for, sorted by name; its fragment is kept on the only match.

    Raises:
        NotFound: nothing matches.
        InvalidRequest: the service cannot be listed; a name cannot be one here; there are more than `limit` files, or
            several for one fragment.
    """
    glob = parse_glob(_path(uri))
    found = tuple(sorted(_matching(uri, glob, source=source, limit=limit), key=lambda one: unquote(one.uri.path)))
    if not found:
        msg = f"{uri} matches nothing"
        raise NotFound(msg)
    if uri.fragment is None:
        return found
    if len(found) > 1:
        msg = f"{uri} matches {len(found)} files, but its fragment names one: {found[0].uri}, {found[1].uri}, …"
        raise InvalidRequest(msg)
    return (msgspec.structs.replace(found[0], uri=replace(found[0].uri, fragment=uri.fragment)),)


def expand_entries(
    entries: Iterable[ManifestEntry], *, sources: "Sources", attempts: Callable[[str], Attempts]
) -> tuple[ManifestEntry, ...]:
    """Return the entries with patterns replaced by what they stand for; `attempts` gives the tries for a name.

    What another entry names already, in so many words or by an earlier pattern, is not repeated.
    The target of an entry that is a pattern has no meaning, unless its URI has a fragment.

    Raises:
        StagingError: see `expand`, and what sources raise.
    """
    parsed = [(entry, DependencyUri.parse(entry.uri)) for entry in entries]
    seen = {_identity(entry, uri) for entry, uri in parsed if not is_pattern(uri)}
    found: list[ManifestEntry] = []
    for entry, uri in parsed:
        if not is_pattern(uri):
            found.append(entry)
            continue
        for one in _expanded(entry, uri, source=sources.source_of(uri), attempts=attempts):
            identity = _identity(one, DependencyUri.parse(one.uri))
            if identity not in seen:
                seen.add(identity)
                found.append(one)
    return tuple(found)


def _expanded(
    entry: ManifestEntry, uri: DependencyUri, *, source: Source, attempts: Callable[[str], Attempts]
) -> Iterator[ManifestEntry]:
    for one in persistently(lambda: expand(uri, source=source), attempts=attempts(str(uri))):
        yield ManifestEntry(
            uri=one.uri.text, kind=entry.kind, target=one.uri.target, size=one.stat.size, digest=one.stat.digest
        )


def _identity(entry: ManifestEntry, uri: DependencyUri) -> tuple[str, str, str | None, str, str | None]:
    return entry.kind, uri.scheme, uri.authority, unquote(uri.path), uri.query


def _path(uri: DependencyUri) -> str:
    """Return the path with what the parser of URIs took for a query, though it is a pattern's `?`."""
    if uri.query is None or uri.scheme in _WITH_QUERY or _QUERY.fullmatch(uri.query):
        return uri.path
    return f"{uri.path}?{uri.query}"


def _matching(uri: DependencyUri, glob: Glob, *, source: Source, limit: int) -> list[Listed]:
    if not isinstance(source, Lists):
        msg = f"{uri}: such a server cannot be listed, so name each file (*, [ and {{ in names are %2A, %5B and %7B)"
        raise InvalidRequest(msg)
    found: list[Listed] = []
    folder = replace(uri, path=glob.beginning, query=None, fragment=None)
    for one in source.list(folder, deep=glob.deep):
        path = unquote(one.uri.path)
        if glob.matches(path):
            _check_name(path, uri=uri)
            found.append(one)
        if len(found) > limit:
            msg = f"{uri} matches more than {limit} files; name fewer, or pack them into an archive"
            raise InvalidRequest(msg)
    return found


def _check_name(path: str, *, uri: DependencyUri) -> None:
    """Refuse a name that cannot be one here; the error shows it with escapes."""
    *folders, name = path.split("/")
    try:
        FileName(name)
    except InvalidRequest as error:
        msg = f"{uri} matches what cannot be used: {error.detail}"
        raise InvalidRequest(msg) from error
    if ".." in folders:
        msg = f"{uri} matches {path[:200]!r}, which leads out of its folder"
        raise InvalidRequest(msg)
    if name.startswith(RESERVED_PREFIX):
        msg = f"{uri} matches {path[:200]!r}; names must not begin with {RESERVED_PREFIX!r}"
        raise InvalidRequest(msg)
