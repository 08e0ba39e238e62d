"""What a real API server says of jobs decides whether a leftover is in use."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.staging_server.cluster.lab import Lab, kubeconfig_for
from tests.staging_server.leak_report.asking import (
    APACHE,
    KUBEFLOW,
    application,
    make_driver,
    make_properties,
    report,
    run,
    states,
)
from tests.staging_server.leak_report.conftest import GOLDEN, Uploads, read_golden

pytestmark = pytest.mark.services


def _asked(lab: Lab, uploads: Uploads, *arguments: object, code: int = 0) -> dict[str, Any]:
    return report(uploads.root, "--kubeconfig", lab.kube.kubeconfig, *arguments, code=code)


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_everything_that_stock_spark_uploaded_is_in_use_until_its_driver_has_finished(
    golden: Path, lab: Lab, uploads: Uploads
) -> None:
    record, tenant = read_golden(golden), lab.make_namespace()
    names = uploads.add_golden(record)
    other = uploads.add({"old.jar": b"x"})
    lab.kube.core.create_namespaced_config_map(tenant.namespace, record["config_map"])
    lab.kube.core.create_namespaced_pod(tenant.namespace, record["driver"])

    found = _asked(lab, uploads)

    assert states(found) == {**dict.fromkeys(names, "in use"), other: "no live job names it"}
    of_job = [one for one in found["largest"] if one["state"] == "in use"]
    driver = record["driver"]["metadata"]["name"]
    assert {one["application"] for one in of_job} == {"nightly-etl"}
    assert {one["job"] for one in of_job} == {f"driver pod {tenant.namespace}/{driver}"}

    lab.set_phase(tenant, driver, "Failed")
    found = _asked(lab, uploads)

    assert set(states(found).values()) == {"no live job names it"}
    assert {one["application"] for one in found["largest"]} == {"nightly-etl", None}  # its pod still tells


def test_applications_of_both_operators_count_until_they_have_finished(lab: Lab, uploads: Uploads) -> None:
    tenant = lab.make_namespace()
    owners = [
        (application("SparkApplication", KUBEFLOW, "kubeflow"), {"applicationState": {"state": "COMPLETED"}}),
        (
            application("SparkApplication", APACHE, "apache"),
            {"currentState": {"currentStateSummary": "ResourceReleased"}},
        ),
    ]
    schedule = application("ScheduledSparkApplication", KUBEFLOW)
    with lab.crds():
        names = [uploads.add({"app.jar": b"x"}) for _ in (*owners, schedule)]
        for owner, name in zip([*(owner for owner, _ in owners), schedule], names, strict=True):
            lab.make_owner(tenant, owner, {"deps": {"jars": [f"hdfs://nn/uploads/{name}/app.jar"]}})
        assert states(_asked(lab, uploads)) == dict.fromkeys(names, "in use")

        for owner, status in owners:
            lab.set_status(tenant, owner, status)
        found = _asked(lab, uploads)
        assert states(found) == {
            names[0]: "no live job names it", names[1]: "no live job names it", names[2]: "in use",
        }  # fmt: skip
        assert sorted(one["application"] for one in found["largest"]) == ["apache", "etl", "kubeflow"]


def test_a_driver_whose_configmap_is_not_there_yet_may_need_anything(lab: Lab, uploads: Uploads) -> None:
    name, tenant = uploads.add({"app.jar": b"x"}), lab.make_namespace()
    make_driver(lab, tenant, "starting", mounts="spark-drv-1-conf-map")

    found = _asked(lab, uploads, code=44)

    assert states(found) == {name: "not known"}
    assert not found["complete"]
    assert found["delete"] is None
    assert "has no ConfigMap spark-drv-1-conf-map yet" in found["jobs"]["problems"][0]

    make_properties(lab, tenant, "spark-drv-1-conf-map", name)
    assert states(_asked(lab, uploads)) == {name: "in use"}
    lab.delete_pod(tenant, "starting")


def test_a_configmap_that_may_be_missing_hides_nothing(lab: Lab, uploads: Uploads) -> None:
    name, tenant = uploads.add({"app.jar": b"x"}), lab.make_namespace()
    make_driver(lab, tenant, "driver", mounts="own", optional=True)

    assert states(_asked(lab, uploads)) == {name: "no live job names it"}


def test_all_pages_of_a_list_are_read(lab: Lab, uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_STAGING_SERVER_KUBERNETES__PAGE_SIZE", "2")
    tenant, names = lab.make_namespace(), [uploads.add({"app.jar": b"x"}) for _ in range(5)]
    for number, name in enumerate(names):
        make_properties(lab, tenant, f"map-{number}", name)
        make_driver(lab, tenant, f"driver-{number}", mounts=f"map-{number}")

    found = _asked(lab, uploads, "--namespace", tenant.namespace)

    assert states(found) == dict.fromkeys(names, "in use")
    assert found["jobs"]["live"] == 5


def test_only_the_named_namespaces_are_asked_and_a_misspelt_one_is_no_answer(lab: Lab, uploads: Uploads) -> None:
    name, tenant, other = uploads.add({"app.jar": b"x"}), lab.make_namespace(), lab.make_namespace()
    make_properties(lab, other, "map", name)
    make_driver(lab, other, "driver", mounts="map")

    assert states(_asked(lab, uploads, "--namespace", tenant.namespace)) == {name: "no live job names it"}
    assert states(_asked(lab, uploads, "--namespace", tenant.namespace, "--namespace", other.namespace)) == {
        name: "in use"
    }
    assert states(_asked(lab, uploads, "--namespace", "teem-a", code=44)) == {name: "not known"}


def test_who_may_not_look_at_jobs_gets_no_verdict(lab: Lab, uploads: Uploads) -> None:
    name = uploads.add({"app.jar": b"x"})

    found = report(uploads.root, "--kubeconfig", lab.kube.stranger, code=44)

    assert states(found) == {name: "not known"}
    assert "pods is forbidden" in found["jobs"]["problems"][0]


def test_the_rights_in_the_manual_are_enough(lab: Lab, uploads: Uploads) -> None:
    name, tenant = uploads.add({"app.jar": b"x"}), lab.make_namespace()
    make_properties(lab, tenant, "map", name)
    make_driver(lab, tenant, "driver", mounts="map")
    kubeconfig = lab.kubeconfig_of(tenant, "operator")
    rules = [
        {"apiGroups": [""], "resources": ["namespaces", "configmaps"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {
            "apiGroups": ["sparkoperator.k8s.io", "spark.apache.org"],
            "resources": ["sparkapplications", "scheduledsparkapplications"],
            "verbs": ["list"],
        },
    ]
    lab.grant(tenant, "operator", rules)
    with lab.crds():
        found = report(uploads.root, "--kubeconfig", kubeconfig, "--namespace", tenant.namespace)
    assert states(found) == {name: "in use"}


def test_an_api_server_that_does_not_answer_leaves_everything_unknown(uploads: Uploads, tmp_path: Path) -> None:
    name = uploads.add({"app.jar": b"x"})
    nobody = kubeconfig_for("http://127.0.0.1:9", tmp_path, token="x")

    found = report(uploads.root, "--kubeconfig", nobody, code=44)

    assert states(found) == {name: "not known"}
    done = run(uploads.root, "--kubeconfig", nobody, "-o", "paths")
    assert (done.exit_code, done.stdout) == (44, "")
    assert "does not answer" in done.stderr
    text = run(uploads.root, "--kubeconfig", nobody).stdout
    assert "Kubernetes did not say everything" in text
    assert re.search(r"^not known +1 ", text, re.MULTILINE)


def test_what_was_written_today_is_not_known_as_its_submit_may_be_under_way(lab: Lab, uploads: Uploads) -> None:
    young, old = uploads.add({"app.jar": b"x"}, days=0.9), uploads.add({"app.jar": b"x"}, days=1.1)

    found = _asked(lab, uploads)

    assert states(found) == {young: "not known", old: "no live job names it"}
    assert "written within a day" in run(uploads.root, "--kubeconfig", lab.kube.kubeconfig).stdout
