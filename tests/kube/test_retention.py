"""What keeps bundles on a cluster, and what ends them: pods, drivers and SparkApplications live and die.

The time to live is half a minute here (`conftest.SHORT_LIVES`).  That it has passed is seen by a bundle that nothing
claims: it is staged last, and ends of itself.  One that is still there then is kept by what claims it.
"""

import dataclasses
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from staging_protocol.api.claims import Explanation
from staging_protocol.pod_contract import LABEL
from tests.kube.cluster import Cluster
from tests.kube.custom_owners import Application, definitions
from tests.kube.identity_jobs import Grown, Whole, claim_of, holding
from tests.kube.identity_server import IdentityServer
from tests.kube.probe import NOT_WAITED_FOR, Finished, Job, gather, submit
from tests.kube.verdict import faults
from tests.kube.waiting import wait_for

pytestmark = pytest.mark.kube

ROOM = f"spark-staging-test-{secrets.token_hex(3)}"
"""A label that a pod asks of its node, and no node has."""
OPERATOR = Application(version="sparkoperator.k8s.io/v1beta2", name="named-before-it-exists")
APACHE = Application(version="spark.apache.org/v1", name="named-before-it-exists")


@dataclass(frozen=True, kw_only=True)
class Story:
    """What was explained of bundles on the way.

    Attributes:
        waiting: of a job whose driver is Pending, after an unclaimed bundle has ended.
        ended: with which words the unclaimed bundle has ended.
        promised: of bundles whose SparkApplication was not there yet.
        owned: of the same while it runs, after the unclaimed bundle has ended.
        after: of an application that has finished, and of a driver that was deleted, a moment later.
        gone: with which words they have ended in the end.
        came_late: the job that was Pending, run to its end.
    """

    waiting: Explanation
    ended: str
    promised: dict[str, Explanation]
    owned: dict[str, Explanation]
    after: dict[str, Explanation]
    gone: dict[str, str]
    came_late: Finished


class Teller:
    """Does the steps of the story."""

    def __init__(self, server: IdentityServer, jobs: Cluster, job: Job) -> None:
        self.server = server
        self.jobs = jobs
        self.pending = dataclasses.replace(
            job,
            suffix="-pending",
            conf=NOT_WAITED_FOR | {f"spark.kubernetes.driver.node.selector.{ROOM}": "yes"},
        )
        self.file = job.files.file

    def submit_pending(self) -> str:
        """Submit a job that no node has room for; return its bundle."""
        submit(self.pending, installation=self.server.installation(self.jobs), context=self.server.workshop.context)
        return str(self.jobs.get("pod", self.pending.name)["metadata"]["labels"][LABEL])

    def stage(self, *options: str) -> str:
        """Stage a bundle of one file; return its id."""
        return self.server.stage(self.jobs, self.file, *options).bundle

    def explain(self, bundle: str) -> Explanation:
        """Return why a bundle is there."""
        found = self.server.explain(self.jobs, bundle)
        assert isinstance(found, Explanation), found
        return found

    def until(self, bundle: str, kind: str, *, says: str) -> Explanation:
        """Wait until the claim of this kind has these words."""

        def looked() -> Explanation | None:
            found = self.explain(bundle)
            return found if any(one.kind == kind and says in one.detail for one in found.claims) else None

        return wait_for(looked, what=f"that the claim of the {kind} says {says!r}")

    def let_in(self) -> Finished:
        """Give the pending driver a node, and wait for its end."""
        node = self.jobs.select("node")[0]["metadata"]["name"]
        self.jobs.kubectl("label", "node", node, f"{ROOM}=yes")
        try:
            self.jobs.wait_for_end(self.pending.name, seconds=300)
        finally:
            self.jobs.kubectl("label", "node", node, f"{ROOM}-")
        return gather(self.pending, installation=self.server.installation(self.jobs), submit_output="")


@pytest.fixture(scope="module")
def operators() -> Iterator[None]:
    """SparkApplications of both operators can be made."""
    with definitions():
        yield


