"""Which jobs a few words mean."""

import pytest

from staging_protocol.errors import InvalidRequest
from submission.job_labels import SUBMISSION
from submission.jobs.finding import Selector
from tests.submission.jobs.pods import LABELS, pod

DRIVER = pod(labels={**LABELS, SUBMISSION: "nightly-2026-03-01"})


@pytest.mark.parametrize(
    "text",
    [
        "nightly-driver", "pod/nightly-driver", "jobs:nightly-driver", "night*", "jobs:*-driver", "spark-1",
        "nightly-2026-03-01", "jobs:nightly-2026-03-01",
    ],
)  # fmt: skip
def test_a_job_is_meant_by_its_pod_a_pattern_or_an_id(text: str) -> None:
    assert Selector.parse(text).has(DRIVER)


@pytest.mark.parametrize("text", ["nightly", "driver", "spark-", "Nightly-driver", "jobs:nightly"])
def test_half_a_name_means_nothing(text: str) -> None:
    assert not Selector.parse(text).has(DRIVER)


@pytest.mark.parametrize(("text", "namespace"), [("a:b", "a"), ("b", None), ("a:pod/b", "a")])
def test_a_namespace_stands_before_the_colon(text: str, namespace: str | None) -> None:
    assert Selector.parse(text) == Selector(namespace, "b")


@pytest.mark.parametrize("text", ["", ":", ":x", "x:", "pod/"])
def test_what_names_nothing_is_an_error(text: str) -> None:
    with pytest.raises(InvalidRequest, match="names no job"):
        Selector.parse(text)
