"""Runs other programs, and says plainly which one is missing or what one of them said when it failed."""

import shutil
import subprocess
from collections.abc import Mapping
from typing import Final

SHOWN_LINES: Final = 15
"""The end of a failed program's output; its beginning is seldom about the failure."""


class MissingError(Exception):
    """This machine lacks something; the message says what, and how to get it."""


class CommandFailedError(Exception):
    """A program ended with another code than 0; the message ends with its last lines."""


def find_program(name: str, *, hint: str) -> str:
    """Return the path of a program, or raise `MissingError` with the hint."""
    found = shutil.which(name)
    if found is None:
        msg = f"{name} is not on PATH: {hint}"
        raise MissingError(msg)
    return found


def run(
    *command: str,
    stdin: bytes | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float = 600,
    notices: bool = False,
) -> bytes:
    """Run a program to its end and return its standard output; with `notices` also what it said besides.

    Raises:
        CommandFailedError: it ended with another code than 0, or not within `timeout` seconds.
    """
    try:
        done = subprocess.run(command, input=stdin, env=environment, timeout=timeout, capture_output=True, check=False)
    except subprocess.TimeoutExpired as error:
        message = f"{_shown(command)} did not end within {timeout:.0f} s\n{_last_lines(error.stderr or b'')}"
        raise CommandFailedError(message) from error
    if done.returncode != 0:
        said = _last_lines(done.stdout + b"\n" + done.stderr)
        msg = f"{_shown(command)} ended with {done.returncode}\n{said}"
        raise CommandFailedError(msg)
    return done.stdout + done.stderr if notices else done.stdout


def _shown(command: tuple[str, ...]) -> str:
    return " ".join(command[:6]) + (" …" if len(command) > 6 else "")


def _last_lines(output: bytes) -> str:
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    return "\n".join(lines[-SHOWN_LINES:])
