"""What the log of a pod tells: a line every few seconds, with what is slow, and a summary."""

import logging
from typing import Any

import pytest

from init_container.watching import LogProgress
from resolver.run import InFlight, Progress, Resolved
from staging_protocol.errors import SourceUnavailable
from staging_protocol.manifest import Kind


def fetched(number: int) -> InFlight:
    return InFlight(uri=f"s3://b/{number}", target=str(number), size=100, received=number, seconds=60.04 - number)


def step(seconds: float, received: int) -> Progress:
    in_flight = tuple(fetched(number) for number in range(5))
    return Progress(files=9, files_done=4, size=1000, received=received, seconds=seconds, in_flight=in_flight)


def resolved(uri: str, *, size: int, reused: bool = False) -> Resolved:
    return Resolved(
        uri=uri, kind=Kind.JAR, target="a", path="/a", digest=None, size=size, seconds=0.1, reused=reused
    )  # fmt: skip


def told(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.__dict__["fields"] for record in caplog.records]


def test_a_line_comes_every_few_seconds_with_the_speed_since_the_last_one(caplog: pytest.LogCaptureFixture) -> None:
    watching = LogProgress()
    with caplog.at_level(logging.INFO, logger="spark_staging.init"):
        for seconds, received in ((0.2, 10), (4.9, 100), (5.0, 500), (5.2, 510), (10.0, 600), (14.9, 700)):
            watching.progressed(step(seconds, received))

    first, second = told(caplog)
    assert (first["bytes_per_second"], second["bytes_per_second"]) == (100, 20)
    assert {name: second[name] for name in ("files", "files_done", "size", "received", "seconds")} == {
        "files": 9, "files_done": 4, "size": 1000, "received": 600, "seconds": 10.0,
    }  # fmt: skip
    assert second["slowest"] == [
        {"uri": "s3://b/0", "size": 100, "received": 0, "seconds": 60.0},
        {"uri": "s3://b/1", "size": 100, "received": 1, "seconds": 59.0},
        {"uri": "s3://b/2", "size": 100, "received": 2, "seconds": 58.0},
    ]


def test_the_summary_counts_by_source_what_was_moved_and_how_often_it_failed() -> None:
    watching = LogProgress()
    watching.retrying("s3://b/a", SourceUnavailable("gone"), 0.5)
    for one in (
        resolved("s3://b/a", size=100), resolved("s3://b/b", size=50), resolved("HTTPS://host/c", size=1),
        resolved("gs://b/d", size=1000, reused=True),
    ):  # fmt: skip
        watching.resolved(one)

    assert watching.summary(seconds=2.0) == {
        "bytes_per_second": 76,
        "retries": 1,
        "sources": {"https": {"files": 1, "size": 1}, "s3": {"files": 2, "size": 150}},
    }
    assert LogProgress().summary(seconds=0.0) == {"bytes_per_second": 0, "retries": 0, "sources": {}}
