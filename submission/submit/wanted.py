"""What a person asks of `submit` besides the job, and what came of it."""

from dataclasses import dataclass

from submission.submit.existing import Driver
from submission.submit.options import PodSecurity


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a person asks of `submit` besides the job.

    Attributes:
        submission_id: of the person's, by which the same submission is known again.
        pod_security: profile that all containers shall pass.
        detach: leave when everything is created.
        follow: show the driver's log.
        wait_seconds: for how long the driver is waited for; None: until it has ended.
    """

    submission_id: str | None = None
    pod_security: PodSecurity | None = None
    detach: bool = False
    follow: bool = False
    wait_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What came of it.

    Attributes:
        driver: of the job.
        exit_code: of the driver; None where nobody waited for its end.
        reason: why it failed, or why it is not waited for any longer.
        is_given_up: whether the time for waiting was over before the job.
    """

    driver: Driver
    exit_code: int | None = None
    reason: str | None = None
    is_given_up: bool = False
