"""The profile `restricted`: what is added for Spark, and what is told of the user's own template."""

from typing import Any

import pytest

from staging_protocol.errors import RefusedByPolicy
from staging_protocol.pod_contract import Role
from submission.submit.pod_security import check_executors, check_restricted, restricted, violations

OWN: dict[str, Any] = {
    "name": "own",
    "image": "x",
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
}


def pod(**spec: Any) -> dict[str, Any]:
    return {"kind": "Pod", "spec": {"containers": [OWN], **spec}}


def own(**context: Any) -> dict[str, Any]:
    return pod(containers=[{**OWN, "securityContext": {**OWN["securityContext"], **context}}])


def test_a_job_without_a_template_passes() -> None:
    made = restricted(None, role=Role.DRIVER, container=None)

    assert list(violations(made)) == []
    assert made["spec"]["containers"][0]["name"] == "spark-kubernetes-driver"
    assert made["spec"]["containers"][0]["securityContext"]["runAsUser"] == 185


def test_what_the_user_decided_stays() -> None:
    template = pod(
        securityContext={"runAsUser": 1000, "seccompProfile": {"type": "Localhost", "localhostProfile": "p"}},
        containers=[
            {"name": "spark", "securityContext": {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}}
        ],
    )

    made = restricted(template, role=Role.EXECUTOR, container="spark")

    assert list(violations(made)) == []
    assert made["spec"]["securityContext"]["seccompProfile"]["type"] == "Localhost"
    assert "runAsUser" not in made["spec"]["containers"][0]["securityContext"]
    assert "securityContext" not in pod()["spec"], "the template itself was changed"


def test_a_sidecar_that_says_nothing_is_told_with_all_that_it_lacks() -> None:
    made = restricted(pod(containers=[{"name": "spark"}, {"name": "proxy"}]), role=Role.DRIVER, container="spark")

    with pytest.raises(RefusedByPolicy) as refused:
        check_restricted(made, what="driver")
    assert str(refused.value) == (
        "the driver pod does not pass the profile restricted: "
        "the container proxy does not set allowPrivilegeEscalation: false; "
        "the container proxy does not drop ALL capabilities; change the pod template"
    )


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (pod(hostNetwork=True), "hostNetwork is true"),
        (pod(hostPID=True), "hostPID is true"),
        (pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}]), "the volume v is of type hostPath"),
        (pod(securityContext={"runAsUser": 0}), "the pod runs as user 0"),
        (pod(securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}), "sysctl kernel.msgmax is set"),
        (own(privileged=True), "the container own is privileged"),
        (own(runAsUser=0), "the container own runs as user 0"),
        (own(runAsNonRoot=False), "the container own does not set runAsNonRoot: true"),
        (own(seccompProfile={"type": "Unconfined"}), "seccompProfile to RuntimeDefault or Localhost"),
        (own(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}), "adds the capabilities SYS_ADMIN"),
        (own(procMount="Unmasked"), "sets procMount"),
        (own(seLinuxOptions={"type": "spc_t"}), "sets seLinuxOptions"),
        (own(appArmorProfile={"type": "Unconfined"}), "has no AppArmor profile"),
        (own(windowsOptions={"hostProcess": True}), "is a host process"),
        (pod(containers=[{**OWN, "ports": [{"containerPort": 1, "hostPort": 80}]}]), "takes the port 80 of the node"),
        (pod(initContainers=[{"name": "first"}]), "the container first does not drop ALL"),
    ],
)  # fmt: skip
def test_each_thing_that_the_profile_forbids_is_told(found: dict[str, Any], why: str) -> None:
    assert any(why in told for told in violations(found)), list(violations(found))


@pytest.mark.parametrize("volume", ["hostPath", "nfs"])
def test_what_spark_itself_would_add_to_executors_is_told(volume: str) -> None:
    key = f"spark.kubernetes.executor.volumes.{volume}.logs.mount.path"
    escalation = "spark.kubernetes.securityContext.allowPrivilegeEscalation"

    check_executors({"spark.kubernetes.executor.volumes.emptyDir.a.mount.path": "/a", escalation: "false"})
    with pytest.raises(RefusedByPolicy, match=f"{key}, {escalation}"):
        check_executors({key: "/logs", escalation: "true"})
