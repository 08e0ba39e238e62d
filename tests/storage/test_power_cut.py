"""A power cut on a real file system: what was acknowledged is there, although nothing but what was flushed survives."""

import random
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from staging_protocol.errors import StagingError
from tests.crash.ledger import CutOff, Ledger
from tests.crash.lives import KILLED, Nursery, Server
from tests.crash.load import Client, all_at_once
from tests.crash.remains import Remains
from tests.storage.mounts import cut_power, ext4

_SIZE: Final = 64 * 1024 * 1024


class Machine:
    """A server on a disk of its own, whose power can be cut."""

    def __init__(self, forks: Nursery, folder: Path, *, settings: Mapping[str, Any], lazy: bool) -> None:
        self.server = Server(nursery=forks, folder=folder, settings=settings, lazy=lazy)
        self.image = folder / "image"

    def cut(self) -> None:
        """Everything stops at once; then the machine starts again."""
        life = self.server.life
        assert life is not None
        life.kill()
        assert life.wait() == KILLED
        cut_power(self.image, self.server.data)


@contextmanager
def machine(forks: Nursery, folder: Path, *, lazy: bool = False, **settings: Any) -> Iterator[Machine]:
    made = Machine(forks, folder, settings=settings, lazy=lazy)
    with ext4(made.image, made.server.data, size=_SIZE):
        made.server.start()
        try:
            yield made
        finally:
            made.server.end()


def test_a_power_cut_under_load_takes_nothing_that_was_acknowledged(forks: Nursery, tmp_path: Path) -> None:
    chance = random.Random(5)  # noqa: S311 - test data
    with ExitStack() as stack, machine(forks, tmp_path) as made:
        ledgers = [Ledger(made.server.url, namespace=f"team-{n}", seed=n) for n in range(3)]
        for ledger in ledgers:
            stack.enter_context(closing(ledger))
        clients = [Client(ledger, seed=n) for n, ledger in enumerate(ledgers)]
        for _ in range(10):
            assert made.server.life is not None
            made.server.life.arm(at=chance.randint(1, 500))
            all_at_once(clients)
            made.cut()
            _look(made, clients)
        assert sum(client.ledger.acknowledged for client in clients) > 100


def _look(made: Machine, clients: list[Client]) -> None:
    resuming = {upload for client in clients for upload in client.ledger.uploads}
    remains = Remains(made.server.data)
    remains.age(but=resuming)
    made.server.start()
    for client in clients:
        client.ledger.settle()
        client.ledger.prune(keep=2)
    clients[0].ledger.sweep()
    remains.check(resuming=resuming | {upload for client in clients for upload in client.ledger.uploads})


@pytest.mark.parametrize(
    ("lazy", "settings"),
    [
        pytest.param(False, {"STORAGE__SYNCHRONOUS": "normal"}, id="the database flushes now and then"),
        pytest.param(True, {"STORAGE__FLUSH_EVERY": 0}, id="bytes and folders are not flushed"),
    ],
)
def test_the_test_notices_a_server_that_flushes_too_little(
    lazy: bool,  # noqa: FBT001 - a parameter of pytest
    settings: Mapping[str, Any],
    forks: Nursery,
    tmp_path: Path,
) -> None:
    with (
        machine(forks, tmp_path, lazy=lazy, **settings) as made,
        closing(Ledger(made.server.url, namespace="team")) as ledger,
    ):
        ledger.stage(ledger.draft())
        made.cut()
        with pytest.raises((AssertionError, StagingError, CutOff)):
            _look(made, [Client(ledger, seed=1)])
