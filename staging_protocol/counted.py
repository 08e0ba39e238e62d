"""Numbers of things, as people say them."""


def counted(count: int, noun: str) -> str:
    """Return `1 file`, `2 files`; the noun is one whose plural has an s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
