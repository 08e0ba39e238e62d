"""Processes of our programs at 30 ms each: one process imports everything once, and forks for every start.

    python -m tests.crash.nursery        speaks JSON lines on its standard input and output

    {"main": "server", "arguments": ["serve"], "environment": {…}, "log": "…", "control": "…"}  →  {"pid": 123}
    {"wait": 123}                                                                               →  {"code": -9}

The fork runs the very command that a person starts, in an environment of its own.  It first wraps its steps (`steps`);
a thread listens on the Unix socket `control` for what to arm.
"""

import importlib
import json
import os
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, Final, NoReturn

from tests.crash.steps import Steps, watch

_PRELOADED: Final = (
    "alembic.command",
    "asyncpg",
    "init_container.cli",
    "resolver.archives",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "staging_server.cli",
    "staging_server.commands.serve",
    "staging_server.logs",
    "staging_server.serving",
    "submission.cli",
    "submission.commands.resolve",
    "submission.commands.stage",
)


def main() -> None:
    """Fork on request until the standard input ends; whoever still lives then does so after a test that failed."""
    _preload()
    alive: set[int] = set()
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = {"code": _wait(request["wait"])}
            alive.discard(request["wait"])
        else:
            answer = {"pid": _fork(request)}
            alive.add(answer["pid"])
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _preload() -> None:
    """Load what the programs import late, too."""
    for name in _PRELOADED:
        importlib.import_module(name)
    import staging_server.app
    import staging_server.version
    from staging_server.openapi import describe
    from staging_server.routes import routes_table

    # What takes a server the longest at its start, and is the same each time.
    description = describe(routes_table(), version=staging_server.version.VERSION)
    setattr(staging_server.app, "_description", lambda: description)  # noqa: B010 - it takes a function's place


def _wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _fork(request: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70  # EX_SOFTWARE of sysexits.h: a bug in this file
    try:
        _become(request)
        code = _run(request["main"], request["arguments"])
    except BaseException:  # noqa: BLE001 - whatever happens, this process must not go on as a second nursery
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _become(request: dict[str, Any]) -> None:
    """Be a process with its own environment, output and control."""
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.clear()  # noqa: TID251 - it makes the environment of a program
    os.environ.update(request["environment"])  # noqa: TID251 - it makes the environment of a program
    if request["lazy"]:
        for name in ("fsync", "fdatasync"):
            setattr(os, name, lambda _descriptor: None)
    steps = watch()
    if request["arm"] is not None:
        steps.arm(**request["arm"])
    listener = socket.socket(socket.AF_UNIX)
    Path(request["control"]).unlink(missing_ok=True)
    listener.bind(request["control"])
    listener.listen()
    threading.Thread(target=_obey, args=(listener, steps), daemon=True).start()


def _obey(listener: socket.socket, steps: Steps) -> NoReturn:
    while True:
        peer, _ = listener.accept()
        with peer, peer.makefile("rw") as lines:
            order = json.loads(lines.readline())
            answer: list[str] = []
            if order is None:
                answer = steps.disarm()
            else:
                steps.arm(**order)
            lines.write(json.dumps(answer) + "\n")


def _run(name: str, arguments: list[str]) -> int:
    match name:
        case "server":
            from staging_server.cli import main as command

            return _of_click(command, arguments)
        case "submission":
            from submission.cli import main as submit

            return _of_click(submit, arguments)
        case "init":
            from init_container.cli import main as init

            return int(init(arguments))
        case _:
            raise ValueError(name)


def _of_click(command: Any, arguments: list[str]) -> int:
    sys.argv = ["forked", *arguments]
    try:
        command()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


if __name__ == "__main__":
    main()
