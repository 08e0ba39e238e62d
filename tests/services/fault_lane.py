"""One direction of one exchange through a fault proxy: bytes come out as the faults of a plan will have it."""

import asyncio
from collections.abc import Iterable

from tests.services.fault_wire import End
from tests.services.faults import (
    Corrupt,
    Exchange,
    Fault,
    Place,
    PlacedFault,
    Repeat,
    Reset,
    Slow,
    Stall,
    Truncate,
    Way,
    Zone,
)


class Broken(Exception):
    """The exchange ends here: both connections are reset."""


class Ended(Exception):
    """This direction ends here, cleanly."""


class Lane:
    """Forwards one message to `target`, and notes what passes and what strikes just before it does."""

    def __init__(
        self, way: Way, target: End, *, faults: Iterable[Fault], exchange: Exchange, closing: asyncio.Event
    ) -> None:
        self._way = way
        self._target = target
        self._exchange = exchange
        self._closing = closing
        mine = list(faults)
        self._placed = sorted(
            (fault for fault in mine if isinstance(fault, PlacedFault) and fault.place.way is way),
            key=lambda fault: (list(Zone).index(fault.place.zone), fault.place.at),
        )
        self._slow = next((fault for fault in mine if isinstance(fault, Slow) and fault.way is way), None)
        self._slowed = False
        self._repeating: tuple[Repeat, bytearray] | None = None
        self._at = dict.fromkeys(Zone, 0)

    async def begin(self, zone: Zone) -> None:
        """Let faults at the very start of a part strike, also when it has no bytes."""
        await self._strike(zone)

    async def send(self, data: bytes, zone: Zone) -> None:
        """Forward some bytes of a part."""
        while data:
            count = self._until_next(zone, len(data))
            piece, data = data[:count], data[count:]
            corrupt = self._take_corrupt(zone)
            if corrupt is not None:
                piece = bytes([piece[0] ^ 1 << corrupt.bit]) + piece[1:]
            self._count(zone, count)
            await self._out(piece)
            await self._repeat(piece)
            await self._strike(zone)

    async def send_framing(self, data: bytes) -> None:
        """Forward what is no byte of the message's parts."""
        await self._out(data)

    def _count(self, zone: Zone, count: int) -> None:
        self._at[zone] += count
        if zone is Zone.BODY and self._way is Way.UP:
            self._exchange.up += count
        elif zone is Zone.BODY:
            self._exchange.down += count

    def _until_next(self, zone: Zone, most: int) -> int:
        """Return how many bytes may pass before the next fault has its say."""
        at = self._at[zone]
        places = [fault.place for fault in self._placed if fault.place.zone is zone]
        corrupting = {fault.place for fault in self._placed if isinstance(fault, Corrupt)}
        stops = [place.at - at for place in places if place.at > at]
        stops += [1 for place in corrupting & set(places) if place.at == at]
        if self._repeating is not None:
            repeat, found = self._repeating
            stops.append(repeat.size - len(found))
        return min([most, *stops])

    def _take_corrupt(self, zone: Zone) -> Corrupt | None:
        for fault in self._placed:
            if isinstance(fault, Corrupt) and fault.place.zone is zone and fault.place.at == self._at[zone]:
                self._take(fault)
                return fault
        return None

    async def _strike(self, zone: Zone) -> None:
        for fault in [one for one in self._placed if _is_at(one.place, zone, self._at[zone])]:
            match fault:
                case Corrupt():
                    continue  # the next byte is its own
                case Repeat():
                    self._take(fault)
                    self._repeating = (fault, bytearray())
                case Stall(seconds=seconds):
                    self._take(fault)
                    await self._wait(seconds)
                case Reset():
                    self._take(fault)
                    raise Broken
                case Truncate():
                    self._take(fault)
                    raise Ended

    async def _repeat(self, piece: bytes) -> None:
        if self._repeating is None:
            return
        repeat, found = self._repeating
        found += piece
        if len(found) >= repeat.size:
            self._repeating = None
            await self._out(bytes(found))

    async def _wait(self, seconds: float | None) -> None:
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            return
        raise Broken

    async def _out(self, data: bytes) -> None:
        if self._slow is None:
            await self._target.send(data)
            return
        if not self._slowed:
            self._slowed = True
            self._exchange.struck.append(self._slow)
        step = max(1, self._slow.rate // 50)
        for start in range(0, len(data), step):
            await self._target.send(data[start : start + step])
            await self._wait(len(data[start : start + step]) / self._slow.rate)

    def _take(self, fault: PlacedFault) -> None:
        self._placed.remove(fault)
        self._exchange.struck.append(fault)


def _is_at(place: Place, zone: Zone, at: int) -> bool:
    return place.zone is zone and place.at == at
