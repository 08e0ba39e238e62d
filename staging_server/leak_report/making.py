"""Makes the report: sums first, then equal content among what counts, so that most files are never opened."""

from collections.abc import Callable

from staging_protocol.printable import printable
from staging_server.leak_report.equal_content import Sizes, compare
from staging_server.leak_report.judging import Jobs, State
from staging_server.leak_report.report import AskedJobs, Equal, Report, Unreadable
from staging_server.leak_report.stores import Problems, UploadStore
from staging_server.leak_report.summing import Rules, Sums, counted

WasRead = Callable[[int], None]
"""Is told bytes as files are compared."""


def make_report(store: UploadStore, rules: Rules, *, delete: str, was_read: WasRead | None) -> Report:
    """List the store and sum up what counts.

    Args:
        store: where to look.
        rules: what counts.
        delete: the command that deletes what no live job names.
        was_read: for progress; None does not compare files.
    """
    problems, sizes, sums = Problems(), Sizes(), Sums(rules)
    for found in counted(store, rules, problems=problems, noted=sizes.note):
        sums.add(found)
    equal = None if was_read is None else _equal(store, rules, sizes=sizes, problems=problems, was_read=was_read)
    states = sums.states
    return Report(
        path=printable(store.shown("")),
        made_at=rules.now,
        older_than=None if rules.older_than is None else rules.older_than.total_seconds(),
        price=rules.price,
        jobs=_asked(rules.jobs),
        total=sums.total,
        states=states,
        ages=sums.ages,
        equal=equal,
        largest=sums.largest(lambda path: printable(store.shown(path))),
        unreadable_count=problems.count,
        unreadable=tuple(Unreadable(path=printable(path), reason=reason) for path, reason in problems.first),
        complete=problems.count == 0 and not rules.jobs.problems,
        delete=delete if states[State.UNNAMED].folders else None,
    )


def _equal(store: UploadStore, rules: Rules, *, sizes: Sizes, problems: Problems, was_read: WasRead) -> Equal:
    # What cannot be listed was told when it was summed up.
    folders = (found.folder for found in counted(store, rules, problems=Problems()))
    found = compare(store, folders, sizes=sizes, problems=problems, was_read=was_read)
    return Equal(files=found.files, bytes=found.size, read=found.read, at_least=not found.whole)


def _asked(jobs: Jobs) -> AskedJobs:
    return AskedJobs(
        asked=jobs.asked, namespaces=jobs.namespaces, live=jobs.live, finished=jobs.finished,
        problems=tuple(map(printable, jobs.problems)),
    )  # fmt: skip
