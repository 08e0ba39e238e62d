"""The body of every error."""

from datetime import datetime

import msgspec


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`application/problem+json` (RFC 9457), the body of every error.

    `missing` lists files that are not staged yet (`files-missing`); `ended_at` and `reason` explain `bundle-expired`;
    `expected-offset` says where an upload stands (`upload-offset-mismatch`).
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    request_id: str
    missing: tuple[str, ...] = ()
    ended_at: datetime | None = None
    reason: str | None = None
    expected_offset: int | None = msgspec.field(default=None, name="expected-offset")
