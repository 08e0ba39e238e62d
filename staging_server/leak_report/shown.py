"""The report for people, in 80 columns."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import click

from staging_server.leak_report.judging import State
from staging_server.leak_report.report import Amount, AskedJobs, Equal, LargeFolder, Report
from staging_server.sizes import human_size

_NAME: Final = 22
_COLOURS: Final = {State.IN_USE: "green", State.UNNAMED: "yellow", State.NOT_KNOWN: None}
_TOLD: Final = 10
"""Problems of one sort that are shown; `-o json` has more."""


def shown(report: Report) -> Iterator[str]:
    """Yield the lines."""
    yield from _summary(report)
    if report.total.folders:
        yield from _table("live jobs", [(state.value, amount) for state, amount in report.states.items()])
        yield from _why_not_known(report)
        yield from _table("written", [(age.age, age.amount) for age in report.ages if age.amount.folders])
        if report.equal is not None:
            yield from _equal(report.equal, report.price)
        yield from _largest(report)
    yield from _problems(report)
    if report.delete is not None:
        yield from _delete(report)


def _summary(report: Report) -> Iterator[str]:
    total = report.total
    yield _bold(f"{_count(total.folders, 'leftover')} below {report.path}")
    if report.older_than is not None:
        yield f"only those older than {_age(timedelta(seconds=report.older_than))}"
    if total.per_month is not None and total.until_now is not None:
        yield f"{_money(total.per_month)} a month at {report.price} for a GiB; {_money(total.until_now)} until now"
    yield f"live jobs: {_asked(report.jobs)}"


def _asked(jobs: AskedJobs) -> str:
    if not jobs.asked:
        return "not asked (--context NAME or --kubeconfig FILE asks Kubernetes)"
    where = f"in {', '.join(jobs.namespaces)}" if jobs.namespaces else "in all namespaces"
    return f"{jobs.live} {where}, besides {jobs.finished} finished"


def _table(title: str, rows: Sequence[tuple[str, Amount]]) -> Iterator[str]:
    priced = any(amount.per_month is not None for _, amount in rows)
    yield ""
    yield _bold(f"{title:<{_NAME}}{'folders':>12}{'files':>12}{'size':>14}" + (f"{'a month':>14}" if priced else ""))
    for name, amount in rows:
        price = "" if amount.per_month is None else f"{_money(amount.per_month):>14}"
        yield f"{name:<{_NAME}}{amount.folders:>12,}{amount.files:>12,}{human_size(amount.bytes):>14}{price}"


def _why_not_known(report: Report) -> Iterator[str]:
    if not report.states[State.NOT_KNOWN].folders or not report.jobs.asked:
        return
    if report.jobs.problems:
        yield "not known: Kubernetes did not say everything (see below)"
    else:
        yield "not known: written within a day, as a submit uploads before there is a job,"
        yield "  or not read"


def _equal(equal: Equal, price: float | None) -> Iterator[str]:
    yield ""
    less = f"{'at least ' if equal.at_least else ''}{human_size(equal.bytes)}"
    saved = "" if price is None else f", {_money(equal.bytes / 1024**3 * price)} a month"
    yield _bold("equal content")
    yield f"{_count(equal.files, 'file')} with content that is there already: {less}{saved}"
    yield f"that staging by digest would not keep (read {human_size(equal.read)} to tell)"


def _largest(report: Report) -> Iterator[str]:
    yield ""
    yield _bold(f"the {len(report.largest)} largest")
    for folder in report.largest:
        yield from _large(folder, root=report.path, now=report.made_at)


def _large(folder: LargeFolder, *, root: str, now: datetime) -> Iterator[str]:
    state = click.style(folder.state.value, fg=_COLOURS[folder.state])
    of = "" if folder.application is None else f", of {folder.application}"
    yield f"{human_size(folder.bytes):>10} {_age(now - folder.newest):>9}  {state}{of}"
    inside = folder.path.removeprefix(root).lstrip("/")
    yield f"           {inside}/{folder.largest_file}" + (f" and {folder.files - 1} more" if folder.files > 1 else "")


def _problems(report: Report) -> Iterator[str]:
    if report.jobs.problems:
        yield ""
        yield _bold("Kubernetes did not say everything")
        yield from _first(report.jobs.problems, len(report.jobs.problems))
    if report.unreadable:
        yield ""
        yield _bold("could not be read, so the sums are too small")
        yield from _first([f"{one.path}: {one.reason}" for one in report.unreadable], report.unreadable_count)


def _first(lines: Sequence[str], count: int) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:_TOLD])
    if count > _TOLD:
        yield f"  and {count - _TOLD} more"


def _delete(report: Report) -> Iterator[str]:
    yield ""
    yield _bold("to delete what no live job names")
    yield "This asks everything again, and nothing undoes it.  Jobs elsewhere that use the"
    yield "same path (other clusters, YARN, notebooks) were not asked."
    yield ""
    yield from (f"  {line}" for line in (report.delete or "").splitlines())


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _age(age: timedelta) -> str:
    seconds = max(0, int(age.total_seconds()))
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            return _count(seconds // size, unit)
    return _count(seconds, "second")


def _money(amount: float) -> str:
    return f"{amount:,.2f}"


def _bold(text: str) -> str:
    return click.style(text, bold=True)
