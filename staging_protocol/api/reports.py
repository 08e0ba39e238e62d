"""What init containers tell of how resolving went."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from staging_protocol.api.bodies import Body, ShortText, Size


class Outcome(StrEnum):
    """How resolving ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Report(Body, frozen=True):
    """`POST …/reports`, and the termination message of the init container.

    `files` and `size` count what was downloaded, `reused` what was whole already.
    `code` and `detail` say why it failed.
    """

    outcome: Outcome
    role: ShortText
    pod: ShortText
    exit_code: Annotated[int, Meta(ge=0, le=255)]
    seconds: Annotated[float, Meta(ge=0)]
    files: Size = 0
    reused: Size = 0
    size: Size = 0
    code: ShortText | None = None
    detail: Annotated[str, Meta(max_length=3000)] | None = None


class ReceivedReport(Body, frozen=True):
    """A report with the time at which the server got it."""

    received_at: datetime
    report: Report
