"""Which objects were left by runs of `submit` that were cut off, as by kill -9 or a machine that went away.

`submit` gives the first objects of a job their owner last of all: while one of a run's objects has no owner, the
submission is not finished.  It is not being finished either once nothing was added to it for a while.  Then

    no driver            its objects without an owner go
    it never started     it goes, and all with it: nobody was told of that job
    it lives             all stay
    it has ended         its objects without an owner go; the pod stays, as those of other jobs do

Objects with an owner go with it, by Kubernetes itself.  Pure.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from submission.pruning.labelled import DriverPod, Labelled, Life
from submission.pruning.verdict import Fate, Verdict


def verdicts(
    objects: Iterable[Labelled], *, drivers: Callable[[], Iterable[DriverPod]], before: datetime
) -> Iterator[Verdict]:
    """Yield what is to be done with the objects of each run that was not finished.

    Args:
        objects: all that runs of `submit` have made; they are listed before `drivers` is asked.
        drivers: returns all drivers that there are.
        before: a run that made something later may still go on.
    """
    runs: defaultdict[tuple[str, str | None], list[Labelled]] = defaultdict(list)
    for one in objects:
        runs[one.namespace, one.run].append(one)
    unfinished = {run: found for run, found in runs.items() if not all(one.is_owned for one in found)}
    if not unfinished:
        return
    pods = {(driver.object.namespace, driver.object.run): driver for driver in drivers()}
    for run, found in unfinished.items():
        yield from _of_run(found, driver=pods.get(run), before=before)


def _of_run(found: Sequence[Labelled], *, driver: DriverPod | None, before: datetime) -> Iterator[Verdict]:
    loose = [one for one in found if not one.is_owned]
    everything = [*found] if driver is None else [driver.object, *found]
    fate, why, meant = Fate.DELETE, "its submission was cut off before there was a driver", loose
    if max(one.created for one in everything) >= before:
        fate, why = Fate.KEEP, "its submission may still go on: it has made something since --older-than"
    elif driver is not None and driver.life is Life.LIVES:
        fate, why = Fate.KEEP, f"its driver {driver.object.name} lives"
    elif driver is not None and driver.life is Life.ENDED:
        why = f"its driver {driver.object.name} has ended"
    elif driver is not None:
        why, meant = "its submission was cut off, and its driver never started", everything
    yield from (Verdict(object=one, fate=fate, why=why) for one in meant)
