"""How a run ended, as pods report it: to the server, and in one line to Kubernetes."""

from collections.abc import Iterable
from typing import Final

import msgspec

from resolver.run import Resolved
from staging_protocol.api.reports import Outcome, Report
from staging_protocol.errors import ExitCode, StagingError
from staging_protocol.pod_contract import MAX_TERMINATION_MESSAGE
from staging_protocol.wire import encode

_MAX_DETAIL: Final = 2000
"""Characters.  JSON may escape one in six bytes and UTF-8 in four, so the line is checked again."""


def success(resolved: Iterable[Resolved], *, role: str, pod: str, seconds: float) -> Report:
    """Return the report of a run that brought everything."""
    everything = list(resolved)
    moved = [one for one in everything if not one.reused]
    return Report(
        outcome=Outcome.SUCCEEDED, role=role, pod=pod, exit_code=ExitCode.DONE, seconds=seconds,
        files=len(moved), reused=len(everything) - len(moved), size=sum(one.size for one in moved),
    )  # fmt: skip


def failure(error: StagingError, *, role: str, pod: str, seconds: float) -> Report:
    """Return the report of a run that failed."""
    return Report(
        outcome=Outcome.FAILED, role=role, pod=pod, exit_code=error.exit_code, seconds=seconds,
        code=error.code, detail=error.detail[:_MAX_DETAIL],
    )  # fmt: skip


def termination_message(report: Report) -> bytes:
    """Return the report as one JSON line that the kubelet does not cut."""
    line = encode(report)
    while len(line) > MAX_TERMINATION_MESSAGE and report.detail:
        report = msgspec.structs.replace(report, detail=report.detail[: len(report.detail) * 3 // 4])
        line = encode(report)
    return line
