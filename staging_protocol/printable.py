r"""Text that others wrote, made harmless for a terminal and for lines of a log.

Control characters move the cursor, change titles and colours, or forge lines; marks of direction show a text in another
order than it has.  Each is shown as Python would write it: `\x1b[2J`.
"""


def printable(text: str, *, lines: bool = False) -> str:
    """Return `text` with everything escaped that is not plainly visible; `lines` keeps its line ends."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or (lines and one == "\n") else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
