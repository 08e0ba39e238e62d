"""What a check is."""

from collections.abc import Callable
from dataclasses import dataclass

from staging_io.logs import redact
from submission.doctor.findings import Finding
from submission.doctor.setup import Setup

Look = Callable[[Setup], Finding]
"""Looks at one thing.  A StagingError that it raises is a failure, in the words of the error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the table.

    Attributes:
        name: in two or three words.
        asks: what is looked at, as a question.
        look: looks.
        fix: what to do when it fails, unless what was found says it better.
        needs: names of checks without which there is nothing to look at.
    """

    name: str
    asks: str
    look: Look
    fix: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A check and what it found."""

    check: Check
    finding: Finding

    @property
    def found(self) -> str:
        """What there is, in words, without what looks like a secret."""
        return redact(self.finding.found)

    @property
    def fix(self) -> str | None:
        """What to do; None where all is well."""
        finding = self.finding
        fix = finding.fix or (self.check.fix if finding.status.needs_fix else None)
        return None if fix is None else redact(fix)
