"""Settings that contradict each other, or that the driver or the API server would refuse much later.

What stock Spark's steps refuse while they make the driver's objects, `submission.driver` refuses.  Pure.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from staging_protocol.errors import InvalidRequest

_K: Final = "spark.kubernetes."

_EXCLUDING: Final = tuple(
    (f"{_K}authenticate.{who}.oauthToken", f"{_K}authenticate.{who}.oauthTokenFile") for who in ("submission", "driver")
)
"""Pairs of which one may be given (`KubernetesUtils.requireNandDefined`)."""

_POSITIVE: Final = ("spark.driver.cores", "spark.executor.cores", "spark.executor.instances")
_POSITIVE_BYTES: Final = ("spark.driver.memory", "spark.executor.memory")

_ORDERED: Final = (
    (f"{_K}driver.request.cores", f"{_K}driver.limit.cores"),
    (f"{_K}executor.request.cores", f"{_K}executor.limit.cores"),
)
"""The API server refuses a request above its limit."""

_DYNAMIC: Final = "spark.dynamicAllocation."

_LABELS_OF_EXECUTORS: Final = frozenset(
    {
        "spark-version", "spark-app-selector", "spark-app-name", "spark-role", "spark-exec-id",
        "spark-exec-resourceprofile-id",
    }
)  # fmt: skip
"""What `KubernetesExecutorConf` reserves; the driver would find it out after the submission."""

_NUMBER_OF_CORES: Final = re.compile(r"(\d+(?:\.\d+)?)(m?)")
_POD_NAME_PREFIX: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_POD_NAME_PREFIX_LIMIT: Final = 47
"""A host's name has 63 characters, of which `-exec-` and the number of the executor take 16."""


def refuse_contradictions(properties: Mapping[str, str], *, proxy_user: str | None) -> None:
    """Refuse what cannot be meant.

    Args:
        properties: in force.
        proxy_user: of `--proxy-user`.

    Raises:
        InvalidRequest: two settings contradict each other, or one cannot be.
    """
    for check in _CHECKS:
        check(properties)
    if proxy_user is not None and "spark.kerberos.principal" in properties:
        _refuse("--proxy-user and --principal exclude each other; give one of them")


def _check_pairs(properties: Mapping[str, str]) -> None:
    for one, other in _EXCLUDING:
        if one in properties and other in properties:
            _refuse(f"{one} and {other} exclude each other; give one of them")


def _check_numbers(properties: Mapping[str, str]) -> None:
    for key in _POSITIVE:
        if key == "spark.executor.instances" and _is_dynamic(properties):
            continue
        if key in properties and not (_is_whole(properties[key]) and int(properties[key]) > 0):
            _refuse(f"{key} is {properties[key]!r}; expected a whole number above 0")
    for key in _POSITIVE_BYTES:
        if key in properties and not re.fullmatch(r"\s*0*[1-9]\d*\s*([kmgtp]?b?)\s*", properties[key].lower()):
            _refuse(f"{key} is {properties[key]!r}; expected a size above 0, for example 2g or 512m")
    for request, limit in _ORDERED:
        wanted, most = _cores(properties.get(request)), _cores(properties.get(limit))
        if wanted is not None and most is not None and wanted > most:
            _refuse(f"{request}={properties[request]} is more than {limit}={properties[limit]}; lower it or raise that")


def _check_dynamic_allocation(properties: Mapping[str, str]) -> None:
    if not _is_dynamic(properties):
        return
    least, most = f"{_DYNAMIC}minExecutors", f"{_DYNAMIC}maxExecutors"
    low, high = properties.get(least), properties.get(most)
    if low is not None and high is not None and _is_whole(low) and _is_whole(high) and int(low) > int(high):
        _refuse(f"{least}={low} is more than {most}={high}; lower it or raise that")


def _check_names(properties: Mapping[str, str]) -> None:
    key = f"{_K}executor.podNamePrefix"
    prefix = properties.get(key)
    if prefix is not None and (len(prefix) > _POD_NAME_PREFIX_LIMIT or not _POD_NAME_PREFIX.fullmatch(prefix)):
        _refuse(
            f"{key} is {prefix!r}; expected at most {_POD_NAME_PREFIX_LIMIT} lower-case letters, digits, - and ., "
            "with a letter or digit at both ends"
        )


def _check_labels(properties: Mapping[str, str]) -> None:
    for name in sorted(_names_after(f"{_K}executor.label.", properties) & _LABELS_OF_EXECUTORS):
        _refuse(f"{_K}executor.label.{name} cannot be given: Spark keeps that label for itself; choose another name")


def _check_variables(properties: Mapping[str, str]) -> None:
    for name in _names_after(f"{_K}driverEnv.", properties) & _names_after(f"{_K}driver.secretKeyRef.", properties):
        _refuse(f"the variable {name} is given by {_K}driverEnv and by {_K}driver.secretKeyRef; give it once")
    for name in _names_after("spark.executorEnv.", properties) & _names_after(
        f"{_K}executor.secretKeyRef.", properties
    ):
        _refuse(f"the variable {name} is given by spark.executorEnv and by {_K}executor.secretKeyRef; give it once")


_CHECKS: Final[tuple[Callable[[Mapping[str, str]], None], ...]] = (
    _check_pairs,
    _check_numbers,
    _check_dynamic_allocation,
    _check_names,
    _check_labels,
    _check_variables,
)


def _names_after(prefix: str, properties: Mapping[str, str]) -> set[str]:
    return {key.removeprefix(prefix) for key in properties if key.startswith(prefix)}


def _is_dynamic(properties: Mapping[str, str]) -> bool:
    return properties.get(f"{_DYNAMIC}enabled", "").lower() == "true"


def _is_whole(text: str) -> bool:
    return text.strip().isdecimal()


def _cores(text: str | None) -> float | None:
    match = _NUMBER_OF_CORES.fullmatch(text or "")
    if match is None:
        return None
    return float(match[1]) / (1000 if match[2] else 1)


def _refuse(why: str) -> None:
    raise InvalidRequest(why)
