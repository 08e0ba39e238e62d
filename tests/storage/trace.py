"""What a program asks of the kernel, recorded by strace: every call with its beginning, its end and its path.

12 fsync(9</data/uploads/abc>) = 0                                   one call, begun and ended
12 fsync(9</data/uploads/abc> <unfinished ...>                       begun; calls of other threads in between
12 <... fsync resumed>) = 0                                          ended
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.conftest import missing

CALLS: Final = (
    "openat", "creat", "write", "writev", "pwrite64", "pwritev", "fsync", "fdatasync", "rename", "renameat",
    "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "symlink", "symlinkat", "ftruncate", "fallocate",
    "copy_file_range", "sendfile", "sendto", "sendmsg", "recvfrom", "exit_group",
)  # fmt: skip

_LINE: Final = re.compile(r"^(\d+) +(.*)$")
_CALL: Final = re.compile(r"^(\w+)\((.*)$", re.DOTALL)
_RESUMED: Final = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$", re.DOTALL)
_RESULT: Final = re.compile(r"= (-?\d+|\?)(?:<[^>]*>)?(?: E\w+ .*)?$")
_OF_DESCRIPTOR: Final = re.compile(r"^\d+<([^>]*)>")
_STRING: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_CREATES: Final = ("O_CREAT", "O_TRUNC")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that succeeded.

    `begun` and `ended` are places in the recording; `path` is what it is about, `target` where a rename leads, `text`
    the first bytes that a socket got, `creates` whether an open may have made the file.
    """

    name: str
    path: str
    begun: int
    ended: int
    target: str = ""
    text: str = ""
    creates: bool = False


def command(output: Path) -> list[str]:
    """Return the words to put before a command so that strace records it; skips the test where there is no strace."""
    if shutil.which("strace") is None:
        missing("strace is missing; on Debian: apt-get install strace")
    return ["strace", "-f", "--seccomp-bpf", "-y", "-qq", "-s", "64", "-e", f"trace={','.join(CALLS)}",
            "-e", "signal=none", "-o", str(output)]  # fmt: skip


def run(arguments: Sequence[str], *, environment: Mapping[str, str], output: Path) -> subprocess.CompletedProcess[str]:
    """Run a program under strace to its end."""
    return subprocess.run(
        [*command(output), *arguments],
        env=dict(environment), capture_output=True, text=True, check=False, timeout=300, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def read(output: Path) -> list[Call]:
    """Return the calls of a recording that succeeded, by their beginning."""
    open_calls: dict[str, tuple[int, str]] = {}
    found: list[Call] = []
    for number, line in enumerate(output.read_text(errors="replace").splitlines()):
        match = _LINE.match(line)
        if match is None:
            continue
        thread, rest = match.groups()
        if rest.endswith("<unfinished ...>"):
            open_calls[thread] = (number, rest.removesuffix("<unfinished ...>").rstrip())
            continue
        begun = number
        if (resumed := _RESUMED.match(rest)) is not None:
            begun, head = open_calls.pop(thread, (number, f"{resumed[1]}("))
            rest = head + resumed[2]
        call = _call(rest, begun=begun, ended=number)
        if call is not None:
            found.append(call)
    return sorted(found, key=lambda call: call.begun)


def _call(text: str, *, begun: int, ended: int) -> Call | None:
    match = _CALL.match(text)
    result = _RESULT.search(text)
    if match is None or (match[1] != "exit_group" and (result is None or result[1].startswith("-"))):
        return None
    name, rest = match.groups()
    strings = [os.fsdecode(part.encode().decode("unicode_escape").encode("latin-1")) for part in _STRING.findall(rest)]
    descriptor = _OF_DESCRIPTOR.match(rest)
    path = (descriptor[1] if descriptor is not None else strings[0] if strings else "").removesuffix(" (deleted)")
    return Call(
        name=name,
        path=_from_folder(rest, strings) if name.endswith("at") or name == "renameat2" else path,
        begun=begun,
        ended=ended,
        target=strings[-1] if name.startswith("rename") and len(strings) > 1 else "",
        text=strings[0] if strings and name in {"sendto", "sendmsg", "recvfrom", "write", "writev"} else "",
        creates=name == "creat" or (name == "openat" and any(flag in rest for flag in _CREATES)),
    )


def _from_folder(rest: str, strings: Sequence[str]) -> str:
    """Return the path of a call that takes a folder's descriptor and a name."""
    folder = re.match(r"^(?:AT_FDCWD|\d+)<([^>]*)>", rest)
    base = folder[1] if folder is not None else ""
    return os.path.normpath(os.path.join(base, strings[0] if strings else ""))  # noqa: PTH118 - text, no file
