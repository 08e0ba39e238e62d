"""Ports of the driver, in its container and in its Service.  Pure."""

from typing import Final

from submission.driver import abilities
from submission.driver.building import Building

DRIVER: Final = "spark.driver.port"
BLOCK_MANAGER: Final = "spark.driver.blockManager.port"

_ANY_BLOCK_MANAGER: Final = "spark.blockManager.port"
_CONNECT: Final = "spark.connect.grpc.binding.port"
CONNECT_NAME: Final = "spark-connect"


def service_ports(building: Building) -> dict[str, int]:
    """Return the ports of the Service by name."""
    conf = building.conf
    ports = {
        "driver-rpc-port": conf.integer(DRIVER, 7078),
        "blockmanager": conf.integer(BLOCK_MANAGER, 7079),
        "spark-ui": conf.integer("spark.ui.port", 4040),
    }
    if building.since(abilities.CONNECT_PORT):
        ports[CONNECT_NAME] = conf.integer(_CONNECT, 15002)
    return ports


def container_ports(building: Building) -> dict[str, int]:
    """Return the ports of the container by name; only here counts the port of all block managers."""
    default = building.conf.integer(_ANY_BLOCK_MANAGER, 7079)
    return {**service_ports(building), "blockmanager": building.conf.integer(BLOCK_MANAGER, default)}
