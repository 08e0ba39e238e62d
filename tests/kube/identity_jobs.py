"""Jobs in a namespace whose server knows everybody by Kubernetes: one that runs to its end, and one that grows."""

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from staging_protocol.api.claims import Claim, Explanation
from staging_protocol.pod_contract import LABEL
from tests.kube.cluster import Cluster
from tests.kube.identity_server import IdentityServer
from tests.kube.probe import NOT_WAITED_FOR, Finished, Job, gather, run_job, submit
from tests.kube.waiting import wait_for

GO = "go"
GROWING = NOT_WAITED_FOR | {
    "spark.dynamicAllocation.enabled": "true",
    "spark.dynamicAllocation.shuffleTracking.enabled": "true",
    "spark.executor.instances": "1",
    "spark.dynamicAllocation.minExecutors": "1",
    "spark.dynamicAllocation.maxExecutors": "2",
}


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A job that has ended, what explained its bundle then, and what there is in its namespace."""

    finished: Finished
    explained: Explanation
    secrets: list[dict[str, Any]]
    config_maps: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Grown:
    """A job that still runs; `before` and `after` are the server's pods before and after its restart."""

    finished: Finished
    before: dict[str, Any]
    after: dict[str, Any]


def whole_job(job: Job, *, server: IdentityServer, jobs: Cluster) -> Whole:
    """Run a job to its end, and wait until the server knows of it."""
    server.workshop.say(f"running {job.name} with Kubernetes' identity")
    finished = run_job(job, installation=server.installation(jobs), context=server.workshop.context)

    def explained() -> Explanation | None:
        found = server.explain(jobs, finished.bundle)
        return found if isinstance(found, Explanation) and holding(found) == ["grace"] else None

    return Whole(
        finished=finished,
        explained=wait_for(explained, what="the grace of a job that has ended", seconds=60),
        secrets=jobs.select("secret"),
        config_maps=jobs.select("configmap"),
    )


def growing_job(job: Job, *, server: IdentityServer, jobs: Cluster) -> Grown:
    """Start a job with one executor, restart the server, and let the job need another executor."""
    job = dataclasses.replace(
        job, through="submit", suffix="-growing", conf=GROWING,
        arguments=("--wait-for", GO, "--task", "4", "--stay"),
    )  # fmt: skip
    server.workshop.say(f"running {job.name}, and restarting the server meanwhile")
    before = server.pod()
    output = submit(job, installation=server.installation(jobs), context=server.workshop.context)
    wait_for(lambda: "WAITING" in jobs.logs(job.name), what="a driver that waits", seconds=180)
    wait_for(lambda: _running_executors(jobs, job.name), what="its first executor", seconds=180)
    server.restart()
    jobs.kubectl("exec", job.name, "--container", "spark-kubernetes-driver", "--", "touch", GO)
    wait_for(lambda: "PROBE" in jobs.logs(job.name), what="the answers of two executors", seconds=240)
    finished = gather(job, installation=server.installation(jobs), submit_output=output)
    return Grown(finished=finished, before=before, after=server.pod())


def started_at(pod: Any) -> datetime:
    """Return when a pod was made."""
    return datetime.fromisoformat(pod["metadata"]["creationTimestamp"])


def claim_of(explained: Explanation, kind: str) -> Claim:
    """Return the claim of a kind."""
    (found,) = [claim for claim in explained.claims if claim.kind == kind]
    return found


def holding(explained: Explanation) -> list[str]:
    """Return the kinds of claims that hold."""
    return [claim.kind for claim in explained.claims if claim.holds]


def _running_executors(jobs: Cluster, driver: str) -> list[dict[str, Any]]:
    bundle = jobs.get("pod", driver)["metadata"]["labels"][LABEL]
    pods = jobs.select("pod", labels=f"spark-role=executor,{LABEL}={bundle}")
    return [pod for pod in pods if pod["status"].get("phase") == "Running"]
