"""What the driver asks of its node: cores, memory with its overhead, GPUs and the like.

    memory = spark.driver.memory + overhead
    overhead = spark.driver.memoryOverhead, else a factor of the memory, but at least 384 MiB

The factor is 0.1, and 0.4 for Python and R, whose own processes live beside the JVM.  Pure.
"""

from typing import Any, Final

from staging_protocol.errors import InvalidRequest
from submission.driver import abilities
from submission.driver.building import Building
from submission.driver.conf import Conf
from submission.driver.job import Language
from submission.spark.values import integer

OVERHEAD_FACTOR: Final = "spark.kubernetes.memoryOverheadFactor"
"""Given to executors as well, unless they have a factor of their own."""

_MEMORY: Final = "spark.driver.memory"
_DRIVER_FACTOR: Final = "spark.driver.memoryOverheadFactor"
_JVM_FACTOR: Final = 0.1
_OTHER_FACTOR: Final = 0.4
_LEAST_OVERHEAD_MIB: Final = 384
_DEFAULT_MEMORY_MIB: Final = 1024

_CUSTOM: Final = "spark.driver.resource."


def with_resources(building: Building) -> Building:
    """Set requests and limits of Spark's container over those of the template."""
    conf = building.conf
    memory = f"{memory_mib(building)}Mi"
    cores = conf.text("spark.kubernetes.driver.request.cores", str(conf.integer("spark.driver.cores", 1)))
    limit = conf.optional("spark.kubernetes.driver.limit.cores")
    own: dict[str, Any] = building.container.get("resources") or {}
    limits = {**({} if limit is None else {"cpu": limit}), "memory": memory, **_custom_resources(conf)}
    return building.with_container(
        resources={
            **own,
            "requests": {**(own.get("requests") or {}), "cpu": cores, "memory": memory},
            "limits": {**(own.get("limits") or {}), **limits},
        }
    )


def overhead_factor(building: Building) -> float:
    """Return the factor for drivers and executors that have none of their own."""
    given = building.conf.number(OVERHEAD_FACTOR)
    if given is not None:
        return _not_negative(given, key=OVERHEAD_FACTOR)
    return _JVM_FACTOR if building.job.main.language is Language.JAVA else _OTHER_FACTOR


def memory_mib(building: Building) -> int:
    """Return the mebibytes of the whole container."""
    conf = building.conf
    heap = conf.memory_mib(_MEMORY)
    heap = _DEFAULT_MEMORY_MIB if heap is None else heap
    overhead = conf.memory_mib("spark.driver.memoryOverhead")
    if overhead is not None:
        return heap + overhead
    least = conf.memory_mib("spark.driver.minMemoryOverhead") if building.since(abilities.MINIMUM_OVERHEAD) else None
    factor = conf.number(_DRIVER_FACTOR)
    factor = overhead_factor(building) if factor is None else _not_negative(factor, key=_DRIVER_FACTOR)
    return heap + max(int(factor * heap), _LEAST_OVERHEAD_MIB if least is None else least)


def _not_negative(factor: float, *, key: str) -> float:
    if factor < 0:
        msg = f"{key}={factor} is negative; it is the part of the memory that is added to it, for example 0.2"
        raise InvalidRequest(msg)
    return factor


def _custom_resources(conf: Conf) -> dict[str, str]:
    """Return limits in the names of device plugins, `nvidia.com/gpu`."""
    given = conf.prefixed(_CUSTOM)
    found: dict[str, str] = {}
    for name in dict.fromkeys(key.partition(".")[0] for key in given):
        amount, vendor = given.get(f"{name}.amount"), given.get(f"{name}.vendor")
        if amount is None:
            msg = f"{_CUSTOM}{name}.amount is missing; say how many the driver needs"
            raise InvalidRequest(msg)
        count = integer(amount, key=f"{_CUSTOM}{name}.amount")
        if count <= 0:
            continue
        if vendor is None:
            msg = f"{_CUSTOM}{name}.vendor is missing; Kubernetes calls it VENDOR/{name}, for example nvidia.com/gpu"
            raise InvalidRequest(msg)
        found[f"{vendor}/{name}"] = str(count)
    return found
