"""Patterns of paths, as Hadoop's globs: what a pattern matches, and what has to be listed to find it.

    *        any characters of one component          [abc] [a-z] [^a]   one of these characters
    **       any characters, of any components         {jar,{py,egg}}     one of these, also with slashes
    ?        one character                             %2A %5B …          the character itself, no pattern

A pattern stands in the path of a URI, so it is percent-encoded there, and what is encoded never has a meaning.  This is
pure.  Names come from a service, so a pattern must not be slow for any of them: a `*` is not tried again once what
follows it has matched, and `**` may stand twice at most.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final
from urllib.parse import unquote

import msgspec

from staging_protocol.errors import InvalidRequest

MAGIC: Final = frozenset("*?[{")
"""A path with one of these is a pattern."""

_TOKEN: Final = re.compile(
    r"(?P<any_depth>/\*\*/|\*\*)|(?P<any>\*)|(?P<one>\?)|(?P<set>\[[!^]?\]?[^\]/]*\])"
    r"|(?P<encoded>(?:%[0-9A-Fa-f]{2})+)|(?P<character>.)",
    re.DOTALL,
)
_PIECE: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+|.", re.DOTALL)

_MAX_ALTERNATIVES: Final = 100
"""Patterns that braces may stand for."""

_MAX_ANY_DEPTH: Final = 2


class Glob(msgspec.Struct, frozen=True, kw_only=True):
    """A pattern of decoded paths.

    Attributes:
        beginning: percent-encoded; every path that matches begins so.
        deep: whether paths that match may lie deeper than the folder that `beginning` names.
        expressions: of which one has to match.
    """

    beginning: str
    deep: bool
    expressions: tuple[re.Pattern[str], ...]

    def matches(self, path: str) -> bool:
        """Tell whether the decoded `path` matches."""
        return any(expression.fullmatch(path) for expression in self.expressions)


def parse_glob(path: str) -> Glob:
    """Read a pattern; a path that ends with a slash stands for all files of that folder.

    Raises:
        InvalidRequest: it stands for too many patterns, a bracket or brace is not closed, or it is no UTF-8.
    """
    alternatives = tuple(_alternatives(path + "*" if path.endswith("/") else path))
    if len(alternatives) > _MAX_ALTERNATIVES:
        msg = f"{path[:200]!r} stands for more than {_MAX_ALTERNATIVES} patterns"
        raise InvalidRequest(msg)
    beginning = _beginning(alternatives)
    return Glob(
        beginning=beginning,
        deep=any("/" in unquote(one[len(beginning) :]) or "**" in one for one in alternatives),
        expressions=tuple(_compiled(one) for one in alternatives),
    )


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(_expression(pattern), re.DOTALL)
    except re.error as error:
        msg = f"{pattern[:200]!r} has a set of characters that cannot be: {error}"
        raise InvalidRequest(msg) from error


def _alternatives(path: str) -> Iterator[str]:
    """Yield what braces stand for; at most one more than is allowed."""
    found = [path]
    while any("{" in one for one in found) and len(found) <= _MAX_ALTERNATIVES:
        found = [expanded for one in found for expanded in _without_first_brace(one)]
    yield from found[: _MAX_ALTERNATIVES + 1]


def _without_first_brace(path: str) -> list[str]:
    start = path.find("{")
    if start < 0:
        return [path]
    depth, cuts = 0, [start]
    for at in range(start, len(path)):
        depth += {"{": 1, "}": -1}.get(path[at], 0)
        if (path[at] == "," and depth == 1) or depth == 0:
            cuts.append(at)
        if depth == 0:
            pieces = [path[cut + 1 : end] for cut, end in pairwise(cuts)]
            return [path[:start] + piece + path[at + 1 :] for piece in pieces]
    msg = f"a brace is not closed in {path[:200]!r}; write %7B for the character itself"
    raise InvalidRequest(msg)


def _beginning(alternatives: tuple[str, ...]) -> str:
    """Return what all have in common before the first character with a meaning, cut where encoded characters are whole.

    Of several alternatives only whole components are taken.
    """
    plain = [one[: min((at for at in map(one.find, MAGIC) if at >= 0), default=len(one))] for one in alternatives]
    first, last = min(plain), max(plain)
    same = next((at for at, character in enumerate(first) if last[at : at + 1] != character), len(first))
    if len(plain) == 1:
        return plain[0]
    return first[: first.rfind("/", 0, same) + 1]


def _expression(pattern: str) -> str:
    """Return the regular expression of a pattern without braces."""
    pieces, wildcards = [""], [""]
    for token in _TOKEN.finditer(pattern):
        match token.lastgroup:
            case "any_depth":
                wildcards.append("/(?:.*/)?" if token[0].startswith("/") else ".*")
                pieces.append("")
            case "any":
                wildcards.append("[^/]*")
                pieces.append("")
            case _:
                pieces[-1] += _single(token, pattern)
    if sum("." in wildcard for wildcard in wildcards) > _MAX_ANY_DEPTH:
        msg = f"{pattern[:200]!r} has '**' more than {_MAX_ANY_DEPTH} times"
        raise InvalidRequest(msg)
    return "".join(_joined(wildcards, pieces))


def _joined(wildcards: list[str], pieces: list[str]) -> Iterator[str]:
    """Yield wildcards and what follows each.

    Between two `*` of one component the first place that fits is as good as any other, so no other is tried.
    """
    for number, (wildcard, piece) in enumerate(zip(wildcards, pieces, strict=True)):
        is_last = number + 1 == len(pieces) or "/" in piece or wildcards[number + 1].startswith("/")
        yield f"(?>{wildcard}?{piece})" if wildcard == "[^/]*" and not is_last else wildcard + piece


def _single(token: re.Match[str], pattern: str) -> str:
    """Return the expression of what stands for one character, or for itself; a slash in it is one of the path."""
    text = token[0]
    match token.lastgroup:
        case "one":
            return r"[^\x2f]"
        case "set":
            is_negated = text[1] in "!^"
            inner = "".join(_in_set(piece, pattern) for piece in _PIECE.findall(text[1 + is_negated : -1]))
            return rf"(?!\x2f)[{'^' if is_negated else ''}{inner}]"
        case "encoded":
            return re.escape(_decoded(text, pattern))
        case _ if text == "[":
            msg = f"a bracket is not closed in {pattern[:200]!r}; write %5B for the character itself"
            raise InvalidRequest(msg)
        case _:
            return re.escape(text)


def _in_set(piece: str, pattern: str) -> str:
    """Return how encoded characters, or one that is not, stand in a set; only `-` as it is has a meaning there."""
    return piece if piece == "-" else re.escape(_decoded(piece, pattern))


def _decoded(text: str, pattern: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        msg = f"{pattern[:200]!r} is no UTF-8"
        raise InvalidRequest(msg) from error
