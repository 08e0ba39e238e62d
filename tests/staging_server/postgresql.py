"""A PostgreSQL server of its own for tests: in a temporary folder, on a socket in it, without durability."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.engine import URL

_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "listen_addresses=", "shared_buffers=32MB")


def find_programs() -> Path | None:
    """Return the folder of PostgreSQL's server programs, the newest, or None."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda path: int(path.parent.name), default=None)


@contextlib.contextmanager
def running(programs: Path) -> Iterator[URL]:
    """Run a server and yield the URL of its database; everything is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        base = Path(name)
        prefix = _as_another_user(base)
        data = base / "data"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}  # noqa: TID251 - for a child
        subprocess.run(
            [*prefix, str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync"],
            check=True, env=environment, cwd="/", stdout=subprocess.DEVNULL,
        )  # fmt: skip
        options = [word for option in _FAST for word in ("-c", option)]
        with (base / "log").open("wb") as log:
            server = subprocess.Popen(
                [*prefix, str(programs / "postgres"), "-D", str(data), "-k", name, *options],
                env=environment, cwd="/", stdout=log, stderr=log,
            )  # fmt: skip
            try:
                _wait(programs, name, server)
                query = {"host": name}
                # Nobody asks for the password; with one, asyncpg does not look for a file on the event loop.
                yield URL.create("postgresql", username="postgres", password="x", database="postgres", query=query)
            finally:
                server.send_signal(signal.SIGINT)  # "fast": it does not wait for clients
                server.wait(timeout=30)


def _as_another_user(base: Path) -> list[str]:
    """Return the words that run a program as `postgres`, because PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam("postgres")
    base.chmod(0o755)
    shutil.chown(base, "postgres")
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def _wait(programs: Path, socket: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while subprocess.run([str(programs / "pg_isready"), "-q", "-h", socket], check=False).returncode != 0:
        if server.poll() is not None or time.monotonic() > deadline:
            msg = f"PostgreSQL did not start: {(Path(socket) / 'log').read_text()[-2000:]}"
            raise RuntimeError(msg)
        time.sleep(0.05)
