"""The whole of `submit` before a real API server and a real staging server."""

import json
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from staging_protocol.api.reports import Outcome, Report
from staging_protocol.wire import encode
from submission.spark.properties import parse_properties
from tests.submission.conftest import DEADLINE, until
from tests.submission.submit.conftest import Submitter

pytestmark = pytest.mark.services


def test_a_good_run_tells_what_happens_and_ends_with_the_drivers_code(submitter: Submitter) -> None:
    with ThreadPoolExecutor(1) as executor:
        kubelet = executor.submit(submitter.finish)
        done = submitter.submit()
        kubelet.result()

    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    told = done.stderr.splitlines()
    name = submitter.driver()["metadata"]["name"]
    assert any(line.startswith("bundle ") and "3 files" in line for line in told)
    assert f"driver pod {name} created in namespace {submitter.namespace}" in told
    assert told[-1].startswith(f"driver {name} succeeded after ")


def test_whose_log_is_followed_and_has_none_is_told_so_and_still_waited_for(submitter: Submitter) -> None:
    """There is no kubelet that would have it; `tests/kube` follows a real one."""
    with ThreadPoolExecutor(1) as executor:
        kubelet = executor.submit(lambda: submitter.finish(code=7, node="away"))
        done = submitter.submit("--follow")
        kubelet.result()

    assert done.returncode == 7, done.stderr
    assert "the driver's log cannot be shown any more" in done.stderr


def test_a_driver_that_fails_gives_its_exit_code(submitter: Submitter) -> None:
    with ThreadPoolExecutor(1) as executor:
        kubelet = executor.submit(lambda: submitter.finish(code=7))
        done = submitter.submit("-o", "json")
        kubelet.result()

    assert done.returncode == 7, done.stderr
    assert json.loads(done.stdout)["exit_code"] == 7


def test_everything_belongs_to_the_driver_which_belongs_to_the_bundle(submitter: Submitter) -> None:
    done = submitter.submit("--detach", "-o", "json")

    assert done.returncode == 0, done.stderr
    told, pod = json.loads(done.stdout), submitter.driver()
    assert (told["pod"], told["uid"]) == (pod["metadata"]["name"], pod["metadata"]["uid"])
    others = [one for kind in ("service", "config_map", "secret") for one in submitter.objects(kind)]
    assert len(others) == 4
    for one in others:
        (owner,) = one["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("Pod", told["uid"], True)
        assert one["metadata"]["labels"]["spark-staging.io/bundle"] == told["bundle"]
    (bundle,) = submitter.server.client().bundles(submitter.namespace).bundles
    assert bundle.owner is not None
    assert (bundle.id, bundle.owner.name, bundle.owner.uid) == (told["bundle"], told["pod"], told["uid"])


def test_spark_finds_the_dependencies_in_the_pods(submitter: Submitter) -> None:
    assert submitter.submit("--detach").returncode == 0

    maps = {name: text for one in submitter.objects("config_map") for name, text in one["data"].items()}
    properties = parse_properties(maps["spark.properties"])
    folder = "local:///var/spark-data/spark-jars"
    assert properties["spark.jars"] == f"{folder}/a.jar,{folder}/app.jar"
    executor = yaml.safe_load(maps["podspec-configmap-key"])
    for pod in (submitter.driver(), executor):
        assert pod["spec"]["initContainers"][0]["name"] == "spark-staging-init"
        assert pod["metadata"]["labels"]["spark-staging.io/bundle"]
    assert submitter.driver()["spec"]["containers"][0]["args"][-2:] == [f"{folder}/app.jar", "10"]


def test_what_is_in_the_image_needs_neither_staging_server_nor_init_container(submitter: Submitter) -> None:
    submitter.command.environment["SPARK_STAGING_URL"] = "http://127.0.0.1:1"
    submitter.options = ("--class", "demo.Main", "--jars", "local:///opt/lib.jar")

    done = submitter.command.inside(*submitter.arguments("--detach", app=("local:///opt/app.jar",)))

    assert done.returncode == 0, done.stderr
    assert "initContainers" not in submitter.driver()["spec"]
    assert submitter.left().keys() == {"pod", "service", "config_map", "network_policy"}


def test_what_was_locked_of_the_same_command_is_submitted_and_nothing_else(submitter: Submitter) -> None:
    command = submitter.arguments()[1:]
    locked = submitter.command.inside("lock", "--", "spark-submit", *command)
    assert locked.returncode == 0, locked.stderr

    good = submitter.submit("--detach", "--frozen")
    submitter.command.file("data.csv", "other bytes")
    there = submitter.left()
    refused = submitter.submit("--detach", "--frozen")

    assert good.returncode == 0, good.stderr
    assert refused.returncode == 42, refused.stderr
    assert "data.csv" in refused.stderr
    assert "is not what deps.lock.json has" in refused.stderr
    assert submitter.left() == there


def test_a_dry_run_prints_all_objects_and_creates_nothing(submitter: Submitter) -> None:
    done = submitter.submit("--dry-run")

    assert done.returncode == 0, done.stderr
    kinds = [one["kind"] for one in yaml.safe_load_all(done.stdout)]
    assert kinds == ["Secret", "ConfigMap", "ConfigMap", "Pod", "Service", "NetworkPolicy"]
    assert "sst_" not in done.stdout
    assert "would stage a.jar" in done.stderr
    assert submitter.left() == {}


def test_verbose_shows_the_properties_in_force_but_for_secrets(submitter: Submitter) -> None:
    submitter.options += ("--verbose", "--driver-memory", "2g", "--conf", "spark.hadoop.fs.s3a.secret.key=hush")

    done = submitter.submit("--dry-run", "-o", "name")

    assert "spark.driver.memory=2g" in done.stderr
    assert "spark.hadoop.fs.s3a.secret.key=*********(redacted)" in done.stderr
    assert "hush" not in done.stderr


def test_what_a_dry_run_prints_is_what_kubernetes_takes(submitter: Submitter) -> None:
    listed = json.loads(submitter.submit("--dry-run", "-o", "json").stdout)["items"]
    names = submitter.submit("--dry-run", "-o", "name").stdout.splitlines()

    assert [name.partition("/")[0] for name in names] == [one["kind"].lower() for one in listed]
    pod = next(one for one in listed if one["kind"] == "Pod")
    made = submitter.kube.core.create_namespaced_pod(submitter.namespace, pod, dry_run="All")
    assert made.metadata.name == pod["metadata"]["name"]


def test_ctrl_c_while_waiting_ends_the_waiting_and_not_the_job(submitter: Submitter) -> None:
    process = submitter.command.start(*submitter.arguments())
    until(lambda: submitter.objects("pod"), what="the driver's pod")
    until(lambda: submitter.server.client().bundles(submitter.namespace).bundles[0].owner, what="its bundle's owner")

    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=DEADLINE)

    assert process.returncode == 130, stderr
    assert "no longer waiting; the job goes on: spark-staging logs -f" in stderr
    assert submitter.left().keys() >= {"pod", "service", "config_map", "secret", "bundle"}


