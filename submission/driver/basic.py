"""The pod and Spark's container: image, sizes, labels, ports, first variables (`BasicDriverFeatureStep`).  Pure."""

from typing import Final

from staging_protocol.errors import InvalidRequest
from submission.driver import abilities
from submission.driver.building import Building, variable
from submission.driver.job import KubeObject
from submission.driver.labels import annotations, labels
from submission.driver.ports import container_ports
from submission.driver.resources import OVERHEAD_FACTOR, overhead_factor, with_resources
from submission.spark.values import java_double

IMAGE: Final = "spark.kubernetes.container.image"
DRIVER_IMAGE: Final = "spark.kubernetes.driver.container.image"
POD_NAME: Final = "spark.kubernetes.driver.pod.name"

_POLICIES: Final = frozenset({"Always", "Never", "IfNotPresent"})
_ESCALATION: Final = "spark.kubernetes.securityContext.allowPrivilegeEscalation"
_DRIVER_ESCALATION: Final = "spark.kubernetes.driver.securityContext.allowPrivilegeEscalation"


def basic(building: Building) -> Building:
    """Make the pod and its container, and tell the driver who it is."""
    building = with_resources(_with_security(_with_container(building)))
    building = _with_scheduling(_with_metadata(building))
    return building.with_properties(
        {
            POD_NAME: building.names.pod,
            "spark.app.id": building.job.application_id,
            "spark.kubernetes.submitInDriver": "true",
            OVERHEAD_FACTOR: java_double(overhead_factor(building)),
        }
    )


def image(building: Building) -> str:
    """Return the driver's image.

    Raises:
        InvalidRequest: none is named.
    """
    release = building.job.spark.release or str(building.job.spark)
    found = building.conf.optional(DRIVER_IMAGE) or building.conf.optional(IMAGE)
    if not found:
        msg = f"no image is named; give --conf {IMAGE}=apache/spark:{release}"
        raise InvalidRequest(msg)
    return found.replace("{{SPARK_VERSION}}", release) if building.since(abilities.IMAGE_PLACEHOLDER) else found


def _with_container(building: Building) -> Building:
    job = building.job
    ports = [
        {"name": name, "containerPort": port, "protocol": "TCP"} for name, port in container_ports(building).items()
    ]
    address = {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}
    return building.with_container(
        name=building.container.get("name") or "spark-kubernetes-driver",
        image=image(building),
        imagePullPolicy=building.conf.choice(f"{IMAGE}.pullPolicy", "IfNotPresent", allowed=_POLICIES),
        ports=[*building.container_list("ports"), *ports],
    ).with_env(
        variable("SPARK_USER", job.proxy_user or job.user),
        variable("SPARK_APPLICATION_ID", job.application_id),
        *(variable(*one) for one in building.conf.prefixed("spark.kubernetes.driverEnv.").items()),
        {"name": "SPARK_DRIVER_BIND_ADDRESS", "valueFrom": address},
    )


def _with_security(building: Building) -> Building:
    if not building.since(abilities.NO_ESCALATION):
        return building
    conf = building.conf
    allowed = conf.boolean(_DRIVER_ESCALATION, default=conf.boolean(_ESCALATION, default=False))
    own: KubeObject = building.container.get("securityContext") or {}
    return building.with_container(securityContext={**own, "allowPrivilegeEscalation": allowed})


def _with_metadata(building: Building) -> Building:
    own = (building.pod.get("metadata") or {}).get("labels") or {}
    return building.with_metadata(
        name=building.names.pod, namespace=building.job.namespace, labels={**own, **labels(building)}
    ).with_annotations(annotations(building))


def _with_scheduling(building: Building) -> Building:
    conf = building.conf
    own = (building.pod.get("spec") or {}).get("nodeSelector") or {}
    selected = {
        **own,
        **conf.prefixed("spark.kubernetes.node.selector."),
        **conf.prefixed("spark.kubernetes.driver.node.selector."),
    }
    secrets = [{"name": name} for name in conf.items(f"{IMAGE}.pullSecrets")]
    scheduler = conf.optional("spark.kubernetes.driver.scheduler.name")
    scheduler = conf.optional("spark.kubernetes.scheduler.name") if scheduler is None else scheduler
    fields: KubeObject = {"restartPolicy": "Never"}
    if selected:
        fields["nodeSelector"] = selected
    if secrets:
        fields["imagePullSecrets"] = [*building.spec_list("imagePullSecrets"), *secrets]
    if scheduler is not None:
        fields["schedulerName"] = scheduler
    return building.with_spec(**fields)
