"""A ConfigMap of the driver's: never changed once it is made, and not larger than Kubernetes takes.  Pure."""

from collections.abc import Mapping
from typing import Final

from staging_protocol.errors import TooLarge
from submission.driver.building import Building
from submission.driver.job import KubeObject

_MAX_BYTES: Final = 2**20
"""Of the data of a ConfigMap (`MaxSecretSize` of the API server)."""


def config_map(building: Building, *, name: str, data: Mapping[str, str], what: str) -> KubeObject:
    """Return a ConfigMap with `data`; `what` says in words what that is.

    Raises:
        TooLarge: Kubernetes would refuse it.
    """
    size = sum(len(key.encode()) + len(text.encode()) for key, text in data.items())
    if size > _MAX_BYTES:
        largest = max(data, key=lambda key: len(data[key]))
        msg = f"{what} has {size} bytes, and a ConfigMap takes {_MAX_BYTES}; make {largest} smaller"
        raise TooLarge(msg)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": building.job.namespace},
        "immutable": True,
        "data": dict(data),
    }
