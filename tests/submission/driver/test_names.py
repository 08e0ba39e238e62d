"""Names of objects follow from the application's name, and Kubernetes takes them all."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staging_protocol.errors import InvalidRequest
from submission.driver.names import application_label, names_of, resource_prefix

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


@pytest.mark.parametrize(
    ("application", "prefix"),
    [
        ("Spark Pi", "spark-pi-abc"),
        ("org.apache.spark.examples.SparkPi", "org-apache-spark-examples-sparkpi-abc"),
        ("Größe / My Job: 2", "gr-e-my-job-2-abc"),
        ("2024-06 report.", "x024-06-report-abc"),
        ("__my..job__", "my-job-abc"),
        (" \t blank ", "blank-abc"),
    ],
)
def test_a_name_becomes_letters_that_kubernetes_takes(application: str, prefix: str) -> None:
    assert resource_prefix(application, unique_id="abc") == prefix


def test_a_service_whose_name_would_be_too_long_gets_a_short_one() -> None:
    assert names_of("a" * 48, unique_id="abc", pod=None).service == f"{'a' * 48}-abc-driver-svc"
    assert names_of("a" * 49, unique_id="abc", pod=None).service == "spark-abc-driver-svc"


def test_a_label_has_at_most_63_characters_and_no_dash_at_its_ends() -> None:
    assert application_label("A Job!") == "a-job"
    assert application_label("-" + "b" * 80) == "b" * 62


@given(st.text(max_size=120), st.text(alphabet="0123456789abcdef", min_size=1, max_size=20))
def test_every_application_gets_names_that_kubernetes_takes(application: str, unique_id: str) -> None:
    names = names_of(application, unique_id=unique_id, pod=None)
    assert _DNS_LABEL.fullmatch(names.service)
    assert len(names.service) <= 63
    assert _DNS_LABEL.fullmatch(names.pod)
    assert re.fullmatch(r"|[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", application_label(application))


def test_the_pod_is_called_as_the_user_says() -> None:
    assert names_of("demo", unique_id="abc", pod="nightly.7").pod == "nightly.7"


@pytest.mark.parametrize("pod", ["Nightly", "a_b", "-a", "a" * 254])
def test_a_pod_that_kubernetes_would_refuse_is_refused_before(pod: str) -> None:
    with pytest.raises(InvalidRequest, match=r"pod\.name"):
        names_of("demo", unique_id="abc", pod=pod)


def test_an_application_with_an_endless_name_is_asked_for_a_shorter_one() -> None:
    with pytest.raises(InvalidRequest, match="--name"):
        names_of("a" * 250, unique_id="abc", pod=None)
