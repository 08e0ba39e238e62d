"""Clients that do everything at once until the server goes away."""

import random
import threading
from collections.abc import Callable, Sequence
from typing import Final

from staging_protocol.errors import BlobNotWanted, BundleExpired, FilesMissing, NotFound
from tests.crash.ledger import CutOff, Job, Ledger

_MOST: Final = 40
"""Operations of one client in one life of the server."""

_SHARED: Final = tuple(random.Random(number).randbytes(90_000) for number in range(4))  # noqa: S311 - test data
"""Contents that every client has, so that they bring, hold and give up the same blobs at once."""


class Client:
    """One thread's worth of work for a ledger."""

    def __init__(self, ledger: Ledger, *, seed: int) -> None:
        self.ledger = ledger
        self._random = random.Random(seed)  # noqa: S311 - test data
        self._actions: Sequence[Callable[[], None]] = (
            self._stage, self._stage, self._stage_fleeting, self._stage_shared, self._stage_in_parts, self._begin_only,
            self._read, self._read, self._renew, self._pin, self._delete, self._delete, self._again,
            lambda: void(self.ledger.sweep()),
        )  # fmt: skip

    def work(self) -> None:
        """Do this and that until the server is gone, or for long enough."""
        for _ in range(_MOST):
            try:
                self._random.choice(self._actions)()
            except CutOff:
                return

    def _stage(self) -> None:
        contents = [self.ledger.content(self._random.choice((0, 1, 5_000, 200_000))) for _ in range(2)]
        self.ledger.stage(self.ledger.draft(contents))

    def _stage_shared(self) -> None:
        self.ledger.stage(self.ledger.draft(self._random.sample(_SHARED, 2)))

    def _stage_fleeting(self) -> None:
        job = self.ledger.draft([self._random.choice(_SHARED), self.ledger.content(50_000)], fleeting=True)
        self._unless_expired(job, lambda: self.ledger.stage(job))

    def _begin_only(self) -> None:
        """Somebody creates, uploads one of two, and walks away."""
        job = self.ledger.draft([self.ledger.content(30_000), self.ledger.content(30_000)], fleeting=True)
        self.ledger.create(job)
        self._unless_expired(job, lambda: self.ledger.put(job, "0.jar"))

    def _stage_in_parts(self) -> None:
        job = self.ledger.draft([self.ledger.content(150_000)])
        self.ledger.create(job)
        resuming = self.ledger.begin(job, "0.jar")
        while not resuming.done:
            self.ledger.append(job, "0.jar", size=60_000)
        self.ledger.seal(job)

    def _read(self) -> None:
        if (job := self._any()) is not None:
            name = self._random.choice(list(job.contents))
            start = self._random.choice((0, len(job.contents[name]) // 3))

            def read() -> None:
                assert self.ledger.read(job, name, start=start) == job.contents[name][start:]

            self._unless_expired(job, read)

    def _renew(self) -> None:
        if (job := self._any()) is not None:
            self._unless_expired(job, lambda: self.ledger.renew(job))

    def _pin(self) -> None:
        if (job := self._any()) is not None:
            self._unless_expired(job, lambda: self.ledger.pin(job, f"reason {self._random.random()}"))

    def _delete(self) -> None:
        if (job := self._any()) is not None:
            self._unless_expired(job, lambda: self.ledger.delete(job))

    def _again(self) -> None:
        if (job := self._any()) is not None:
            self._unless_expired(job, lambda: void(self.ledger.create(job)))

    def _any(self) -> Job | None:
        jobs = [job for job in self.ledger.jobs if job.sealed and not job.gone and not job.doubts]
        return self._random.choice(jobs) if jobs else None

    def _unless_expired(self, job: Job, act: Callable[[], None]) -> None:
        try:
            act()
        except (BundleExpired, BlobNotWanted, FilesMissing, NotFound):
            # Only what may expire may be gone; settling looks whether it really is.
            if not job.fleeting:
                raise


def void(_result: object) -> None:
    """Forget a result."""


def all_at_once(clients: Sequence[Client]) -> None:
    """Run all clients until each is done; raises what one of them found wrong."""
    wrong: list[BaseException] = []

    def run(client: Client) -> None:
        try:
            client.work()
        except BaseException as error:  # noqa: BLE001 - the outermost loop of a thread; raised again below
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]
