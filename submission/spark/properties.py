r"""Java properties, the format of `spark-defaults.conf` and of `--properties-file`.

Read as `java.util.Properties.load` reads it (keys end at `=`, `:` or white space; a line ending in a backslash goes on;
`\uXXXX`), and written so that it reads back the same.  Pure.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
BLANK: Final = "".join(map(chr, range(33)))
"""What `String.trim` removes."""
_KEY: Final = re.compile(r"(?P<key>(?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(?P<value>.*)", re.DOTALL)


def parse_properties(text: str) -> dict[str, str]:
    """Return the properties of `text`, values trimmed as Spark does it; the last of several equal keys wins."""
    found: dict[str, str] = {}
    for line in _logical_lines(text):
        match = _KEY.fullmatch(line)
        if match is not None and match["key"]:
            found[_unescaped(match["key"])] = _unescaped(match["value"]).strip(BLANK)
    return found


def format_properties(properties: Mapping[str, str]) -> str:
    """Return `properties` as text."""
    return "".join(f"{_escaped(key, also=' =:')}={_escaped(value, also='')}\n" for key, value in properties.items())


def _logical_lines(text: str) -> Iterator[str]:
    pending = ""
    for natural in re.split(r"\r\n|\r|\n", text):
        line = natural.lstrip(" \t\f")
        if not pending and (not line or line[0] in "#!"):
            continue
        pending += line
        # An even number of backslashes is so many escaped ones; with an odd number the last escapes the line's end.
        if (len(pending) - len(pending.rstrip("\\"))) % 2:
            pending = pending[:-1]
            continue
        yield pending
        pending = ""
    if pending:
        yield pending


def _unescaped(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        escape = match[1]
        return chr(int(escape[1:], 16)) if len(escape) > 1 else _ESCAPED.get(escape, escape)

    # Java counts in UTF-16: a character beyond the first 65,536 is written as two escapes.
    return _ESCAPE.sub(character, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _escaped(text: str, *, also: str) -> str:
    written = text.replace("\\", "\\\\")
    for letter, character in _ESCAPED.items():
        written = written.replace(character, f"\\{letter}")
    for character in also:
        written = written.replace(character, f"\\{character}")
    if written[:1] in {"#", "!", " "}:
        written = f"\\{written}"
    # Java reads properties files of Spark as UTF-8, but the class itself as Latin-1: escapes suit both.
    return "".join(c if c.isascii() else _java_unicode(c) for c in written)


def _java_unicode(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
