"""Which members of an archive are safe: names, links and limits.  Pure.

A name is relative, has no `..`, and each of its components can be a file name.  Names are unique, also in another
Unicode form.  Nothing lies below a link or a file.  A link points to somewhere inside, also through other links.
Names that differ in letter case only are left to the file system (docs/decisions/0005-letter-case-in-archives.md).
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from resolver.settings import MIB, ArchiveLimits
from staging_protocol.errors import BadArchive, InvalidRequest
from staging_protocol.filenames import FileName

_DRIVE: Final = re.compile(r"[A-Za-z]:")
_FREE_OF_RATIO: Final = 64 * MIB
"""Bytes that any archive may unpack to, however small it is: little archives of zeros do no harm."""

_MAX_HOPS: Final = 40
"""Links that lead to links; Linux follows as many (path_resolution(7))."""

_MAX_TIME: Final = 2**33
"""Seconds; file systems differ in what they take beyond it."""

HOW_TO_PACK: Final = "pack it with conda-pack or venv-pack, or with an environment made by `python -m venv --copies`"


class FileMember(msgspec.Struct, frozen=True, kw_only=True):
    """A regular file; `chunks(size)` gives its bytes."""

    name: str
    size: int
    is_executable: bool
    changed: float
    chunks: Callable[[int], Iterator[bytes]]


class FolderMember(msgspec.Struct, frozen=True, kw_only=True):
    """A folder."""

    name: str


class SymbolicLink(msgspec.Struct, frozen=True, kw_only=True):
    """A symbolic link; `target` is as written, relative to the folder of the link."""

    name: str
    target: str


class HardLink(msgspec.Struct, frozen=True, kw_only=True):
    """A second name of a file that came before; `target` is relative to the archive."""

    name: str
    target: str


Member = FileMember | FolderMember | SymbolicLink | HardLink


def safe_name(raw: str) -> str | None:
    """Return the path of a member without `.` and double slashes; None for the archive's own root.

    Raises:
        BadArchive: it is absolute, has `..`, or a component that cannot be a file name.
    """
    if raw.startswith("/") or _DRIVE.match(raw):
        msg = f"{raw[:200]!r} is an absolute name"
        raise BadArchive(msg)
    parts = [part for part in raw.split("/") if part not in {"", "."}]
    try:
        return "/".join(FileName(part) for part in parts) or None
    except InvalidRequest as error:
        msg = f"{raw[:200]!r} is not a safe name: {error.detail}"
        raise BadArchive(msg) from error


class Layout:
    """The tree that the members make, and what they use up."""

    def __init__(self, limits: ArchiveLimits, *, packed_size: int) -> None:
        self._limits = limits
        self._most = min(limits.size, max(_FREE_OF_RATIO, packed_size * limits.ratio))
        self._kinds: dict[str, type[Member]] = {}
        self._forms: dict[str, str] = {}
        self._links: dict[str, SymbolicLink] = {}
        self._new: list[str] = []
        self._size = 0

    def add(self, member: Member) -> None:
        """Take one more member.

        Raises:
            BadArchive: it is not safe, or one too many.
        """
        *parents, _ = member.name.split("/")
        if len(parents) >= self._limits.depth:
            msg = f"{member.name[:200]!r} lies deeper than {self._limits.depth} folders"
            raise BadArchive(msg)
        self._new = []
        for end in range(1, len(parents) + 1):
            self._add_folder("/".join(parents[:end]), implied=True)
        if isinstance(member, FolderMember):
            self._add_folder(member.name, implied=False)
            return
        self._add_name(member.name, type(member))
        match member:
            case FileMember():
                self._check_size(member.size, member)
            case HardLink():
                self._check_hard_link(member)
            case SymbolicLink():
                self._links[member.name] = member

    def new_folders(self, member: Member) -> list[str]:
        """Return the folders to make for the member just added, outermost first."""
        del member
        return self._new

    def count(self, size: int, member: FileMember) -> None:
        """Count bytes that were really unpacked, whatever the archive's lists say."""
        self._size += size
        self._check_size(0, member)

    def checked_links(self) -> list[SymbolicLink]:
        """Return all symbolic links, once none of them leads outside.

        Raises:
            BadArchive: one does.
        """
        for link in self._links.values():
            self._follow(link)
        return list(self._links.values())

    # --- names

    def _add_folder(self, name: str, *, implied: bool) -> None:
        kind = self._kinds.get(name)
        if kind is FolderMember:
            return  # a folder may be named again, by itself or by what is in it
        if kind is not None:
            what = "lies below" if implied else "has the name of"
            msg = f"a member {what} {name[:200]!r}, which is no folder"
            raise BadArchive(msg)
        self._add_name(name, FolderMember)
        self._new.append(name)

    def _add_name(self, name: str, kind: type[Member]) -> None:
        if name in self._kinds:
            msg = f"{name[:200]!r} is in the archive twice"
            raise BadArchive(msg)
        other = self._forms.setdefault(unicodedata.normalize("NFC", name), name)
        if other != name:
            msg = f"{name[:200]!r} and {other[:200]!r} are the same name in two Unicode forms"
            raise BadArchive(msg)
        self._kinds[name] = kind
        if len(self._kinds) > self._limits.entries:
            msg = f"it has more than {self._limits.entries} entries"
            raise BadArchive(msg)

    # --- limits

    def _check_size(self, more: int, member: FileMember) -> None:
        if more < 0 or self._size + more > self._most:
            msg = f"with {member.name[:200]!r} it unpacks to more than the {self._most} bytes that it may"
            raise BadArchive(msg)

    # --- links

    def _check_hard_link(self, link: HardLink) -> None:
        if self._kinds.get(link.target) is not FileMember:
            msg = f"the hard link {link.name[:200]!r} names {link.target[:200]!r}, which is no file before it"
            raise BadArchive(msg)

    def _follow(self, link: SymbolicLink) -> None:
        """Walk from the link as the kernel would (path_resolution(7)), in the tree as it will be."""
        place = link.name.split("/")[:-1]
        steps = [link.target]
        rest = self._steps(link, link.target)
        while rest:
            step = rest.pop()
            if step == "..":
                if not place:
                    msg = f"the link {link.name[:200]!r} -> {link.target[:200]!r} leads outside; {HOW_TO_PACK}"
                    raise BadArchive(msg)
                place.pop()
                continue
            place.append(step)
            through = self._links.get("/".join(place))
            if through is None:
                continue
            steps.append(through.target)
            if len(steps) > _MAX_HOPS:
                msg = f"the link {link.name[:200]!r} leads through more than {_MAX_HOPS} links, or in a circle"
                raise BadArchive(msg)
            place.pop()
            rest += self._steps(through, through.target)

    def _steps(self, link: SymbolicLink, target: str) -> list[str]:
        """Return the components of a target, the first one last."""
        if target.startswith("/") or not target or "\\" in target or "\0" in target:
            msg = f"the link {link.name[:200]!r} -> {target[:200]!r} is not relative; {HOW_TO_PACK}"
            raise BadArchive(msg)
        return [part for part in reversed(target.split("/")) if part not in {"", "."}]


def sane_time(seconds: float) -> float:
    """Return a time of change that every file system takes."""
    return min(max(seconds, 0.0), float(_MAX_TIME))
