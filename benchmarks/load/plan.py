"""Who loads the server: namespaces with their clients, sizes, and how long.

Three kinds of namespaces: `one` has a single uploader and a single reader, `hundred` has half of all, and four `equal`
ones share the rest.  So what a namespace gets can be compared with what it asks for.
"""

from typing import Final

import msgspec

from benchmarks.scenario import KIB, MIB

ONE: Final = "one"
HUNDRED: Final = "hundred"
_EQUAL: Final = 4


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What one namespace asks for: clients that go on and on."""

    namespace: str
    uploaders: int
    readers: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run.

    Attributes:
        sizes: bytes of files with their weights.
        seconds: how long clients go on.
        fresh: seconds in which a sealed bundle is read; well under the server's time to live.
        wave: all readers begin a read at the same moment, every so many seconds; with 0 they never rest.
        pieces: uploads are sent in so many pieces, `pause` seconds apart: a client with a slow network.
    """

    demands: tuple[Demand, ...]
    sizes: tuple[tuple[int, float], ...]
    seconds: float
    fresh: float
    wave: float = 0.0
    pieces: int = 1
    pause: float = 0.0

    @property
    def uploaders(self) -> int:
        """How many uploads run at once."""
        return sum(demand.uploaders for demand in self.demands)

    @property
    def readers(self) -> int:
        """How many reads run at once."""
        return sum(demand.readers for demand in self.demands)

    @property
    def equal(self) -> tuple[str, ...]:
        """The namespaces that ask for the same."""
        return tuple(demand.namespace for demand in self.demands if demand.namespace not in {ONE, HUNDRED})


LARGE: Final = ((100 * KIB, 0.5), (MIB, 0.3), (4 * MIB, 0.15), (32 * MIB, 0.05))
"""As jobs have them: most dependencies are small, most bytes are in few."""

SMALL: Final = ((4 * KIB, 0.5), (100 * KIB, 0.45), (512 * KIB, 0.05))


def demands(*, uploaders: int, readers: int) -> tuple[Demand, ...]:
    """Share out all clients; there are at least ten of each."""
    half, rest = uploaders // 2, uploaders - uploaders // 2 - 1
    half_readers, rest_readers = readers // 2, readers - readers // 2 - 1
    return (
        Demand(namespace=ONE, uploaders=1, readers=1),
        Demand(namespace=HUNDRED, uploaders=half + rest % _EQUAL, readers=half_readers + rest_readers % _EQUAL),
        *(
            Demand(namespace=f"equal-{number}", uploaders=rest // _EQUAL, readers=rest_readers // _EQUAL)
            for number in range(_EQUAL)
        ),
    )


SERVER: Final = {
    "RETENTION__TIME_TO_LIVE": "90",
    "RETENTION__MIN_AGE": "1",
    "RETENTION__BLOB_KEEP": "2",
    "RETENTION__BLOB_GRACE": "0",
    "RETENTION__SWEEP_EVERY": "1",
}
"""Settings of the server: bundles end after a minute and a half, and unused blobs are deleted all the time.

An upload may wait for a place for up to 45 seconds, and a bundle with an upload that waits must not end.
"""

FRESH: Final = 20.0
"""Seconds in which readers begin to read a bundle: well under its time to live."""
