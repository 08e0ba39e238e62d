"""Volumes that properties ask for are mounted, and what Kubernetes or Spark would refuse later is refused here."""

import pytest

from staging_protocol.errors import InvalidRequest
from tests.submission.driver.jobs import made, owned, spark_container, volumes

_DRIVER = "spark.kubernetes.driver.volumes"
_CLAIM = f"{_DRIVER}.persistentVolumeClaim.data"
_ON_DEMAND = {
    f"{_CLAIM}.mount.path": "/data",
    f"{_CLAIM}.options.claimName": "OnDemand",
    f"{_CLAIM}.options.storageClass": "fast",
    f"{_CLAIM}.options.sizeLimit": "10Gi",
}


def _volume(kind: str, **settings: str) -> dict[str, str]:
    return {f"{_DRIVER}.{kind}.v.{key.replace('__', '.')}": value for key, value in settings.items()}


@pytest.mark.parametrize(
    ("properties", "source"),
    [
        (_volume("hostPath", mount__path="/v", options__path="/h"), {"hostPath": {"path": "/h", "type": ""}}),
        (_volume("emptyDir", mount__path="/v"), {"emptyDir": {}}),
        (
            _volume("emptyDir", mount__path="/v", options__medium="Memory", options__sizeLimit="1Gi"),
            {"emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
        ),
        (
            _volume("nfs", mount__path="/v", options__path="/e", options__server="s"),
            {"nfs": {"path": "/e", "server": "s"}},
        ),
        (
            _volume("persistentVolumeClaim", mount__path="/v", options__claimName="lake", mount__readOnly="true"),
            {"persistentVolumeClaim": {"claimName": "lake", "readOnly": True}},
        ),
    ],
)
def test_each_type_of_volume(properties: dict[str, str], source: dict[str, object]) -> None:
    assert volumes(made(properties))["v"] == {"name": "v", **source}


def test_a_mount_may_be_a_part_of_its_volume() -> None:
    part = _volume("emptyDir", mount__path="/v", mount__subPath="a/b", mount__readOnly="true")
    expected = {"name": "v", "mountPath": "/v", "subPath": "a/b", "readOnly": True}
    assert expected in spark_container(made(part))["volumeMounts"]


def test_an_expression_and_a_type_of_host_path_count_since_spark_4() -> None:
    settings = {"mount__path": "/v", "mount__subPathExpr": "$(A)", "options__path": "/h", "options__type": "Directory"}
    properties = _volume("hostPath", **settings)
    new, old = made(properties, spark="4.0.0"), made(properties, spark="3.5.9")
    assert {"name": "v", "mountPath": "/v", "subPathExpr": "$(A)"} in spark_container(new)["volumeMounts"]
    assert {"name": "v", "mountPath": "/v"} in spark_container(old)["volumeMounts"]
    assert (volumes(new)["v"]["hostPath"]["type"], volumes(old)["v"]["hostPath"]["type"]) == ("Directory", "")


@pytest.mark.parametrize(("spark", "mode"), [("3.5.9", "ReadWriteOnce"), ("4.0.0", "ReadWriteOncePod")])
def test_a_claim_on_demand_is_made_and_the_pod_will_own_it(spark: str, mode: str) -> None:
    objects = made(_ON_DEMAND, spark=spark)
    claim = owned(objects, "PersistentVolumeClaim")
    name = "demo-abc-driver-pvc-0"
    assert volumes(objects)["data"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"] == name
    assert claim["metadata"]["labels"] == {"spark-app-selector": "spark-0123"}
    assert claim["spec"] == {
        "storageClassName": "fast",
        "accessModes": [mode],
        "resources": {"requests": {"storage": "10Gi"}},
    }


def test_the_old_access_mode_can_be_asked_for() -> None:
    objects = made({**_ON_DEMAND, "spark.kubernetes.legacy.useReadWriteOnceAccessMode": "true"})
    assert owned(objects, "PersistentVolumeClaim")["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_claims_on_demand_carry_labels_and_annotations_since_spark_4() -> None:
    properties = {**_ON_DEMAND, f"{_CLAIM}.label.env": "dev", f"{_CLAIM}.annotation.note": "x"}
    metadata = owned(made(properties), "PersistentVolumeClaim")["metadata"]
    assert metadata["labels"] == {"env": "dev", "spark-app-selector": "spark-0123"}
    assert metadata["annotations"] == {"note": "x"}
    assert "env" not in owned(made(properties, spark="3.5.9"), "PersistentVolumeClaim")["metadata"]["labels"]


def test_a_claim_without_a_class_is_the_users_own() -> None:
    without = {key: value for key, value in _ON_DEMAND.items() if not key.endswith("storageClass")}
    assert "PersistentVolumeClaim" not in {one["kind"] for one in made(without).owned}


def test_a_volume_without_a_unit_is_taken_before_spark_4_as_it_was() -> None:
    small = _volume("emptyDir", mount__path="/v", options__sizeLimit="10")
    assert volumes(made(small, spark="3.5.9"))["v"]["emptyDir"] == {"sizeLimit": "10"}


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        (_volume("floppy", mount__path="/v"), "type floppy"),
        (_volume("emptyDir", options__medium="Memory"), r"mount\.path is not set"),
        (_volume("hostPath", mount__path="/v"), r"options\.path is not set"),
        (_volume("nfs", mount__path="/v", options__path="/e"), r"options\.server is not set"),
        (_volume("persistentVolumeClaim", mount__path="/v"), r"options\.claimName is not set"),
        (_volume("emptyDir", mount__path="/v", options__sizeLimit="10"), "10Gi"),
        (_volume("emptyDir", mount__path="/v", mount__readOnly="maybe"), "neither true nor false"),
        (_volume("emptyDir", mount__path="/v", mount__subPath="a", mount__subPathExpr="b"), "exclude each other"),
        ({**_ON_DEMAND, **_volume("emptyDir", mount__path="/data")}, "both mounted at /data"),
        ({"spark.kubernetes.executor.volumes.floppy.a.mount.path": "/a"}, "type floppy"),
    ],
)
def test_a_volume_that_cannot_be_is_named(properties: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        made(properties)
