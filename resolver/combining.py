"""A CRC of a file whose parts come in any order: each part has its own, and they are put together at the end.

So no byte is read a second time, and no thread follows.  A composite checksum is one of the CRCs of pieces,
whose borders need not be ours: what a part brings is cut there.
"""

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate, groupby
from typing import Final

import msgspec

from resolver.checksums import Sums, extend_of, new_sum
from resolver.crc import combined
from resolver.hashing import Hashing
from resolver.parts import Part
from resolver.sources.base import Checksum
from staging_io.files import UnfinishedFile
from staging_protocol.errors import Terminated

_READ_SIZE: Final = 512 * 1024
"""Bytes; it stays in the processor's cache between reading and hashing."""


class _Stretch(msgspec.Struct):
    """Bytes from `start` to `stop` that came one after another, and their CRC."""

    start: int
    stop: int
    crc: int = 0


class CombiningHashing:
    """For a CRC of a file in parts."""

    def __init__(self, checksum: Checksum, *, file: UnfinishedFile, parts: list[Part]) -> None:
        """`parts` are all parts; those that an earlier run has left are read back."""
        self._stated = checksum
        self._file = file
        self._parts = parts
        self._extend = extend_of(checksum.algorithm)
        self._ends = list(accumulate(checksum.parts))
        self._borders = frozenset(self._ends)
        self._stretches: dict[int, list[_Stretch]] = {}
        self._abandoned = False

    def wrote(self, data: memoryview, *, part: Part) -> None:
        """Go on with the CRC of the part, while the bytes are in the cache."""
        self._add(data, at=part.at - len(data), to=self._stretches.setdefault(part.start, []))

    def result(self) -> Sums:
        """Put everything together."""
        for part in self._parts:
            if part.start not in self._stretches:
                self._read_back(part)
        stretches = sorted((one for found in self._stretches.values() for one in found), key=lambda one: one.start)
        return Sums(checksum=msgspec.structs.replace(self._stated, value=self._value(stretches).to_bytes(4, "big")))

    def abandon(self) -> None:
        """Read nothing back any more."""
        self._abandoned = True

    def _add(self, data: memoryview, *, at: int, to: list[_Stretch]) -> None:
        while data:
            count = min(len(data), self._end_after(at) - at) if self._ends else len(data)
            if not to or at in self._borders:
                to.append(_Stretch(at, at))
            last = to[-1]
            last.crc, last.stop = self._extend(last.crc, data[:count]), at + count
            data, at = data[count:], at + count

    def _end_after(self, at: int) -> int:
        """Return where the piece ends that has the byte at `at`."""
        return self._ends[bisect_right(self._ends, at)]

    def _read_back(self, part: Part) -> None:
        buffer = memoryview(bytearray(_READ_SIZE))
        at, stretches = part.start, self._stretches.setdefault(part.start, [])
        while at < part.at:
            if self._abandoned:
                msg = "the run was ended"
                raise Terminated(msg)
            count = self._file.read(buffer[: min(len(buffer), part.at - at)], at)
            self._add(buffer[:count], at=at, to=stretches)
            at += count

    def _value(self, stretches: list[_Stretch]) -> int:
        if not self._ends:
            return self._joined(stretches)
        whole = new_sum(self._stated.algorithm)
        pieces = {
            end: self._joined(found) for end, found in groupby(stretches, key=lambda one: self._end_after(one.start))
        }
        for end, size in zip(self._ends, self._stated.parts, strict=True):
            crc = pieces[end] if size else 0  # the CRC of no bytes
            whole.update(memoryview(crc.to_bytes(4, "big")))
        return int.from_bytes(whole.digest(), "big")

    def _joined(self, stretches: Iterable[_Stretch]) -> int:
        crc = 0
        for one in stretches:
            crc = combined(crc, one.crc, size=one.stop - one.start, algorithm=self._stated.algorithm)
        return crc


_: type[Hashing] = CombiningHashing
