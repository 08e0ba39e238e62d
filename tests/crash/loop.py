"""Load, kill, start, look: over and over, on one folder.

    python -m tests.crash.loop --kills 2000          as many as you like; ends with 1 at the first thing that is wrong

The same seed kills at the same steps; which client is then how far is up to the machine.
"""

import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Final

import click

from tests.crash.ledger import Ledger
from tests.crash.lives import KILLED, Nursery, Server, lives, nursery
from tests.crash.load import Client, all_at_once
from tests.crash.remains import Remains

_KINDS: Final = (
    *("os.open", "os.writev", "os.fsync", "os.fdatasync", "os.rename", "os.unlink", "os.sendfile"),
    *("send", "sql BEGIN", "sql COMMIT", "sql INSERT", "sql UPDATE", "sql DELETE", "sql SELECT"),
)
_OVER_ONE_FOLDER: Final = 25

_KEPT: Final = 3
"""Jobs that a client keeps from one life to the next."""


class Loop:
    """A server, its clients, and how often it died."""

    def __init__(self, server: Server, *, clients: int, seed: int, remains: Remains | None = None) -> None:
        self._server = server
        self._random = random.Random(seed)  # noqa: S311 - test data
        self._remains = remains or Remains(server.data)
        # Two clients share a namespace, so that they meet in its rows, too.
        self._clients = [
            Client(Ledger(server.url, namespace=f"team-{number // 2}", seed=seed * 100 + number), seed=seed + number)
            for number in range(clients)
        ]
        self.kills: Counter[str] = Counter()

    @property
    def acknowledged(self) -> int:
        """Answers that clients got so far."""
        return sum(client.ledger.acknowledged for client in self._clients)

    def close(self) -> None:
        """End the server and the clients."""
        for client in self._clients:
            client.ledger.close()
        if self._server.life is not None:
            self._server.end()

    def turn(self) -> None:
        """Live under load, die, live again; whatever is wrong raises AssertionError."""
        if self._server.life is None or self._server.life.code is not None:
            self._server.start()
        self._die()
        resuming = self._resuming()
        self._remains.age(but=resuming)
        self._server.start()
        for client in self._clients:
            client.ledger.settle()
            client.ledger.prune(keep=_KEPT)
        self._clients[0].ledger.sweep()
        self._remains.check(resuming=resuming | self._resuming())

    def _die(self) -> None:
        """Let the server die at a step, or at a moment."""
        life = self._server.life
        assert life is not None
        if self._random.random() < 0.3:  # a third of all
            how, timer = "moment", threading.Timer(self._random.uniform(0.005, 0.4), life.kill)
            timer.start()
        else:
            how, timer = self._random.choice(_KINDS), None
            life.arm(at=self._random.randint(1, 40), only=(how,))
        all_at_once(self._clients)
        if timer is not None:
            timer.join()
        elif lives(life.pid):
            how = "end of the load"
        life.kill()
        assert life.wait() == KILLED, self._server.said()
        self.kills[how] += 1

    def _resuming(self) -> set[str]:
        return {upload for client in self._clients for upload in client.ledger.uploads}


def looping(forks: Nursery, folder: Path, *, kills: int, seed: int, clients: int = 4) -> Loop:
    """Let a server die so often, and return the loop."""
    loop = Loop(Server(nursery=forks, folder=folder), clients=clients, seed=seed)
    try:
        for _ in range(kills):
            loop.turn()
    finally:
        loop.close()
    return loop


@click.command()
@click.option("--kills", default=1000, help="How often.")
@click.option("--seed", default=1, help="Another seed, other deaths.")
@click.option("--clients", default=6, help="Clients at once.")
def main(kills: int, seed: int, clients: int) -> None:
    """Kill a server under load, again and again."""
    folder = Path(tempfile.mkdtemp(prefix="crash-loop-"))
    started = time.monotonic()
    done = 0
    with nursery() as forks:
        try:
            while done < kills:
                # A new folder now and then: an empty one is a state of its own.
                some = min(_OVER_ONE_FOLDER, kills - done)
                loop = looping(forks, folder / str(done), kills=some, seed=seed + done, clients=clients)
                shutil.rmtree(folder / str(done))
                done += some
                click.echo(
                    f"{done} kills, {loop.acknowledged} answers in the last {some}, "
                    f"{time.monotonic() - started:.0f} s; {dict(loop.kills.most_common())}"
                )
        except BaseException:
            click.echo(f"what is left lies in {folder}", err=True)
            raise
    folder.rmdir()


if __name__ == "__main__":
    sys.exit(main())
