"""Runs one probe job through `spark-staging run -- spark-submit …`, or `submit`, and gathers what it left behind."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from staging_protocol.pod_contract import INIT_CONTAINER, LABEL
from tests.kube.cluster import Cluster, Context
from tests.kube.evidence import (
    InitOutcome,
    Seen,
    count_fetches,
    init_outcome,
    parse_probe,
    read_from_own_disk,
)
from tests.kube.images import Image
from tests.kube.installation import PROGRAMS, Installation
from tests.kube.job_files import JobFiles
from tests.kube.processes import run
from tests.services.spark_distributions import Spark

EXECUTORS: Final = 2
QUICK_JVM: Final = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
SMALL: Final = {
    "spark.executor.instances": str(EXECUTORS),
    "spark.executor.cores": "1",
    "spark.driver.memory": "512m",
    "spark.executor.memory": "512m",
    "spark.kubernetes.driver.request.cores": "100m",
    "spark.kubernetes.executor.request.cores": "100m",
    "spark.ui.enabled": "false",
    # The job starts when both executors are there, not when one of them has waited for the other long enough.
    "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    "spark.scheduler.maxRegisteredResourcesWaitingTime": "300s",
    # A JVM that lives for seconds spends half its time on compiling code that it never gets to use.
    "spark.driver.extraJavaOptions": QUICK_JVM,
    "spark.executor.extraJavaOptions": QUICK_JVM,
    # Their logs and statuses are the evidence.
    "spark.kubernetes.executor.deleteOnTermination": "false",
}

NOT_WAITED_FOR: Final = {"spark.kubernetes.submission.waitAppCompletion": "false"}
"""`spark-submit` ends as soon as the driver's pod is there."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be run.

    Attributes:
        through: the command: `run` with a stock spark-submit, or `submit`, which needs no JVM.
        suffix: of the name, for jobs of the same files.
        conf: properties besides, or instead of, the usual ones.
        arguments: of the main program.
    """

    spark: Spark
    image: Image
    files: JobFiles
    through: Literal["run", "submit"] = "run"
    suffix: str = ""
    conf: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Also the name of the driver's pod."""
        return f"probe-{self.files.language}-{self.spark.version.replace('.', '-')}{self.suffix}"

    def kinds(self) -> dict[str, str]:
        """Return the kind of each staged file by its name."""
        files = self.files
        return {
            files.jar.name: "jar",
            files.main.name: "pyfile" if files.main.suffix == ".py" else "jar",
            files.module.name: "pyfile",
            files.package.name: "pyfile",
            files.archive.name: "archive",
            files.file.name: "file",
        }


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A job that has ended, with the evidence.

    Attributes:
        job: what was run.
        bundle: id of its bundle.
        phase: how the driver's pod ended.
        seen: what the job printed, if it came that far.
        fetches: fetches of all executors from the driver, by kind.
        own_disk: how many jars each executor read from its own volume.
        inits: how each pod's init container ended, by its termination message.
        reports: what the server was told by them.
        pods: the driver's pod and the executors', as Kubernetes has them.
        submit_output: what `spark-staging run` printed.
        driver_log: the driver's log.
    """

    job: Job
    bundle: str
    phase: str
    seen: Seen | None
    fetches: Mapping[str, int]
    own_disk: tuple[int, ...]
    inits: tuple[InitOutcome, ...]
    reports: tuple[Mapping[str, Any], ...]
    pods: tuple[Mapping[str, Any], ...]
    submit_output: str
    driver_log: str

    def used_by_driver(self, dependency: str, *, marker: str | None = None) -> bool:
        """Tell whether the driver found the marker that this dependency holds (or that of another one)."""
        return self.seen is not None and self._expected(marker or dependency) in self.seen.driver.get(dependency, "")

    def used_by_executors(self, dependency: str, *, marker: str | None = None) -> int:
        """Count the executors that found the marker that this dependency holds (or that of another one)."""
        if self.seen is None:
            return 0
        expected = self._expected(marker or dependency)
        return sum(expected in found.get(dependency, "") for found in self.seen.executors.values())

    def _expected(self, dependency: str) -> str:
        return self.job.files.markers[dependency]


def run_job(job: Job, *, installation: Installation, context: Context) -> Finished:
    """Submit the job, wait for its end and gather the evidence."""
    return gather(job, installation=installation, submit_output=submit(job, installation=installation, context=context))


def submit(job: Job, *, installation: Installation, context: Context) -> str:
    """Submit the job and return what was printed; it has ended then, unless its properties say `NOT_WAITED_FOR`."""
    program, *words = submit_command(job, installation.cluster, context=context)
    needs_jvm = job.through == "run"
    submitted = run(
        str(PROGRAMS / "spark-staging"), *(("run", "--", program) if needs_jvm else ("submit",)), *words,
        environment=installation.client_environment(**({"SPARK_HOME": str(job.spark.home)} if needs_jvm else {})),
        timeout=900,
        notices=True,
    )  # fmt: skip
    return submitted.decode(errors="replace")


def submit_command(job: Job, cluster: Cluster, *, context: Context) -> list[str]:
    """Return the command that a user of stock Spark would write, with paths on this machine."""
    files = job.files
    conf = SMALL | {
        "spark.kubernetes.namespace": cluster.namespace,
        "spark.kubernetes.container.image": job.image.name,
        "spark.kubernetes.driver.pod.name": job.name,
        "spark.kubernetes.authenticate.driver.serviceAccountName": "spark",
        **job.conf,
    }
    if files.language == "python":
        # The archive's own interpreter runs the driver's program and the executors' workers.
        conf["spark.pyspark.python"] = "./env/bin/python"
    command = [
        job.spark.submit,
        "--master", f"k8s://{context.server}",
        "--deploy-mode", "cluster",
        "--name", job.name,
        "--jars", str(files.jar),
        "--py-files", f"{files.module},{files.package}",
        "--archives", f"{files.archive}#env",
        "--files", str(files.file),
    ]  # fmt: skip
    for key, value in conf.items():
        command += ["--conf", f"{key}={value}"]
    if files.language == "java":
        command += ["--class", "probe.Job"]
    return [*command, str(files.main), *job.arguments]


def gather(job: Job, *, installation: Installation, submit_output: str) -> Finished:
    """Read pods, logs and reports of a job that has ended."""
    cluster = installation.cluster
    driver = cluster.get("pod", job.name)
    application = driver["metadata"]["labels"]["spark-app-selector"]
    executors = cluster.select("pod", labels=f"spark-role=executor,spark-app-selector={application}")
    logs = [cluster.logs(pod["metadata"]["name"]) for pod in executors]
    driver_log = cluster.logs(job.name)
    pods = (driver, *executors)
    bundle = driver["metadata"]["labels"].get(LABEL, "")
    explained = json.loads(installation.client("bundles", "explain", bundle, "--output", "json"))
    return Finished(
        job=job,
        bundle=bundle,
        phase=driver["status"]["phase"],
        seen=parse_probe(driver_log),
        fetches=count_fetches(logs, kinds=job.kinds()),
        own_disk=tuple(len(read_from_own_disk(log)) for log in logs),
        inits=tuple(init_outcome(pod, container=INIT_CONTAINER) for pod in pods),
        reports=tuple(received["report"] for received in explained.get("reports", ())),
        pods=pods,
        submit_output=submit_output,
        driver_log=driver_log,
    )
