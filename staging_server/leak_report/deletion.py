"""The command with which a person may delete: this program asks everything once more and names what may go.

It never deletes by itself.  Paths are ended by NUL, so that no name can be taken for two.
"""

import os
import shlex
from collections.abc import Iterator, Sequence

from staging_server.leak_report.judging import State
from staging_server.leak_report.stores import Problems, UploadStore
from staging_server.leak_report.summing import Rules, counted


def unnamed_paths(store: UploadStore, rules: Rules, *, problems: Problems) -> Iterator[bytes]:
    """Yield the path of each folder that counts and that no live job names, ended by NUL."""
    for found in counted(store, rules, problems=problems):
        if found.state is State.UNNAMED:
            yield os.fsencode(store.shown(found.folder.path)) + b"\0"


def delete_command(arguments: Sequence[str], *, deletes: str) -> str:
    """Return a command for bash that deletes what `import` with these arguments finds; `deletes` is the store's."""
    words = ("spark-staging-server", "import", *arguments)
    return f"{' '.join(map(_word, words))} \\\n  -o paths | {deletes}"


def _word(word: str) -> str:
    """Return a word as bash reads it, without a character that a terminal would obey."""
    if word.isprintable():
        return shlex.quote(word)
    shown = "".join(_escaped(byte) for byte in os.fsencode(word))
    return f"$'{shown}'"


def _escaped(byte: int) -> str:
    plain = chr(byte)
    return plain if plain.isascii() and plain.isprintable() and plain not in "\\'" else f"\\x{byte:02x}"
