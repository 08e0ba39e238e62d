"""Submitter-local files: globs expanded, and each file looked at before anything is uploaded."""

import glob
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from staging_protocol.errors import InvalidRequest, NotFound
from staging_protocol.uris import DependencyUri, Locality
from submission.classify import Classified, Dependency, classify


@dataclass(frozen=True, slots=True, kw_only=True)
class FileVersion:
    """What tells one content of a path from the next: any write changes one of these."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "FileVersion":
        """Return the version that `stat` saw."""
        return cls(
            device=status.st_dev,
            inode=status.st_ino,
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            ctime_ns=status.st_ctime_ns,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile:
    """A submitter-local dependency that exists and can be read."""

    dependency: Dependency
    path: Path
    version: FileVersion


def found(dependencies: Iterable[Dependency]) -> tuple[Classified, tuple[LocalFile, ...]]:
    """Return everything named, globs expanded, and the files behind what is submitter-local.

    Raises:
        NotFound, InvalidRequest: files are missing, unreadable or folders; all of them are named.
        TargetCollision: two dependencies have one target.
    """
    classified = classify([one for dependency in dependencies for one in expanded(dependency)])
    problems: list[str] = []
    files: list[LocalFile] = []
    missing = False
    for dependency in classified.staged:
        try:
            files.append(looked_at(dependency))
        except NotFound as error:
            missing = True
            problems.append(error.detail)
        except InvalidRequest as error:
            problems.append(error.detail)
    if problems:
        raise (NotFound if missing else InvalidRequest)("; ".join(problems))
    return classified, tuple(files)


def expanded(dependency: Dependency) -> list[Dependency]:
    """Return the files that a glob names, sorted; a file that really has such a name comes first.

    Raises:
        NotFound, InvalidRequest: none matches, or several that cannot all have the name of the fragment.
    """
    uri = dependency.uri
    path = uri.local_path
    if dependency.locality is not Locality.SUBMITTER_LOCAL or not glob.has_magic(path) or os.path.lexists(path):
        return [dependency]
    matches = sorted(glob.glob(path))  # noqa: PTH207 - Path.glob drops the form in which the path was written
    if not matches:
        msg = f"{dependency} matches no file"
        raise NotFound(msg)
    if uri.fragment and len(matches) > 1:
        msg = f"{dependency} matches {len(matches)} files, which cannot all be named {uri.fragment!r}"
        raise InvalidRequest(msg)
    return [replace(dependency, uri=_at(uri, match)) for match in matches]


def _at(uri: DependencyUri, path: str) -> DependencyUri:
    return replace(uri, path=quote(path) if uri.scheme else path)


def looked_at(dependency: Dependency) -> LocalFile:
    """Return the file behind a submitter-local dependency.

    Raises:
        NotFound, InvalidRequest: it is missing, unreadable or no regular file.
    """
    path = Path(dependency.uri.local_path)
    try:
        # Opening tells what permission bits do not (ACLs, network file systems); a pipe must not block here.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        msg = f"{dependency} does not exist"
        raise NotFound(msg) from error
    except OSError as error:
        msg = f"{dependency} cannot be read: {error.strerror}"
        raise InvalidRequest(msg) from error
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if not stat.S_ISREG(status.st_mode):
        what = "a folder; name its files, or pack it" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        msg = f"{dependency} is {what}"
        raise InvalidRequest(msg)
    return LocalFile(dependency=dependency, path=path, version=FileVersion.of(status))
