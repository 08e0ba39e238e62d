"""The cluster tests believe these readers, so the readers are tested without a cluster."""

from tests.kube.evidence import (
    count_fetches,
    fetched_from_driver,
    init_outcome,
    parse_probe,
    read_from_own_disk,
    unrestricted,
)

EXECUTOR_LOG = """\
26/01/01 00:00:00 INFO Executor: Fetching file:/var/spark-data/spark-jars/a.jar with timestamp 1
26/01/01 00:00:00 INFO Executor: Fetching spark://10.0.0.7:7078/files/b.csv with timestamp 1
26/01/01 00:00:00 INFO Utils: Fetching spark://10.0.0.7:7078/files/b.csv to /var/data/fetchFileTemp1.tmp
26/01/01 00:00:00 INFO Executor: Fetching spark://10.0.0.7:7078/files/c.py with timestamp 1
26/01/01 00:00:00 INFO Executor: Fetching spark://10.0.0.7:7078/jars/d.jar with timestamp 1
"""


def test_a_fetch_that_is_logged_twice_counts_once() -> None:
    assert fetched_from_driver(EXECUTOR_LOG) == {"b.csv", "c.py", "d.jar"}


def test_python_files_are_told_from_files_by_their_name() -> None:
    counts = count_fetches([EXECUTOR_LOG, EXECUTOR_LOG], kinds={"b.csv": "file", "c.py": "pyfile"})
    assert counts == {"jar": 0, "file": 2, "pyfile": 2, "archive": 0, "other": 2}


def test_jars_on_the_own_disk_are_no_fetches() -> None:
    assert read_from_own_disk(EXECUTOR_LOG) == {"/var/spark-data/spark-jars/a.jar"}


def test_a_job_that_printed_nothing_has_seen_nothing() -> None:
    assert parse_probe("Exception in thread main\n") is None


def test_the_probe_line_is_found_among_others() -> None:
    seen = parse_probe('noise\nPROBE {"driver": {"jar": "x"}, "executors": {"1": {"jar": "y"}}}\nnoise')
    assert seen is not None
    assert seen.driver == {"jar": "x"}
    assert seen.executors == {"1": {"jar": "y"}}


def test_a_termination_message_that_is_no_json_is_kept_as_it_is() -> None:
    status = {"name": "init", "state": {"terminated": {"exitCode": 44, "message": "no JSON"}}}
    outcome = init_outcome({"metadata": {"name": "p"}, "status": {"initContainerStatuses": [status]}}, container="init")
    assert outcome.exit_code == 44
    assert outcome.message == {"unreadable": "no JSON"}


def test_an_init_container_that_still_runs_has_no_exit_code() -> None:
    status = {"name": "init", "state": {"running": {}}}
    outcome = init_outcome({"metadata": {"name": "p"}, "status": {"initContainerStatuses": [status]}}, container="init")
    assert outcome.exit_code is None


def test_a_container_without_security_context_breaks_every_rule_but_one() -> None:
    assert len(unrestricted({"spec": {"containers": [{"name": "c"}]}}, container="c")) == 5


def test_what_the_pod_sets_counts_for_its_containers() -> None:
    own = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    pod = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"securityContext": pod, "containers": [{"name": "c", "securityContext": own}]}
    assert unrestricted({"spec": spec}, container="c") == []
