"""Why a bundle is still there: its claims, in words."""

from datetime import datetime

from staging_protocol.api.bodies import Body
from staging_protocol.api.bundles import Bundle
from staging_protocol.api.reports import ReceivedReport


class Claim(Body, frozen=True):
    """One reason that keeps a bundle, or kept it.  `until` is None while its end is not known."""

    kind: str
    holds: bool
    detail: str
    until: datetime | None = None


class Explanation(Body, frozen=True):
    """`GET …/explain`: why the bundle is still there, in words."""

    bundle: Bundle
    verdict: str
    claims: tuple[Claim, ...]
    reports: tuple[ReceivedReport, ...] = ()
