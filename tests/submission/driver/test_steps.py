"""Feature steps can be added and left out by the names that they have in Spark."""

import json

import pytest

from staging_protocol.errors import InvalidRequest
from tests.submission.driver.jobs import made

_PACKAGE = "org.apache.spark.deploy.k8s.features"
_ADDED = "spark.kubernetes.driver.pod.featureSteps"
_EXCLUDED = "spark.kubernetes.driver.pod.excludedFeatureSteps"
_VOLCANO = {_ADDED: f"{_PACKAGE}.VolcanoFeatureStep"}
_GROUP = {"metadata": {"name": "theirs", "labels": {"a": "b"}}, "spec": {"queue": "research"}}


def test_volcano_gets_a_group_before_the_pod() -> None:
    objects = made(_VOLCANO, pod_group=_GROUP)
    (group,) = objects.before
    assert group["kind"] == "PodGroup"
    assert group["metadata"] == {"name": "spark-0123-podgroup", "namespace": "team", "labels": {"a": "b"}}
    assert group["spec"] == {"queue": "research"}
    assert objects.pod["metadata"]["annotations"] == {"scheduling.k8s.io/group-name": "spark-0123-podgroup"}


def test_a_group_may_come_from_a_property_or_from_nothing() -> None:
    key = "spark.kubernetes.scheduler.volcano.podGroupTemplateJson"
    assert made({**_VOLCANO, key: json.dumps(_GROUP)}).before[0]["spec"] == {"queue": "research"}
    assert made(_VOLCANO).before[0]["spec"] == {}
    for bad in ("{", "[]"):
        with pytest.raises(InvalidRequest, match=r"podGroupTemplateJson is .*expected a PodGroup"):
            made({**_VOLCANO, key: bad})


def test_without_volcano_nothing_is_created_before_the_pod() -> None:
    assert made().before == ()


def test_a_step_can_be_left_out_since_spark_4_1() -> None:
    without = {_EXCLUDED: f"{_PACKAGE}.NetworkPolicyFeatureStep, {_PACKAGE}.LocalDirsFeatureStep"}
    assert "SPARK_LOCAL_DIRS" not in str(made(without, spark="4.1.0").pod)
    objects = made(without)
    assert "NetworkPolicy" not in {one["kind"] for one in objects.owned}
    assert "SPARK_LOCAL_DIRS" in str(made(without, spark="4.0.0").pod)


def test_the_step_that_makes_the_pod_cannot_be_left_out() -> None:
    with pytest.raises(InvalidRequest, match="without which there is no driver"):
        made({_EXCLUDED: f"{_PACKAGE}.BasicDriverFeatureStep"})


@pytest.mark.parametrize("step", ["com.example.MyStep", f"{_PACKAGE}.YuniKornFeatureStep"])
def test_java_code_of_the_users_is_refused_with_another_way(step: str) -> None:
    with pytest.raises(InvalidRequest, match="spark-staging run"):
        made({_ADDED: step})
