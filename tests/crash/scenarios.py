"""The operations whose every step a test dies at: what is prepared before, and what is then done."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from tests.crash.ledger import Job, Ledger


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """`prepare` runs undisturbed; the process may die at any step of `act`, and a test takes each `every`th.

    There are `least` kills, or steps are no longer counted: about three quarters of what there were.
    All of them, with those under load, of the resolver and of migrations, are more than 200.
    """

    name: str
    prepare: Callable[[Ledger], Job]
    act: Callable[[Ledger, Job], object]
    least: int
    every: int = 1


def _staged(ledger: Ledger) -> Job:
    job = ledger.draft()
    ledger.stage(job)
    return job


def _created(ledger: Ledger) -> Job:
    job = ledger.draft()
    ledger.create(job)
    return job


def _uploaded(ledger: Ledger) -> Job:
    job = _created(ledger)
    ledger.put(job, "0.jar")
    return job


def _expired(ledger: Ledger) -> Job:
    """Two bundles that are due, one that shares a blob with a living one, and an upload that was given up."""
    # After the sweep with which each life begins: it would end what is due before it is whole.
    ledger.sweep()
    shared = ledger.content()
    ledger.stage(ledger.draft([shared, ledger.content()], fleeting=True))
    job = ledger.draft([shared])
    ledger.stage(job)
    ledger.stage(ledger.draft(fleeting=True))
    ledger.create(ledger.draft(fleeting=True))
    return job


def _read_all(ledger: Ledger, job: Job) -> None:
    ledger.manifest(job)
    assert ledger.read(job, "0.jar") == job.contents["0.jar"]
    assert ledger.read(job, "0.jar", start=100_000) == job.contents["0.jar"][100_000:]


def _put_all(ledger: Ledger, job: Job) -> None:
    ledger.put(job, "0.jar")


def _sweep(ledger: Ledger, _job: Job) -> None:
    ledger.sweep()


def _draft_two(ledger: Ledger) -> Job:
    held = _staged(ledger)
    return ledger.draft([held.contents["0.jar"], ledger.content()])


def _brought_by_another(ledger: Ledger) -> Job:
    """Another namespace has the same bytes: those that come are verified, and thrown away again."""
    job = _created(ledger)
    with closing(Ledger(ledger.url, namespace=f"b-{job.name}")) as other:
        other.stage(other.draft(job.contents.values()))
    return job


def _several(ledger: Ledger) -> Job:
    """Three files, one of which another namespace has."""
    job = ledger.draft([ledger.content(size) for size in (200_000, 1, 20_000)])
    with closing(Ledger(ledger.url, namespace=f"b-{job.name}")) as other:
        other.stage(other.draft([job.contents["2.jar"]]))
    ledger.create(job)
    return job


def _half_in_parts(ledger: Ledger) -> Job:
    job = _created(ledger)
    ledger.begin(job, "0.jar")
    ledger.append(job, "0.jar", size=70_000)
    return job


def _go_on(ledger: Ledger, job: Job) -> None:
    """One part more, and the last one."""
    ledger.append(job, "0.jar", size=70_000)
    ledger.append(job, "0.jar", size=70_000)


def _cancel(ledger: Ledger, job: Job) -> None:
    ledger.cancel(job, "0.jar")


SCENARIOS: Final = (
    Scenario(name="create", prepare=_draft_two, act=lambda ledger, job: ledger.create(job), least=8),
    Scenario(name="create-again", prepare=_created, act=lambda ledger, job: ledger.create(job), least=7),
    Scenario(name="upload", prepare=_created, act=_put_all, least=18),
    Scenario(name="upload-twin", prepare=_brought_by_another, act=_put_all, least=23),
    Scenario(name="batch", prepare=_several, act=lambda ledger, job: ledger.put_together(job), least=16, every=2),
    Scenario(name="parts-begin", prepare=_created, act=lambda ledger, job: ledger.begin(job, "0.jar"), least=6),
    Scenario(name="parts", prepare=_half_in_parts, act=_go_on, least=28),
    Scenario(name="parts-resume", prepare=_half_in_parts, act=lambda ledger, job: ledger.resume(job, "0.jar"), least=9),
    Scenario(name="parts-cancel", prepare=_half_in_parts, act=_cancel, least=9),
    Scenario(name="seal", prepare=_uploaded, act=lambda ledger, job: ledger.seal(job), least=7),
    Scenario(name="read", prepare=_staged, act=_read_all, least=8),
    Scenario(name="token", prepare=_staged, act=lambda ledger, job: ledger.renew(job), least=4),
    Scenario(name="pin", prepare=_staged, act=lambda ledger, job: ledger.pin(job, "kept"), least=6),
    Scenario(name="delete", prepare=_staged, act=lambda ledger, job: ledger.delete(job), least=7),
    Scenario(name="sweep", prepare=_expired, act=_sweep, least=19, every=2),
)