def test_with_restricted_pod_security_all_containers_pass(submitter: Submitter) -> None:
    done = submitter.submit("--detach", "--pod-security", "restricted")

    assert done.returncode == 0, done.stderr
    spec = submitter.driver()["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    for container in (*spec["containers"], *spec["initContainers"]):
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["allowPrivilegeEscalation"] is False


def test_where_the_cluster_gives_pods_their_users_none_is_named(submitter: Submitter) -> None:
    """As OpenShift does; elsewhere Spark's own user is named, which its images do not have as a number."""
    ranges = {"metadata": {"annotations": {"openshift.io/sa.scc.uid-range": "1000680000/10000"}}}
    submitter.kube.core.patch_namespace(submitter.namespace, ranges)

    done = submitter.submit("--detach", "--pod-security", "restricted")

    assert done.returncode == 0, done.stderr
    maps = {name: text for one in submitter.objects("config_map") for name, text in one["data"].items()}
    executor = yaml.safe_load(maps["podspec-configmap-key"])
    for pod in (submitter.driver(), executor):
        for context in (pod["spec"], *pod["spec"]["containers"], *pod["spec"]["initContainers"]):
            assert "runAsUser" not in context["securityContext"]


def test_who_waits_no_longer_is_told_how_to_follow_and_the_job_goes_on(submitter: Submitter) -> None:
    done = submitter.submit("--wait-timeout", "1s", "-o", "json")

    assert done.returncode == 45, done.stderr
    told, name = json.loads(done.stdout), submitter.driver()["metadata"]["name"]
    assert (told["pod"], told["exit_code"], told["reason"]) == (name, None, f"driver {name} has not ended in 1 s")
    where = f"{name} -n {submitter.namespace}"
    assert done.stderr.splitlines()[-1] == (
        f"driver {name} has not ended in 1 s; the job goes on: "
        f"spark-staging status {where}, spark-staging logs -f {where}"
    )
    assert submitter.left().keys() >= {"pod", "service", "config_map", "secret", "bundle"}


@pytest.mark.parametrize(
    "options",
    [
        ("--wait-timeout", "1s", "--detach"),
        ("--wait-timeout", "1s", "--conf", "spark.kubernetes.submission.waitAppCompletion=false"),
        ("--wait-timeout", "soon"),
        ("--wait-timeout", "-1s"),
    ],
)
def test_a_time_for_waiting_that_makes_no_sense_is_refused(options: tuple[str, ...], submitter: Submitter) -> None:
    done = submitter.submit(*options)

    assert done.returncode == 2, done.stderr
    assert "--wait-timeout" in done.stderr
    assert submitter.left() == {}


def test_a_job_that_ends_in_time_ends_the_waiting(submitter: Submitter) -> None:
    with ThreadPoolExecutor(1) as executor:
        kubelet = executor.submit(lambda: submitter.finish(code=7))
        done = submitter.submit("--wait-timeout", "1h")
        kubelet.result()

    assert done.returncode == 7, done.stderr


def test_the_same_submission_id_finds_the_job_and_another_job_with_it_is_refused(submitter: Submitter) -> None:
    first = json.loads(submitter.submit("--detach", "--submission-id", "nightly-1", "-o", "json").stdout)
    again = submitter.submit("--detach", "--submission-id", "nightly-1", "-o", "json")
    submitter.command.file("a.jar", "changed")
    other = submitter.submit("--detach", "--submission-id", "nightly-1")

    assert json.loads(again.stdout) == first
    assert "the submission nightly-1 is there already" in again.stderr
    assert other.returncode == 2
    assert "is there with other inputs" in other.stderr
    assert len(submitter.objects("pod")) == 1
    assert len(submitter.server.client().bundles(submitter.namespace).bundles) == 1


def test_two_with_one_submission_id_at_the_same_moment_have_one_job(submitter: Submitter) -> None:
    arguments = submitter.arguments("--detach", "--submission-id", "twice")
    both = [submitter.command.start(*arguments) for _ in range(2)]
    told = [process.communicate(timeout=DEADLINE) for process in both]

    assert [process.returncode for process in both] == [0, 0], told
    assert len(submitter.objects("pod")) == 1
    assert len(submitter.objects("config_map")) == 2
    assert len(submitter.server.client().bundles(submitter.namespace).bundles) == 1


def test_a_failing_init_container_is_told_in_the_words_of_its_report(submitter: Submitter) -> None:
    report = Report(
        outcome=Outcome.FAILED, role="driver", pod="x", exit_code=41, seconds=0.5, code="denied",
        detail="s3://lake/model.jar: access denied",
    )  # fmt: skip
    with ThreadPoolExecutor(1) as executor:
        kubelet = executor.submit(submitter.fail_init, code=41, message=encode(report).decode())
        done = submitter.submit()
        kubelet.result()

    assert done.returncode == 41, done.stderr
    assert "s3://lake/model.jar: access denied" in done.stderr.splitlines()[-1]


def test_kill_and_status_are_taken_as_spark_submit_takes_them(submitter: Submitter) -> None:
    submitter.submit("--detach")
    name = submitter.driver()["metadata"]["name"]
    master = ("--master", f"k8s://{submitter.kube.url}")

    status = submitter.command.inside("submit", *master, "--status", f"{submitter.namespace}:{name[:-3]}*")
    killed = submitter.command.inside("submit", *master, "--kill", f"{submitter.namespace}:{name}")

    assert name in status.stdout
    assert killed.returncode == 0, killed.stderr
    assert submitter.objects("pod") == []


def test_a_job_that_spark_would_not_wait_for_is_left_to_itself(submitter: Submitter) -> None:
    submitter.options += ("--conf", "spark.kubernetes.submission.waitAppCompletion=false")

    done = submitter.submit()

    assert done.returncode == 0, done.stderr
    assert "it runs by itself; see: spark-staging status" in done.stderr


@pytest.mark.parametrize("output", ["name", "yaml"])
def test_what_came_of_it_is_for_programs(output: str, submitter: Submitter) -> None:
    done = submitter.submit("--detach", "-o", output)

    assert done.returncode == 0, done.stderr
    name = submitter.driver()["metadata"]["name"]
    if output == "name":
        assert done.stdout == f"pod/{name}\n"
    else:
        assert name in yaml.safe_load(done.stdout).values()
