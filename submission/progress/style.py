"""How progress looks, as `--progress` says it; always on standard error.

bar     on a terminal: a moving line for everything, and one for each file in flight (`bars`)
plain   a line when a phase begins
json    one JSON object a line
none    nothing but warnings
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TextIO

from submission.progress.lines import JsonLines, Plain, Quiet
from submission.progress.telling import Progress


class ProgressStyle(StrEnum):
    """Values of `--progress`."""

    AUTO = "auto"
    PLAIN = "plain"
    JSON = "json"
    NONE = "none"


@contextmanager
def shown(style: ProgressStyle, *, stream: TextIO | None = None) -> Iterator[Progress]:
    """Yield the progress of the style, and clear up what it drew."""
    stream = stream or sys.stderr
    match style:
        case ProgressStyle.AUTO if stream.isatty():
            from submission.progress.bars import drawn

            with drawn(stream) as bars:
                yield bars
        case ProgressStyle.AUTO | ProgressStyle.NONE:
            yield Quiet(stream)
        case ProgressStyle.PLAIN:
            yield Plain(stream)
        case ProgressStyle.JSON:
            yield JsonLines(stream)
