"""What a check found."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How something is."""

    OK = "ok"
    WARN = "warn"
    """Jobs run, but not as well as they could, or not everywhere."""
    FAIL = "fail"
    UNKNOWN = "unknown"
    """Nobody who could be asked would tell."""
    SKIPPED = "skipped"
    """Not looked at, because of a failure that comes before it."""

    @property
    def needs_fix(self) -> bool:
        """Whether somebody has something to do."""
        return self in {Status.WARN, Status.FAIL, Status.UNKNOWN}

    @property
    def stops(self) -> bool:
        """Whether there is nothing to look at for checks that need this one."""
        return self in {Status.FAIL, Status.SKIPPED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found.

    Attributes:
        status: how it is.
        found: what there is, in words.
        fix: what to do; None where there is nothing to do, or the usual fix of the check is right.
        because: checks whose failure explains this one, where they failed, too.
    """

    status: Status
    found: str
    fix: str | None = None
    because: tuple[str, ...] = ()


def ok(found: str) -> Finding:
    """Return that all is well."""
    return Finding(status=Status.OK, found=found)


def warn(found: str, *, fix: str | None = None) -> Finding:
    """Return that something could be better."""
    return Finding(status=Status.WARN, found=found, fix=fix)


def fail(found: str, *, fix: str | None = None, because: tuple[str, ...] = ()) -> Finding:
    """Return that jobs will not run."""
    return Finding(status=Status.FAIL, found=found, fix=fix, because=because)


def skipped(cause: str) -> Finding:
    """Return that there was nothing to look at, because the check `cause` failed."""
    return Finding(status=Status.SKIPPED, found=f"because of: {cause}")


def unknown(found: str, *, fix: str | None = None) -> Finding:
    """Return that nobody would tell."""
    return Finding(status=Status.UNKNOWN, found=found, fix=fix)
