"""How often Kubernetes may be asked about callers: in all, and in vain because of one address.

Each has a bucket that holds five seconds' worth and is filled all the time.  A question takes one of what is there for
all; an answer that is no takes one of its address.  So a job's thousand executors may come from one address at once,
and a stranger's thousand guesses may not: what was asked before the first no came is a debt that has to be waited for.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

from staging_protocol.errors import TooManyRequests

_SECONDS_AT_ONCE: Final = 5.0
_ADDRESSES: Final = 10_000
"""Addresses that are remembered, about 2 MB; beyond, the one that asked longest ago begins anew."""

_NET: Final = 64
"""Bits of an IPv6 address that are given to one machine or network (RFC 6177, RFC 7934)."""


@dataclass(slots=True)
class _Bucket:
    left: float
    filled_at: float


class Rates:
    """Questions a second, `in_all`, and those answered with no because `of_address`."""

    def __init__(self, *, in_all: float, of_address: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._in_all = in_all
        self._of_address = of_address
        self._clock = clock
        self._all = _Bucket(in_all * _SECONDS_AT_ONCE, clock())
        self._addresses: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, address: str) -> None:
        """Count a question that is about to be asked.

        Raises:
            TooManyRequests: it has to wait.
        """
        bucket = self._bucket(address)
        self._fill(self._all, self._in_all)
        # An address that has had its share does not use up what is there for all.
        if bucket.left < 1:
            msg = "too many credentials from this address were refused"
            raise TooManyRequests(msg, retry_after=(1 - bucket.left) / self._of_address)
        if self._all.left < 1:
            msg = "too many callers are being looked at; come back soon"
            raise TooManyRequests(msg, retry_after=(1 - self._all.left) / self._in_all)
        self._all.left -= 1

    def refused(self, address: str) -> None:
        """Say that a question because of this address was answered with no."""
        self._bucket(address).left -= 1

    def _bucket(self, address: str) -> _Bucket:
        net = _net(address)
        bucket = self._addresses.get(net)
        if bucket is None:
            bucket = self._addresses[net] = _Bucket(self._of_address * _SECONDS_AT_ONCE, self._clock())
            if len(self._addresses) > _ADDRESSES:
                self._addresses.popitem(last=False)
        self._addresses.move_to_end(net)
        self._fill(bucket, self._of_address)
        return bucket

    def _fill(self, bucket: _Bucket, rate: float) -> None:
        now = self._clock()
        bucket.left = min(rate * _SECONDS_AT_ONCE, bucket.left + (now - bucket.filled_at) * rate)
        bucket.filled_at = now


def _net(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return f"{int(parsed) >> (128 - _NET):x}::/{_NET}"
    return address
