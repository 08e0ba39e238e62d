"""A job in a few fields, for tables, JSON and `status`.  Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from staging_protocol.pod_contract import LABEL
from submission.job_labels import SUBMISSION
from submission.jobs.finding import APPLICATION
from submission.jobs.pods import Pod, name_of, phase_of, spark_container
from submission.jobs.states import outcome_of, state_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as its driver's pod shows it.

    Attributes:
        pod: name of the driver's pod.
        namespace: it is in.
        phase: of the pod.
        state: what it does, in words.
        exit_code: of a driver that has ended.
        created: when it was made.
        application: id of the application.
        name: of the application.
        submission: its id, for jobs of `spark-staging submit`.
        bundle: that it uses.
        node: where it runs.
        image: of Spark's container.
        executors: counts by phase; None where nobody looked.
    """

    pod: str
    namespace: str
    phase: str
    state: str
    exit_code: int | None
    created: datetime
    application: str
    name: str
    submission: str | None
    bundle: str | None
    node: str | None
    image: str
    executors: dict[str, int] | None = None

    def fields(self) -> dict[str, Any]:
        """Return it for JSON."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return {**found, "created": self.created.isoformat().replace("+00:00", "Z")}


def job_of(driver: Pod, executors: Sequence[Pod] | None = None) -> Job:
    """Return the job whose driver is `driver`."""
    metadata, labels = driver["metadata"], driver["metadata"].get("labels") or {}
    outcome = outcome_of(driver)
    container = next(one for one in driver["spec"]["containers"] if one["name"] == spark_container(driver))
    return Job(
        pod=name_of(driver),
        namespace=metadata["namespace"],
        phase=phase_of(driver),
        state=state_of(driver),
        exit_code=None if outcome is None else outcome.exit_code,
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        application=labels.get(APPLICATION, ""),
        name=labels.get("spark-app-name", ""),
        submission=labels.get(SUBMISSION),
        bundle=labels.get(LABEL),
        node=driver["spec"].get("nodeName"),
        image=str(container.get("image", "")),
        executors=None if executors is None else _by_phase(executors),
    )


def age_in_words(created: datetime, *, now: datetime) -> str:
    """Return `12 s`, `5 min`, `3 h` or `2 d`."""
    seconds = max(0, int((now - created.astimezone(UTC)).total_seconds()))
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _by_phase(executors: Sequence[Pod]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for pod in executors:
        counts[phase_of(pod)] = counts.get(phase_of(pod), 0) + 1
    return counts
