"""Every key of Spark for Kubernetes has its row, and what is mistyped or contradicts itself is said."""

import re
from pathlib import Path

import pytest

from staging_protocol.errors import InvalidRequest
from submission.spark.conf import SparkVersion
from submission.spark.contradictions import refuse_contradictions
from submission.spark.keys import FAMILIES, KEYS, PREFIX, key_of, refuse_mistyped, review

V4 = SparkVersion(4, 3)
V35 = SparkVersion(3, 5)
PAGE = Path(__file__).parents[3] / "docs" / "spark-keys.md"


def test_the_table_has_each_key_once() -> None:
    names = [key.name for key in (*KEYS, *FAMILIES)]

    assert len(names) == len(set(names))
    assert len(KEYS) == 96  # 95 of Spark's own `Config`, and avoidDownloadSchemes of its core


def test_the_page_has_a_row_for_each_key() -> None:
    rows = re.findall(r"^\| `([^`]+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert rows == [key.full for key in (*KEYS, *FAMILIES)]


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("namespace", "namespace"),
        ("driver.label.app.kubernetes.io/name", "driver.label."),
        ("authenticate.driver.serviceAccountName", "authenticate.driver.serviceAccountName"),
        ("authenticate.driver.mounted.oauthTokenFile", "authenticate.driver.mounted."),
        ("authenticate.driver.oauthToken", "authenticate.driver."),
        ("authenticate.oauthToken", "authenticate."),
    ],
)
def test_a_key_belongs_to_the_row_that_fits_best(name: str, row: str) -> None:
    found = key_of(f"{PREFIX}{name}")

    assert found is not None
    assert found.name == row


@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [
        ("container.imag", "container.image"),
        ("driver.podTemplate", "driver.podTemplateFile"),
        ("namespaces", "namespace"),
        ("executor.requests.cores", "executor.request.cores"),
        ("driver.labels.team", "driver.label.team"),
        ("driverenv.A", "driverEnv.A"),
        ("authenticate.driver.serviceAccount", "authenticate.driver.serviceAccountName"),
    ],
)
def test_a_mistyped_key_is_an_error_that_names_the_one_that_was_meant(mistyped: str, meant: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(f"did you mean {PREFIX}{meant}?")):
        refuse_mistyped({f"{PREFIX}{mistyped}": "x"})


def test_a_key_that_is_nothing_like_ours_is_passed_on_with_a_note() -> None:
    properties = {f"{PREFIX}operator.reconciler.period": "x"}

    refuse_mistyped(properties)
    assert review(properties, spark=V4) == (
        f"{PREFIX}operator.reconciler.period is not known here; it is passed on to the driver",
    )


def test_a_key_of_a_later_version_is_told() -> None:
    key = f"{PREFIX}driver.annotateExitException"

    assert review({key: "true"}, spark=V4) == ()
    assert review({key: "true"}, spark=V35) == (f"{key} has no effect: Spark knows it from 4.1.0 on, and this is 3.5",)


def test_what_is_not_needed_is_told() -> None:
    (note,) = review({f"{PREFIX}file.upload.path": "s3a://b"}, spark=V4)

    assert "local dependencies are staged" in note


@pytest.mark.parametrize(
    ("properties", "why"),
    [
        (
            {
                "spark.kubernetes.authenticate.driver.oauthToken": "a",
                "spark.kubernetes.authenticate.driver.oauthTokenFile": "b",
            },
            "exclude each other",
        ),
        ({"spark.driver.memory": "1.5g"}, "spark.driver.memory"),
        ({"spark.driver.memory": "0"}, "spark.driver.memory"),
        ({"spark.executor.memory": "much"}, "spark.executor.memory"),
        ({"spark.executor.cores": "0"}, "spark.executor.cores"),
        ({"spark.driver.cores": "two"}, "spark.driver.cores"),
        ({"spark.executor.instances": "0"}, "spark.executor.instances"),
        (
            {"spark.kubernetes.driver.request.cores": "2", "spark.kubernetes.driver.limit.cores": "1500m"},
            "is more than",
        ),
        (
            {
                "spark.dynamicAllocation.enabled": "true",
                "spark.dynamicAllocation.minExecutors": "5",
                "spark.dynamicAllocation.maxExecutors": "4",
            },
            "is more than",
        ),
        ({"spark.kubernetes.executor.podNamePrefix": "a" * 48}, "at most 47"),
        ({"spark.kubernetes.executor.podNamePrefix": "A_b"}, "lower-case"),
        ({"spark.kubernetes.executor.label.spark-exec-id": "x"}, "keeps that label"),
        ({"spark.kubernetes.driverEnv.A": "1", "spark.kubernetes.driver.secretKeyRef.A": "s:k"}, "give it once"),
        ({"spark.executorEnv.A": "1", "spark.kubernetes.executor.secretKeyRef.A": "s:k"}, "give it once"),
    ],
)
def test_contradictions_are_refused(properties: dict[str, str], why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        refuse_contradictions(properties, proxy_user=None)


def test_a_proxy_user_and_a_principal_exclude_each_other() -> None:
    properties = {"spark.kerberos.principal": "b", "spark.kerberos.keytab": "k"}

    refuse_contradictions(properties, proxy_user=None)
    with pytest.raises(InvalidRequest, match="--proxy-user and --principal"):
        refuse_contradictions(properties, proxy_user="alice")


def test_a_job_as_people_send_it_contradicts_nothing() -> None:
    properties = {
        "spark.driver.memory": "2g",
        "spark.executor.memory": " 512M ",
        "spark.executor.cores": "2",
        "spark.executor.instances": "0",
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.minExecutors": "1",
        "spark.dynamicAllocation.maxExecutors": "4",
        "spark.kubernetes.driver.request.cores": "500m",
        "spark.kubernetes.driver.limit.cores": "1",
    }

    refuse_contradictions(properties, proxy_user="alice")
