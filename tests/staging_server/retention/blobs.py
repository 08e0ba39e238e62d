"""The bytes of bundles in the model of retention: who relies on which, and when each may go.

live     a bundle that was told that they are held, or that its upload is kept, finds them
held     for `blob_keep` after the last bundle of a namespace that had them, and for the grace of blobs after that
gone     once all of that is over
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from staging_protocol.api.creation import NewFile
from staging_protocol.digests import Digest
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind
from staging_protocol.tokens import BundleId
from staging_protocol.uploads import UploadId
from staging_server.blobs.base import BlobKey
from staging_server.metadata.arrivals import Arrival
from staging_server.tenants import Tenant
from tests.staging_server.domain import ALICE

GRACE: Final = timedelta(minutes=30)
"""Of blobs, after the last namespace has given one up."""

_DIGESTS: Final = tuple(Digest.of(bytes([number])) for number in range(4))


@dataclass
class _Use:
    """When a namespace last used a blob, and the shortest time for which a policy has kept it since."""

    last: datetime
    keep: timedelta


@dataclass
class _Bundle:
    """Files of a bundle, and the keys that it relies on."""

    tenant: Tenant
    digests: frozenset[Digest]
    keys: set[BlobKey]


class Bytes:
    """What a sweep sees of `BlobStore`; it looks at each removal."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._keys: dict[Digest, BlobKey] = {}
        self._bundles: dict[BundleId, _Bundle] = {}
        self._uses: dict[tuple[Tenant, Digest], _Use] = {}

    async def remove(self, key: BlobKey) -> None:
        """See `BlobStore.remove`."""
        now = self._clock()
        relying = [bundle for bundle, known in self._bundles.items() if key in known.keys]
        assert not relying, f"{relying} lose their bytes at {now}"
        if self._keys.get(key.digest) == key:
            early = [use for (_, digest), use in self._uses.items() if digest == key.digest and now < _end(use)]
            assert not early, f"{key.digest} goes at {now}, {early}"
            del self._keys[key.digest]

    def created(
        self, bundle: BundleId, tenant: Tenant, digests: frozenset[Digest], *, wanted: Collection[Digest]
    ) -> None:
        """Note a new bundle, and look whether what is held is there."""
        held = digests - set(wanted)
        missing = held - set(self._keys)
        assert not missing, f"{missing} are not there"
        self._bundles[bundle] = _Bundle(tenant, digests, {self._keys[digest] for digest in held})

    def arrival(self, bundle: BundleId, digest: Digest) -> Arrival:
        """Return the upload of a digest for a bundle."""
        upload = UploadId.generate()
        key = BlobKey.of(digest, upload=upload)
        tenant = self._bundles[bundle].tenant
        return Arrival(
            upload=upload, tenant=tenant, caller=ALICE, digest=digest, size=1, key=key, now=self._clock()
        )  # fmt: skip

    def arrived(self, arrival: Arrival, *, kept: bool) -> list[BundleId]:
        """Note an upload that was acknowledged (other bytes may have been kept); return the bundles that named it."""
        if kept:
            self._keys[arrival.digest] = arrival.key
        served = [bundle for bundle, known in self._bundles.items() if _names(known, arrival)]
        for bundle in served:
            self._bundles[bundle].keys.add(self._keys[arrival.digest])
        return served

    def wanted(self, bundle: BundleId) -> Iterator[Digest]:
        """Yield what a bundle still needs."""
        known = self._bundles[bundle]
        yield from sorted(known.digests - {key.digest for key in known.keys})

    def ended(self, bundle: BundleId, *, keep: timedelta) -> None:
        """Note the end of a bundle: its namespace keeps what it relied on."""
        known = self._bundles.pop(bundle)
        for key in known.keys:
            self._uses[known.tenant, key.digest] = _Use(self._clock(), keep)

    def keep_at_most(self, keep: timedelta) -> None:
        """Note another policy."""
        for use in self._uses.values():
            use.keep = min(use.keep, keep)

    def may_stay(self, digest: Digest, *, keep: timedelta, late: timedelta) -> bool:
        """Tell whether somebody names a blob, or its time is not over."""
        if any(digest in known.digests for known in self._bundles.values()):
            return True
        uses = [use for (_, used), use in self._uses.items() if used == digest]
        return any(self._clock() < use.last + keep + GRACE + late for use in uses)


def files_of(number: int) -> tuple[NewFile, ...]:
    """Return the files of a bundle: none, one or two."""
    digests = {_DIGESTS[choice - 1] for choice in (number % 5, number // 5 % 5) if choice}
    return tuple(
        NewFile(kind=Kind.JAR, name=FileName(f"{digest.hex[:8]}.jar"), size=1, digest=digest) for digest in digests
    )


def _names(known: _Bundle, arrival: Arrival) -> bool:
    return known.tenant == arrival.tenant and arrival.digest in known.digests


def _end(use: _Use) -> datetime:
    return use.last + use.keep + GRACE
