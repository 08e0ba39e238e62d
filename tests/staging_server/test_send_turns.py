"""Sending bytes to many: owners take turns, and the event loop is never kept for long."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from staging_server.sending import turns as send_turns
from staging_server.sending.kernel import KernelSender
from staging_server.sending.turns import SendTurns, turns_of_loop
from tests.staging_server.live import eventually

_SIZE = 20 * 1024 * 1024


async def test_owners_take_turns_however_many_steps_each_has() -> None:
    turns, served = SendTurns(asyncio.get_running_loop()), list[str]()
    for _ in range(100):
        turns.ask("crowd", lambda: served.append("crowd"))
    turns.ask("single", lambda: served.append("single"))
    await eventually(lambda: len(served) == 101)
    assert "single" in served[:2]


async def test_other_work_of_the_loop_goes_on_between_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_turns, "_SLICE", 0)
    turns, served = SendTurns(asyncio.get_running_loop()), list[int]()
    for number in range(10):
        turns.ask("crowd", lambda number=number: served.append(number))  # type: ignore[misc]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert 0 < len(served) < 10
    await eventually(lambda: served == [*range(10)])


async def test_nobody_goes_past_a_queue() -> None:
    turns = SendTurns(asyncio.get_running_loop())
    one, other = object(), object()
    assert turns.may_go_now(one)
    turns.ask("crowd", lambda: None)
    assert not turns.may_go_now(one)
    assert not turns.may_go_now(other)
    await eventually(lambda: turns.may_go_now(other))


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "large"
    path.write_bytes(os.urandom(1024) * (_SIZE // 1024))
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


async def _read_all(connection: socket.socket, progress: list[int]) -> bytes:
    loop, received = asyncio.get_running_loop(), bytearray()
    while piece := await loop.sock_recv(connection, 256 * 1024):
        received += piece
        progress[0] += len(piece)
    return bytes(received)


async def _send_all(file: int, connection: socket.socket, owner: str) -> None:
    sender = KernelSender(connection.fileno(), owner=owner)
    try:
        assert await sender.send(file, 0, _SIZE) == _SIZE
    finally:
        sender.close()
        connection.close()


@pytest.mark.parametrize("slice_", [0.002, 0.0])
async def test_all_bytes_arrive_at_all_readers(file: int, monkeypatch: pytest.MonkeyPatch, slice_: float) -> None:
    monkeypatch.setattr(send_turns, "_SLICE", slice_)
    expected = os.pread(file, _SIZE, 0)
    pairs = [socket.socketpair() for _ in range(6)]
    for pair in pairs:
        for end in pair:
            end.setblocking(False)
    sending = [asyncio.create_task(_send_all(file, ours, "owner")) for ours, _ in pairs]
    received = await asyncio.gather(*(_read_all(theirs, [0]) for _, theirs in pairs))
    await asyncio.gather(*sending)
    assert all(content == expected for content in received)
    for _, theirs in pairs:
        theirs.close()


async def test_a_single_reader_gets_its_file_long_before_a_crowd_of_another_owner(
    file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_turns, "_SLICE", 0)
    pairs = [socket.socketpair() for _ in range(16)]
    for pair in pairs:
        for end in pair:
            end.setblocking(False)
    owners = ["crowd"] * (len(pairs) - 1) + ["single"]
    progress = [[0] for _ in pairs]
    sending = [
        asyncio.create_task(_send_all(file, ours, owner)) for (ours, _), owner in zip(pairs, owners, strict=True)
    ]
    reading = [
        asyncio.create_task(_read_all(theirs, count)) for (_, theirs), count in zip(pairs, progress, strict=True)
    ]
    await reading[-1]
    # Fair to connections alone, each of the crowd would have nearly all of its bytes by now.
    assert sum(count[0] for count in progress[:-1]) < 0.6 * (len(pairs) - 1) * _SIZE
    await asyncio.gather(*sending, *reading)
    for _, theirs in pairs:
        theirs.close()


async def test_a_reader_that_is_given_up_in_the_queue_is_forgotten(file: int) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    turns_of_loop().ask("other", lambda: None)
    sending = asyncio.create_task(_send_all(file, ours, "owner"))
    await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await eventually(lambda: turns_of_loop().may_go_now(object()))
    theirs.close()
