"""When an object has finished for good, by its status; what cannot be read has not."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from staging_protocol.owners import OWNER_KINDS
from staging_server.cluster.finished import (
    apache_application_finished,
    job_finished,
    operator_application_finished,
    pod_finished,
)
from staging_server.cluster.kinds import KINDS
from staging_server.cluster.objects import End

_AT = "2026-01-02T03:04:05Z"
_MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _raw(status: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(status).encode())


def _ended(*times: str | None) -> list[dict[str, Any]]:
    return [{"state": {"terminated": {"finishedAt": time}}} if time else {"state": {"running": {}}} for time in times]


@pytest.mark.parametrize(
    ("status", "end"),
    [
        ({}, None),
        ({"phase": "Pending"}, None),
        ({"phase": "Unknown"}, None),
        ({"phase": "Running", "containerStatuses": _ended(_AT)}, None),
        ({"phase": "Succeeded", "containerStatuses": _ended("2026-01-02T00:00:00Z", _AT)}, End(_MOMENT)),
        ({"phase": "Failed", "reason": "Evicted"}, End(None)),
        ({"phase": "Failed", "containerStatuses": None}, End(None)),
        ({"phase": "Failed", "containerStatuses": _ended(None)}, End(None)),
        ({"phase": "Failed", "containerStatuses": "nonsense"}, End(None)),
    ],
)
def test_a_pod_has_finished_when_its_phase_is_final(status: Any, end: End | None) -> None:
    assert pod_finished(_raw(status)) == end


@pytest.mark.parametrize(
    ("conditions", "end"),
    [
        (None, None),
        ([{"type": "Suspended", "status": "True"}], None),
        ([{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "FailureTarget", "status": "True"}], None),
        ([{"type": "Complete", "status": "False"}], None),
        ([{"type": "Complete", "status": "True", "lastTransitionTime": _AT}], End(_MOMENT)),
        ([{"type": "FailureTarget", "status": "True"}, {"type": "Failed", "status": "True"}], End(None)),
    ],
)
def test_a_job_has_finished_when_it_is_complete_or_failed(conditions: Any, end: End | None) -> None:
    assert job_finished(_raw({"conditions": conditions})) == end


_OF_OPERATOR = {
    "": None, "SUBMITTED": None, "RUNNING": None, "SUBMISSION_FAILED": None, "PENDING_RERUN": None,
    "INVALIDATING": None, "SUCCEEDING": None, "FAILING": None, "SUSPENDED": None, "UNKNOWN": None,
    "COMPLETED": End(_MOMENT), "FAILED": End(_MOMENT),
}  # fmt: skip


@pytest.mark.parametrize(("state", "end"), _OF_OPERATOR.items())
def test_an_application_of_the_kubeflow_operator_has_finished_when_no_restart_can_come(
    state: str, end: End | None
) -> None:
    assert operator_application_finished(_raw({"applicationState": {"state": state}, "terminationTime": _AT})) == end


_OF_APACHE = {
    "Submitted": None, "RunningHealthy": None, "Succeeded": None, "Failed": None, "SchedulingFailure": None,
    "DriverEvicted": None, "ScheduledToRestart": None, "Suspended": None,
    "ResourceReleased": End(_MOMENT), "TerminatedWithoutReleaseResources": End(_MOMENT),
}  # fmt: skip


@pytest.mark.parametrize(("summary", "end"), _OF_APACHE.items())
def test_an_application_of_the_apache_operator_has_finished_when_no_restart_can_come(
    summary: str, end: End | None
) -> None:
    state = {"currentStateSummary": summary, "lastTransitionTime": _AT}
    assert apache_application_finished(_raw({"currentState": state})) == end


@pytest.mark.parametrize("time", [None, "", "yesterday", 5, {"seconds": 1}])
def test_a_time_that_is_none_is_not_known(time: Any) -> None:
    assert operator_application_finished(
        _raw({"applicationState": {"state": "FAILED"}, "terminationTime": time})
    ) == End(None)
    state = {"currentStateSummary": "ResourceReleased", "lastTransitionTime": time}
    assert apache_application_finished(_raw({"currentState": state})) == End(None)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["conditions", "phase"]), inner),
    max_leaves=8,
)


@given(_JSON)
def test_a_status_of_nonsense_has_not_finished(status: Any) -> None:
    for kind in KINDS:
        assert kind.finished(_raw(status)) is None


def test_every_kind_that_can_own_a_bundle_is_watched() -> None:
    assert {kind.owner for kind in KINDS} == OWNER_KINDS
