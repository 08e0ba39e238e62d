"""Whether what is there is what was locked: the judgement of `verify`.  Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from staging_protocol.errors import DigestMismatch, NotFound, RefusedByPolicy, StagingError
from submission.locks.changes import changes_of_content, difference
from submission.locks.lockfile import Lock, Locked
from submission.locks.present import Present

_ANEW: Final = "make the lock anew: spark-staging lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """About one dependency: `status` in a word, and what is wrong with it."""

    uri: str
    status: str
    error: StagingError | None = None


def verdicts(lock: Lock, now: Present, *, name: str, full: bool) -> list[Verdict]:
    """Judge every entry of the lock `name`, and what is there besides."""
    found = [*_of_entries(lock, now, name=name, full=full), *_of_others(lock, now, name=name)]
    return sorted(found, key=lambda one: one.uri)


def _of_entries(lock: Lock, now: Present, *, name: str, full: bool) -> Iterator[Verdict]:
    present = {one.key: one for one in now.entries}
    failed = {(one.named.kind, one.named.uri.text) for one in now.problems}
    for one in lock.entries:
        other = present.get(one.key)
        if other is not None:
            yield _compared(one, other, name=name, full=full)
        elif one.by not in failed:
            error = NotFound(f"{one} is in {name}, and is gone; bring it back, or {_ANEW}")
            yield Verdict(uri=str(one), status="gone", error=error)


def _of_others(lock: Lock, now: Present, *, name: str) -> Iterator[Verdict]:
    for one in difference(lock.entries, now.entries).added:
        error = RefusedByPolicy(f"{one} is there, but not in {name}; take it out, or {_ANEW}")
        yield Verdict(uri=str(one), status="new", error=error)
    for problem in now.problems:
        if problem.error is not None:
            yield Verdict(uri=str(problem.dependency.uri), status=problem.error.code, error=problem.problem)


def _compared(locked: Locked, now: Locked, *, name: str, full: bool) -> Verdict:
    changes = changes_of_content(locked, now)
    if not changes:
        return Verdict(uri=str(locked), status="ok")
    how = ", ".join(map(str, changes))
    unsure = not full and all(one.field == "version" for one in changes)
    hint = "; --full tells whether the bytes are other ones" if unsure else ""
    return Verdict(
        uri=str(locked), status="changed", error=DigestMismatch(f"{locked} is not what {name} has: {how}{hint}")
    )
