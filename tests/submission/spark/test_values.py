"""Values are read as Spark reads them."""

import pytest

from staging_protocol.errors import InvalidRequest
from submission.spark.values import boolean, integer, items, java_double, memory_mib, number, seconds, substituted


@pytest.mark.parametrize(
    ("text", "mebibytes"),
    [
        ("1g", 1024),
        ("512", 512),
        ("512m", 512),
        ("2048K", 2),
        ("1kb", 0),
        (" 1T ", 2**20),
        ("1048576b", 1),
        ("2GiB", 2048),
    ],
)
def test_memory_is_counted_in_whole_mebibytes(text: str, mebibytes: int) -> None:
    assert memory_mib(text, key="k") == mebibytes


@pytest.mark.parametrize("text", ["", "g", "1.5g", "-1g", "1x", "1 g"])
def test_what_is_no_memory_is_named(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"spark\.x="):
        memory_mib(text, key="spark.x")


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [("10s", "s", 10), ("10", "s", 10), ("100", "ms", 0.1), ("2min", "s", 120), ("1h", "s", 3600), ("-1", "s", -1)],
)
def test_time_is_counted_in_seconds(text: str, unit: str, expected: float) -> None:
    assert seconds(text, key="k", unit=unit) == expected


def test_what_is_no_time_is_named() -> None:
    with pytest.raises(InvalidRequest, match="k=soon is no time"):
        seconds("soon", key="k")


def test_truth_numbers_and_lists() -> None:
    assert boolean(" TRUE ", key="k") is True
    assert boolean("false", key="k") is False
    assert integer("-3", key="k") == -3
    assert number("1e-3", key="k") == 0.001
    assert items(" a, ,b,") == ["a", "b"]
    for read, text in ((boolean, "yes"), (integer, "1.0"), (number, "x")):
        with pytest.raises(InvalidRequest, match=f"k={text}"):
            read(text, key="k")


@pytest.mark.parametrize(
    ("value", "text"), [(0.1, "0.1"), (1, "1.0"), (0.4, "0.4"), (0.0001, "1.0E-4"), (1.25e7, "1.25E7"), (0, "0.0")]
)
def test_numbers_are_written_as_java_does(value: float, text: str) -> None:
    assert java_double(value) == text


def test_references_are_replaced_and_unknown_ones_stay() -> None:
    properties = {"spark.a": "${spark.b}!", "spark.b": "${env:HOME}", "other": "x"}
    read = "${spark.a} ${other} ${spark.none} ${system:user.name} ${env:NONE}"
    found = substituted(read, properties=properties, environment={"HOME": "/h"})
    assert found == "/h! ${other} ${spark.none} ${system:user.name} ${env:NONE}"


def test_a_circle_of_references_is_an_error() -> None:
    with pytest.raises(InvalidRequest, match="refers to itself"):
        substituted("${spark.a}", properties={"spark.a": "${spark.b}", "spark.b": "${spark.a}"}, environment={})
