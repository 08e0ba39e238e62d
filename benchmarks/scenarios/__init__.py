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
    remote_gcs,
    remote_hdfs,
    remote_http,
    remote_s3,
    resolve,
    resubmit,
    resume,
    retention,
    stage,
    submit,
    tls,
    watching,
    workers,
)

ASKED_FOR: Final = (Scenario("retention-million", retention.run_million),)
"""Too large to run with the others; only by their names."""

REMOTE: Final = (
    Scenario("s3-large", remote_s3.run_large),
    Scenario("s3-medium", remote_s3.run_medium),
    Scenario("s3-small", remote_s3.run_small),
    Scenario("gcs-large", remote_gcs.run_large),
    Scenario("gcs-small", remote_gcs.run_small),
    Scenario("hdfs-large", remote_hdfs.run_large),
    Scenario("hdfs-small", remote_hdfs.run_small),
    Scenario("http-large", remote_http.run_large),
    Scenario("http-small", remote_http.run_small),
    Scenario("http-limited", remote_http.run_limited),
    Scenario("http-sparse", remote_http.run_sparse),
    Scenario("init-s3", init.run_s3),
)
"""Every source against its peers, which are fetched when they are first needed."""

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
    *REMOTE,
    # Last: without an API server nothing follows it.
    Scenario("identity", identity.run),
    Scenario("submit", submit.run),
    Scenario("watch", watching.run),
)
