"""The headless Service by which executors find the driver (`DriverServiceFeatureStep`).  Pure."""

from typing import Final

from staging_protocol.errors import InvalidRequest
from submission.driver import abilities
from submission.driver.building import Building
from submission.driver.job import KubeObject
from submission.driver.labels import SELECTOR, labels
from submission.driver.ports import BLOCK_MANAGER, CONNECT_NAME, DRIVER, service_ports

_PREFIX: Final = "spark.kubernetes.driver.service."
_POLICIES: Final = frozenset({"SingleStack", "PreferDualStack", "RequireDualStack"})
_FAMILIES: Final = frozenset({"IPv4", "IPv6", "IPv4,IPv6", "IPv6,IPv4"})
_NOT_SETTABLE: Final = {
    "spark.driver.bindAddress": "the driver binds to its pod's own address",
    "spark.driver.host": "executors reach the driver by its Service",
}


def service(building: Building) -> Building:
    """Add the Service, and tell the driver its own name in the cluster.

    Raises:
        InvalidRequest: the user sets an address that is not theirs to set.
    """
    for key, why in _NOT_SETTABLE.items():
        if key in building.job.properties:
            msg = f"{key} cannot be set on Kubernetes: {why}; remove it"
            raise InvalidRequest(msg)
    ports = service_ports(building)
    return building.with_owned(_service(building, ports=ports)).with_properties(
        {
            "spark.driver.host": f"{building.names.service}.{building.job.namespace}.svc",
            DRIVER: str(ports["driver-rpc-port"]),
            BLOCK_MANAGER: str(ports["blockmanager"]),
        }
    )


def _service(building: Building, *, ports: dict[str, int]) -> KubeObject:
    conf = building.conf
    metadata: KubeObject = {
        "name": building.names.service,
        "namespace": building.job.namespace,
        "labels": {SELECTOR: building.job.application_id, **conf.prefixed(f"{_PREFIX}label.")},
    }
    if annotations := conf.prefixed(f"{_PREFIX}annotation."):
        metadata["annotations"] = annotations
    families = conf.choice(f"{_PREFIX}ipFamilies", "IPv4", allowed=_FAMILIES)
    spec: KubeObject = {
        "clusterIP": "None",
        "ipFamilyPolicy": conf.choice(f"{_PREFIX}ipFamilyPolicy", "SingleStack", allowed=_POLICIES),
        "ipFamilies": families.split(","),
        "selector": labels(building),
        "ports": [_port(building, name=name, port=port) for name, port in ports.items()],
    }
    if building.since(abilities.PUBLISH_NOT_READY) and conf.boolean(
        f"{_PREFIX}publishNotReadyAddresses", default=False
    ):
        spec["publishNotReadyAddresses"] = True
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def _port(building: Building, *, name: str, port: int) -> KubeObject:
    found: KubeObject = {"name": name, "port": port, "targetPort": port}
    if name == CONNECT_NAME and building.since(abilities.CONNECT_PROTOCOL):
        found["appProtocol"] = "grpc"
    return found
