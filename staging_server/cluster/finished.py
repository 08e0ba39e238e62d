"""When an object has finished for good, by its status alone.

A status that cannot be read, or that says nothing yet, is that of an object which has not finished: what is unclear
keeps.

    Pod                                       phase Succeeded or Failed; never left again
    Job                                       condition Complete or Failed; SuccessCriteriaMet and FailureTarget come
                                              before its pods have ended
    SparkApplication (sparkoperator.k8s.io)   COMPLETED or FAILED: with restarts still to come its controller goes from
                                              SUCCEEDING, FAILING and SUBMISSION_FAILED to PENDING_RERUN instead.  A
                                              changed spec makes it INVALIDATING: then it lives again
    SparkApplication (spark.apache.org)       ResourceReleased or TerminatedWithoutReleaseResources: a restart goes from
                                              Succeeded, Failed and the like to ScheduledToRestart; Suspended resumes
    ScheduledSparkApplication                 never: it lives until it is deleted, suspended or not
"""

from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from staging_server.cluster.objects import End

Status = TypeVar("Status")


class _Terminated(msgspec.Struct, rename="camel"):
    finished_at: datetime | None = None


class _ContainerState(msgspec.Struct):
    terminated: _Terminated | None = None


class _Container(msgspec.Struct):
    state: _ContainerState | None = None


class _PodStatus(msgspec.Struct, rename="camel"):
    phase: str = ""
    container_statuses: msgspec.Raw = msgspec.Raw(b"null")


class _Condition(msgspec.Struct, rename="camel"):
    type: str = ""
    status: str = ""
    last_transition_time: datetime | None = None


class _JobStatus(msgspec.Struct, rename="camel"):
    conditions: list[_Condition] | None = None


class _State(msgspec.Struct):
    state: str = ""


class _OperatorStatus(msgspec.Struct, rename="camel"):
    application_state: _State | None = None
    termination_time: msgspec.Raw = msgspec.Raw(b"null")


class _Summary(msgspec.Struct, rename="camel"):
    current_state_summary: str = ""
    last_transition_time: msgspec.Raw = msgspec.Raw(b"null")


class _ApacheStatus(msgspec.Struct, rename="camel"):
    current_state: _Summary | None = None


def pod_finished(status: msgspec.Raw) -> End | None:
    """Return when the last container ended, once the phase is final; an evicted pod does not tell when."""
    found = _read(status, into=_PodStatus)
    if found is None or found.phase not in {"Succeeded", "Failed"}:
        return None
    containers = _read(found.container_statuses, into=list[_Container]) or []
    states = [container.state.terminated for container in containers if container.state is not None]
    return End(max((_aware(state.finished_at) for state in states if state and state.finished_at), default=None))


def job_finished(status: msgspec.Raw) -> End | None:
    """Return when a Job became Complete or Failed."""
    found = _read(status, into=_JobStatus)
    for condition in (found.conditions if found is not None else None) or ():
        if condition.type in {"Complete", "Failed"} and condition.status == "True":
            moment = condition.last_transition_time
            return End(None if moment is None else _aware(moment))
    return None


def operator_application_finished(status: msgspec.Raw) -> End | None:
    """Return when a SparkApplication of the Kubeflow operator came to its end."""
    found = _read(status, into=_OperatorStatus)
    if found is None or found.application_state is None:
        return None
    return End(_moment(found.termination_time)) if found.application_state.state in {"COMPLETED", "FAILED"} else None


def apache_application_finished(status: msgspec.Raw) -> End | None:
    """Return when a SparkApplication of the Apache operator came to its end."""
    found = _read(status, into=_ApacheStatus)
    state = found.current_state if found is not None else None
    if state is None or state.current_state_summary not in {"ResourceReleased", "TerminatedWithoutReleaseResources"}:
        return None
    return End(_moment(state.last_transition_time))


def _read(status: msgspec.Raw, *, into: type[Status]) -> Status | None:
    try:
        return msgspec.json.decode(status, type=into | None)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _moment(text: msgspec.Raw) -> datetime | None:
    """Return a time of a custom resource, where it may be missing, empty or no time at all."""
    moment = _read(text, into=datetime)
    return None if moment is None else _aware(moment)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
