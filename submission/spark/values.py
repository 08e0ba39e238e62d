"""Values of Spark's properties as Spark reads them: numbers, memory, time, booleans, lists and `${…}`.

Spark reads a property by its declaration (`ConfigEntry`): `${spark.other}`, `${env:NAME}` and `${system:…}` are
substituted, then the text is parsed.  Messages name the property and what it may be.  Pure.
"""

import re
from collections.abc import Mapping
from typing import Final

from staging_protocol.errors import InvalidRequest

_REFERENCE: Final = re.compile(r"\$\{(?:(?P<kind>\w+?):)?(?P<name>\S+?)\}")
_SIZE: Final = re.compile(r"(?P<number>[0-9]+)(?P<unit>[a-z]+)?")
_TIME: Final = re.compile(r"(?P<number>-?[0-9]+)(?P<unit>[a-z]+)?")
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[dDfF]?")

_MEBIBYTE: Final = 2**20
_BYTES: Final[dict[str, int]] = {"b": 1} | {
    name: 2 ** (10 * power)
    for power, letter in enumerate("kmgtp", start=1)
    for name in (letter, f"{letter}b", f"{letter}ib")
}
_MICROSECONDS: Final = {
    "us": 1,
    "ms": 10**3,
    "s": 10**6,
    "m": 60 * 10**6,
    "min": 60 * 10**6,
    "h": 3600 * 10**6,
    "d": 86400 * 10**6,
}
_EXACT: Final = (10**-3, 10**7)
"""Between these Java writes a number without an exponent."""


def memory_mib(text: str, *, key: str) -> int:
    """Return the mebibytes of `2g`, `512m` or `512`; what is left over is cut off (`JavaUtils.byteStringAs`).

    Raises:
        InvalidRequest: it is no size.
    """
    match = _SIZE.fullmatch(text.strip().lower())
    unit = None if match is None else match["unit"] or "m"
    if match is None or unit not in _BYTES:
        msg = f"{key}={text} is no size; expected a whole number with k, m, g or t, for example 2g"
        raise InvalidRequest(msg)
    return int(match["number"]) * _BYTES[unit] // _MEBIBYTE


def seconds(text: str, *, key: str, unit: str = "s") -> float:
    """Return the seconds of `10s`, `5min` or `100ms`; a bare number counts in `unit` (`JavaUtils.timeStringAs`).

    Raises:
        InvalidRequest: it is no time.
    """
    match = _TIME.fullmatch(text.strip().lower())
    named = None if match is None else match["unit"] or unit
    if match is None or named not in _MICROSECONDS:
        msg = f"{key}={text} is no time; expected a whole number with us, ms, s, m, h or d, for example 30s"
        raise InvalidRequest(msg)
    return int(match["number"]) * _MICROSECONDS[named] / 10**6


def boolean(text: str, *, key: str) -> bool:
    """Return what `true` or `false` says, in whatever case.

    Raises:
        InvalidRequest: it says neither.
    """
    value = text.strip().lower()
    if value not in {"true", "false"}:
        msg = f"{key}={text} is neither true nor false"
        raise InvalidRequest(msg)
    return value == "true"


def integer(text: str, *, key: str) -> int:
    """Return a whole number.

    Raises:
        InvalidRequest: it is none.
    """
    if not _INTEGER.fullmatch(text.strip()):
        msg = f"{key}={text} is no whole number"
        raise InvalidRequest(msg)
    return int(text)


def number(text: str, *, key: str) -> float:
    """Return a number, as `java.lang.Double.parseDouble` reads it.

    Raises:
        InvalidRequest: it is none.
    """
    value = text.strip()
    if not _NUMBER.fullmatch(value):
        msg = f"{key}={text} is no number; expected for example 0.2"
        raise InvalidRequest(msg)
    return float(value.rstrip("dDfF"))


def java_double(value: float) -> str:
    """Return `value` as `java.lang.Double.toString` writes it."""
    if value == 0 or _EXACT[0] <= abs(value) < _EXACT[1]:
        return repr(float(value))
    digits, _, exponent = f"{value:e}".partition("e")
    whole, _, fraction = digits.rstrip("0").partition(".")
    return f"{whole}.{fraction or '0'}E{int(exponent)}"


def items(text: str) -> list[str]:
    """Return the entries of a list with commas, trimmed and without empty ones."""
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def substituted(
    text: str, *, properties: Mapping[str, str], environment: Mapping[str, str], within: frozenset[str] = frozenset()
) -> str:
    """Return `text` with each reference replaced; one to something unknown stays as it is (`ConfigReader`).

    Raises:
        InvalidRequest: a property refers to itself.
    """

    def value(match: re.Match[str]) -> str:
        kind, name = match["kind"], match["name"]
        if kind == "env":
            return environment.get(name, match[0])
        if kind not in {None, "spark"} or not name.startswith("spark.") or name not in properties:
            return match[0]
        if name in within:
            msg = f"{name} refers to itself: {properties[name]}"
            raise InvalidRequest(msg)
        found = properties[name]
        return substituted(found, properties=properties, environment=environment, within=within | {name})

    return _REFERENCE.sub(value, text)