@pytest.fixture(scope="module")
def story(identity: IdentityServer, jobs: Cluster, probe_jobs: list[Job], grown: Grown, operators: None) -> Story:
    """Everything happens side by side, since each end takes one or two minutes."""
    teller = Teller(identity, jobs, probe_jobs[2])
    bundles = {"operator": teller.stage("--owner", OPERATOR.reference), "apache": teller.stage()}
    identity.installation(jobs).client("bundles", "bind", bundles["apache"], APACHE.reference)
    promised = {name: teller.until(bundle, "owner", says="has not appeared yet") for name, bundle in bundles.items()}
    OPERATOR.create(jobs)
    APACHE.create(jobs)
    APACHE.report(jobs, {"currentState": {"currentStateSummary": "RunningHealthy"}})
    OPERATOR.report(jobs, {"applicationState": {"state": "RUNNING"}})
    for bundle in bundles.values():
        teller.until(bundle, "owner", says="lives")
    pending = teller.submit_pending()
    ended = identity.end_of(jobs, teller.stage())
    waiting = teller.explain(pending)
    owned = {name: teller.explain(bundle) for name, bundle in bundles.items()}

    bundles["driver"] = grown.finished.bundle
    moment = datetime.now(tz=UTC).isoformat(timespec="seconds")
    OPERATOR.report(jobs, {"applicationState": {"state": "COMPLETED"}, "terminationTime": moment})
    after = {"operator": teller.until(bundles["operator"], "owner", says="has ended")}
    APACHE.delete(jobs)
    # Forced, as when a node is lost: nothing ever says that this driver has finished, it only is not there any more.
    jobs.kubectl("delete", "pod", grown.finished.job.name, "--force", "--grace-period=0")
    after["driver"] = teller.until(bundles["driver"], "owner", says="is absent since")
    came_late = teller.let_in()
    gone = {name: identity.end_of(jobs, bundle) for name, bundle in bundles.items()}
    return Story(
        waiting=waiting, ended=ended, promised=promised, owned=owned, after=after, gone=gone, came_late=came_late
    )


def test_a_bundle_that_nothing_claims_ends_with_its_time_to_live(story: Story) -> None:
    assert "the time to live of 30 seconds" in story.ended


def test_a_job_that_is_pending_for_longer_than_the_time_to_live_keeps_its_bundle(story: Story) -> None:
    assert set(holding(story.waiting)) == {"pod", "owner"}
    assert "in use by pod" in claim_of(story.waiting, "pod").detail
    assert "lives" in claim_of(story.waiting, "owner").detail


def test_when_its_pod_gets_a_node_at_last_it_finds_every_dependency(story: Story) -> None:
    assert faults(story.came_late) == []


def test_a_finished_driver_that_is_kept_starts_the_grace(whole: Whole) -> None:
    assert holding(whole.explained) == ["grace"]
    assert "has ended at" in claim_of(whole.explained, "owner").detail
    assert "the grace of 30 seconds" in claim_of(whole.explained, "grace").detail


def test_after_the_grace_its_bundle_is_gone_although_the_driver_is_there(
    identity: IdentityServer, jobs: Cluster, whole: Whole
) -> None:
    assert "the grace of 30 seconds" in identity.end_of(jobs, whole.finished.bundle)
    assert jobs.phase(whole.finished.job.name) == "Succeeded"


def test_a_driver_that_was_deleted_ends_its_claim_once_that_is_confirmed_and_after_the_grace_its_bundle(
    story: Story,
) -> None:
    assert "must be confirmed by a list" in claim_of(story.after["driver"], "owner").detail
    assert "owner" in holding(story.after["driver"])
    assert "the grace of 30 seconds" in story.gone["driver"]


@pytest.mark.parametrize("operator", ["operator", "apache"])
def test_an_application_keeps_a_bundle_that_named_it_before_it_existed(story: Story, operator: str) -> None:
    assert "has not appeared yet" in claim_of(story.promised[operator], "owner").detail
    assert holding(story.owned[operator]) == ["owner"]
    assert "SparkApplication/named-before-it-exists lives" in claim_of(story.owned[operator], "owner").detail


def test_an_application_that_has_finished_starts_the_grace(story: Story) -> None:
    assert holding(story.after["operator"]) == ["grace"]


@pytest.mark.parametrize("operator", ["operator", "apache"])
def test_after_the_end_of_an_application_and_the_grace_its_bundle_is_gone(story: Story, operator: str) -> None:
    assert "the grace of 30 seconds" in story.gone[operator]
