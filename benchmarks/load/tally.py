"""What a crowd saw: answers by status, bytes and waiting times by namespace, and what must not be."""

from collections import Counter, defaultdict
from statistics import quantiles
from typing import Final

import msgspec

from benchmarks.load.wire import Head

_PERMITTED: Final = frozenset({429, 503})
"""Refusals under load that are no failure when they say when to come again."""

_SHOWN: Final = 20
"""Failures whose words are kept."""


class Share(msgspec.Struct, kw_only=True):
    """What one namespace got.

    Attributes:
        kept_reads: reads of whole files by clients that keep their connection.
        waits: seconds from asking for an upload to being let in (`100 Continue`), refusals before it included.
        overtaken: for each of these, how many uploads of other namespaces were let in meanwhile.
    """

    uploads: int = 0
    reads: int = 0
    kept_reads: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    waits: list[float] = msgspec.field(default_factory=list)
    overtaken: list[int] = msgspec.field(default_factory=list)


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A tally when all is over.

    Attributes:
        late: seconds by which the crowd itself was behind at most: its clients waited for it, not for the server.
        answers: number of answers by what was asked and its status.
        failures: what must not be: other statuses, broken connections, wrong bytes; each with what was asked.
        samples: some failures in words.
        verified: answers whose bytes were compared with their digest.
        open_uploads: namespace and id of uploads in parts that the end of the run cut short.
    """

    seconds: float
    late: float = 0
    answers: dict[str, int]
    failures: dict[str, int]
    samples: list[str]
    verified: int
    shares: dict[str, Share]
    open_uploads: list[tuple[str, str]] = msgspec.field(default_factory=list)


class Tally:
    """Counts while the crowd goes on."""

    def __init__(self) -> None:
        self._answers: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._samples: list[str] = []
        self.verified = 0
        self.open_uploads: set[tuple[str, str]] = set()
        self.shares: defaultdict[str, Share] = defaultdict(Share)

    def answered(self, what: str, head: Head, *, good: frozenset[int], body: bytes = b"") -> bool:
        """Count an answer and tell whether it is `good`; another is a failure unless it says when to come again."""
        self._answers[f"{what} {head.status}"] += 1
        if head.status in good:
            return True
        if not is_come_again(head):
            self.failed(what, f"answered {head.status} ({body[:300].decode(errors='replace')})")
        return False

    def let_in(self, namespace: str, *, seconds: float, others_before: int) -> None:
        """Count an upload that may begin; `others_before` is what `others` was when it asked."""
        share = self.shares[namespace]
        share.waits.append(seconds)
        share.overtaken.append(self.others(namespace) - others_before)

    def others(self, namespace: str) -> int:
        """Return how many uploads of other namespaces were let in so far."""
        return sum(len(share.waits) for name, share in self.shares.items() if name != namespace)

    def failed(self, what: str, how: str) -> None:
        """Count what must not be."""
        self._failures[f"{what}: {how.partition(' (')[0]}"] += 1
        if len(self._samples) < _SHOWN:
            self._samples.append(f"{what}: {how}")

    def line(self) -> dict[str, float]:
        """Return totals so far, for who watches."""
        shares = self.shares.values()
        return {
            "uploads": sum(share.uploads for share in shares), "reads": sum(share.reads for share in shares),
            "bytes up": sum(share.bytes_up for share in shares),
            "bytes down": sum(share.bytes_down for share in shares),
            "asked to come again": sum(n for name, n in self._answers.items() if name.endswith((" 429", " 503"))),
            "failures": self._failures.total(),
        }  # fmt: skip

    def summary(self, *, seconds: float, late: float = 0) -> Summary:
        """Return everything."""
        return Summary(
            seconds=seconds, late=late, answers=dict(sorted(self._answers.items())), failures=dict(self._failures),
            samples=self._samples, verified=self.verified, shares=dict(self.shares),
            open_uploads=sorted(self.open_uploads),
        )  # fmt: skip


def is_come_again(head: Head) -> bool:
    """Tell whether a refusal says that the same request may succeed later, and when."""
    return head.status in _PERMITTED and head.fields.get("retry-after", "").isdecimal()


def percentile(values: list[float], percent: int) -> float:
    """Return a percentile, 0 of nothing."""
    if len(values) < 2:
        return values[0] if values else 0.0
    return quantiles(values, n=100, method="inclusive")[percent - 1]
