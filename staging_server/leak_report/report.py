"""The report as `-o json` prints it.

Times are UTC, sizes bytes.  Paths and names are shown with everything escaped that is not plainly visible, so they are
for reading; `-o paths` gives paths as they are.
"""

from datetime import datetime

import msgspec

from staging_server.leak_report.judging import State


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is of something.

    Attributes:
        folders: `spark-upload-…` folders.
        files: files in them.
        bytes: bytes of these.
        per_month: what keeping them costs, in the currency of the price; null without a price.
        until_now: what it has cost since each folder was written, at that price.
    """

    folders: int
    files: int
    bytes: int
    per_month: float | None
    until_now: float | None


class Age(msgspec.Struct, frozen=True, kw_only=True):
    """What was written last that long ago."""

    age: str
    amount: Amount


class AskedJobs(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs the states stand on.

    Attributes:
        asked: whether Kubernetes was asked; else nothing is known of any job.
        namespaces: where jobs were looked for; empty for all of the cluster.
        live: drivers and applications that have not finished.
        finished: those that have.
        problems: what Kubernetes did not say; then what nothing names is `not known`.
    """

    asked: bool
    namespaces: tuple[str, ...]
    live: int
    finished: int
    problems: tuple[str, ...]


class Equal(msgspec.Struct, frozen=True, kw_only=True):
    """Files whose content is there once more; staging by digest keeps it once.

    Attributes:
        files: those files, without the first of each content.
        bytes: what they take.
        read: bytes that were read to find them.
        at_least: whether there may be more, as only so many contents are remembered.
    """

    files: int
    bytes: int
    read: int
    at_least: bool


class LargeFolder(msgspec.Struct, frozen=True, kw_only=True):
    """One of the largest folders.

    Attributes:
        path: with the root.
        bytes: of all its files.
        files: their number.
        largest_file: name of the largest.
        oldest: when the first file was written.
        newest: when the last one was.
        state: `in use`, `no live job names it`, or `not known`.
        application: the application that names it, if one does that has not been deleted.
        job: the object by which that is known.
        per_month: what keeping it costs.
    """

    path: str
    bytes: int
    files: int
    largest_file: str
    oldest: datetime
    newest: datetime
    state: State
    application: str | None
    job: str | None
    per_month: float | None


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """What could not be read, and why."""

    path: str
    reason: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Leftovers of `spark.kubernetes.file.upload.path`.

    Attributes:
        path: what was looked at.
        made_at: the time from which ages count.
        older_than: seconds; younger folders are not in the report.
        price: of a GiB for a month.
        jobs: what Kubernetes said.
        total: all folders.
        states: the same by state.
        ages: the same by age.
        equal: files with the same content; null when they were not compared.
        largest: the largest folders, largest first.
        unreadable_count: what could not be read, so that the sums are too small.
        unreadable: the first of these.
        complete: whether everything was read, and Kubernetes, if asked, said everything.
        delete: a shell command that deletes what no live job names, once it has asked again; null when there is none.
    """

    path: str
    made_at: datetime
    older_than: float | None
    price: float | None
    jobs: AskedJobs
    total: Amount
    states: dict[State, Amount]
    ages: tuple[Age, ...]
    equal: Equal | None
    largest: tuple[LargeFolder, ...]
    unreadable_count: int
    unreadable: tuple[Unreadable, ...]
    complete: bool
    delete: str | None
