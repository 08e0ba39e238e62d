"""One module a scenario, and `ALL` of them in the order in which they run."""

from typing import Final

from benchmarks.scenario import Scenario
from benchmarks.scenarios import (
    create,
    fan_out,
    get,
    identity,
    init,
    latency,
    put,
    put_many,
    resolve,
    resubmit,
    resume,
    retention,
    stage,
    tls,
    watching,
    workers,
)

ASKED_FOR: Final = (Scenario("retention-million", retention.run_million),)
"""Too large to run with the others; only by their names."""

ALL: Final = (
    Scenario("get", get.run),
    Scenario("fan-out", fan_out.run),
    Scenario("put", put.run),
    Scenario("get-many", fan_out.run_own),
    Scenario("put-many", put_many.run),
    Scenario("get-tls", tls.run_get),
    Scenario("get-tls-many", tls.run_get_many),
    Scenario("put-tls", tls.run_put),
    Scenario("put-tls-many", tls.run_put_many),
    Scenario("resolve", resolve.run_large),
    Scenario("resolve-small", resolve.run_small),
    Scenario("stage-small", stage.run_small),
    Scenario("stage-mixed", stage.run_mixed),
    Scenario("resume", resume.run),
    Scenario("resubmit", resubmit.run),
    Scenario("create", create.run),
    Scenario("retention", retention.run),
    Scenario("init", init.run),
    Scenario("init-loaded", init.run_loaded),
    Scenario("latency", latency.run),
    Scenario("workers-files", workers.run_files),
    Scenario("workers-manifests", workers.run_manifests),
    Scenario("workers-tls", workers.run_tls),
    # Last: without an API server nothing follows it.
    Scenario("identity", identity.run),
    Scenario("watch", watching.run),
)
