"""Whatever properties and templates say, there are objects that can be sent, or an error in words."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staging_protocol.errors import InvalidRequest, StagingError
from tests.submission.driver.jobs import made

_PREFIX = "spark.kubernetes."
_KEYS = st.sampled_from(
    [
        "spark.driver.memory",
        "spark.driver.memoryOverhead",
        "spark.driver.memoryOverheadFactor",
        "spark.driver.cores",
        "spark.driver.port",
        "spark.driver.resource.gpu",
        "spark.driver.resource.gpu.amount",
        "spark.driver.resource.gpu.vendor",
        "spark.local.dir",
        "spark.kerberos.keytab",
        "spark.kerberos.principal",
        *(
            f"{_PREFIX}{key}"
            for key in (
                "container.image",
                "container.image.pullSecrets",
                "driver.label.a",
                "driver.label.",
                "driver.annotation.a",
                "driverEnv.A",
                "driver.secrets.s",
                "driver.secretKeyRef.A",
                "driver.volumes.emptyDir",
                "driver.volumes.emptyDir.v",
                "driver.volumes.emptyDir.v.mount.path",
                "driver.volumes.emptyDir.v.options.sizeLimit",
                "driver.volumes.persistentVolumeClaim.c.mount.path",
                "driver.volumes.persistentVolumeClaim.c.options.claimName",
                "driver.volumes.persistentVolumeClaim.c.mount.readOnly",
                "driver.pod.name",
                "driver.pod.featureSteps",
                "driver.service.ipFamilies",
                "memoryOverheadFactor",
                "local.dirs.tmpfs",
                "authenticate.driver.oauthToken",
                "scheduler.volcano.podGroupTemplateJson",
                "kerberos.krb5.path",
                "hadoop.configMapName",
            )
        ),
    ]
)
_VALUES = st.sampled_from(
    ["", "1", "0", "-1", "1g", "a:b", "true", "/x", "${spark.driver.memory}", "{}", "é ,x"]
) | st.text(max_size=6)
_STEP = "org.apache.spark.deploy.k8s.features.VolcanoFeatureStep"


@given(st.dictionaries(_KEYS, _VALUES, max_size=8), st.sampled_from(["3.4.0", "3.5.9", "4.0.0", "4.3.0"]))
def test_any_properties_give_objects_or_an_error_in_words(properties: dict[str, str], spark: str) -> None:
    try:
        objects = made({"spark.kubernetes.driver.pod.featureSteps": _STEP, **properties}, spark=spark)
    except StagingError as error:
        assert str(error)  # noqa: PT017 - either of both is right
    else:
        json.dumps([*objects.before, objects.pod, *objects.owned])


_PARTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "env", "args"]), inner, max_size=2)
    ),
    max_leaves=4,
)
_TEMPLATE_KEYS = st.sampled_from(["labels", "annotations", "containers", "volumes", "nodeSelector", "imagePullSecrets"])


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "kind": st.just("Pod"),
            "metadata": _PARTS | st.dictionaries(_TEMPLATE_KEYS, _PARTS, max_size=2),
            "spec": _PARTS | st.dictionaries(_TEMPLATE_KEYS, _PARTS, max_size=3),
        },
    )
)
def test_any_template_gives_a_pod_or_an_error_in_words(template: dict[str, Any]) -> None:
    try:
        objects = made({"spark.kubernetes.node.selector.a": "b"}, driver_template=template)
    except StagingError as error:
        assert "template" in str(error)  # noqa: PT017 - either of both is right
    else:
        assert objects.pod["spec"]["containers"][-1]["image"] == "spark:x"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ({"metadata": {"labels": ["a"]}}, "metadata.labels = .*expected a mapping"),
        ({"spec": {"containers": {"name": "a"}}}, "spec.containers = .*expected a list of mappings"),
        ({"spec": {"containers": ["spark"]}}, "expected a list of mappings"),
        ({"spec": {"containers": [{"env": {"A": "1"}}]}}, "env = .*expected a list of mappings"),
        ({"spec": []}, "spec = .*expected a mapping"),
    ],
)
def test_a_template_in_which_something_is_of_the_wrong_kind_is_told_what(template: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        made(driver_template=template)
