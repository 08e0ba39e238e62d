"""`bundles` against a real server."""

import pytest

from staging_protocol.errors import ExitCode
from tests.submission.conftest import STAGE, Command


def test_a_bundle_can_be_listed_shown_explained_pinned_bound_and_deleted(job: Command) -> None:
    identifier = job.json(*STAGE)["bundle"]

    assert [one["id"] for one in job.json("bundles", "list")] == [identifier]
    assert job.json("bundles", "pin", identifier, "--reason", "audit", "--until", "2099-01-31")["pin"] == {
        "reason": "audit", "until": "2099-01-31T00:00:00Z",
    }  # fmt: skip
    assert any(claim["kind"] == "pin" for claim in job.json("bundles", "explain", identifier)["claims"])
    assert "pin" not in job.json("bundles", "unpin", identifier)
    assert job.json("bundles", "bind", identifier, "pod/driver", "--uid", "u1")["owner"]["kind"] == "Pod"
    assert job.json("bundles", "show", identifier)["owner"]["name"] == "driver"
    assert job.inside("bundles", "delete", identifier).stdout == f"deleted {identifier}\n"
    assert job.inside("bundles", "show", identifier).returncode == ExitCode.BUNDLE_EXPIRED


def test_an_owner_is_shown_with_what_is_known_of_it(job: Command) -> None:
    identifier = job.json(*STAGE, "--owner", "spark.apache.org/v1/SparkApplication/nightly")["bundle"]
    assert (
        "SparkApplication/nightly (spark.apache.org/v1), uid not given"
        in job.inside("bundles", "show", identifier).stdout
    )

    bound = job.inside("bundles", "bind", identifier, "Job/nightly", "--uid", "u-1").stdout

    assert "Job/nightly (batch/v1), uid u-1" in bound
    assert "Job/nightly" in job.inside("bundles", "list").stdout


def test_what_holds_a_bundle_is_explained_before_what_does_not(job: Command) -> None:
    identifier = job.json(*STAGE, "--owner", "Pod/driver")["bundle"]
    job.inside("bundles", "pin", identifier, "--reason", "audit")

    claims = [line.split() for line in job.inside("bundles", "explain", identifier).stdout.splitlines()[2:]]

    assert {"time-to-live", "owner", "pin"} <= {claim[0] for claim in claims}
    assert [claim[1] for claim in claims] == sorted((claim[1] for claim in claims), reverse=True)


def test_lists_follow_every_page_and_stop_at_the_limit(job: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("submission.commands.calling.PAGE", 2)
    identifiers = {job.json(*STAGE)["bundle"] for _ in range(5)}

    assert {one["id"] for one in job.json("bundles", "list")} == identifiers
    assert len(job.json("bundles", "list", "--limit", "3")) == 3
    everywhere = job.inside("bundles", "list", "--all-namespaces").stdout
    assert all(identifier in everywhere for identifier in identifiers)


def test_tables_for_programs_have_a_line_for_each_row(job: Command) -> None:
    identifier = job.json(*STAGE)["bundle"]

    heading, row = job.inside("bundles", "list").stdout.splitlines()

    assert heading.split()[:3] == ["ID", "NAMESPACE", "APPLICATION"]
    assert row.split()[:3] == [identifier, job.environment["SPARK_STAGING_NAMESPACE"], "app.jar"]
    assert job.inside("bundles", "explain", identifier).stdout.splitlines()[1].startswith("CLAIM")


@pytest.mark.parametrize(
    ("owner", "why"),
    [
        ("driver", "KIND/NAME"),
        ("SparkApplication/x", "write spark.apache.org/v1/SparkApplication/x or sparkoperator.k8s.io/v1beta2/"),
        ("Secret/x", "cannot own"),
    ],
)
def test_an_owner_that_cannot_be_is_refused(owner: str, why: str, job: Command) -> None:
    done = job.inside("bundles", "bind", "a" * 26, owner)

    assert done.returncode == 2
    assert why in done.stderr


@pytest.mark.parametrize(
    ("text", "version", "kind"),
    [
        ("pod/driver", "v1", "Pod"),
        ("Job/driver", "batch/v1", "Job"),
        ("v1/Pod/driver", "v1", "Pod"),
        ("batch/v1/job/driver", "batch/v1", "Job"),
        ("spark.apache.org/v1/SparkApplication/driver", "spark.apache.org/v1", "SparkApplication"),
        ("sparkoperator.k8s.io/v1beta2/sparkapplication/driver", "sparkoperator.k8s.io/v1beta2", "SparkApplication"),
        ("ScheduledSparkApplication/driver", "sparkoperator.k8s.io/v1beta2", "ScheduledSparkApplication"),
    ],
)
def test_an_owner_may_be_named_before_it_exists(text: str, version: str, kind: str, job: Command) -> None:
    identifier = job.json(*STAGE, "--owner", text)["bundle"]

    assert job.json("bundles", "show", identifier)["owner"] == {"api_version": version, "kind": kind, "name": "driver"}


@pytest.mark.parametrize(
    "owner", ["driver", "/driver", "SparkApplication/x", "v2/Pod/x", "a/b/c/d/e", "Pod/", "Secret/x", "Pod/UPPER"]
)
def test_an_owner_that_cannot_be_is_refused_before_anything_is_staged(owner: str, job: Command) -> None:
    done = job.inside(*STAGE, "--owner", owner)

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert job.json("bundles", "list") == []
