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


def test_lists_follow_every_page_and_stop_at_the_limit(job: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("submission.commands.bundles.PAGE", 2)
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
    ("owner", "why"), [("driver", "KIND/NAME"), ("SparkApplication/x", "--api-version"), ("Secret/x", "cannot own")]
)
def test_an_owner_that_cannot_be_is_refused(owner: str, why: str, job: Command) -> None:
    done = job.inside("bundles", "bind", "a" * 26, owner)

    assert done.returncode == 2
    assert why in done.stderr
