"""From the start of the process to the created driver pod: `spark-staging submit` and stock spark-submit.

Both send the same job to the same real API server: a jar of 1 MiB that is on this machine, new in every run, and a job
whose jar is in the image already.  Stock Spark copies the jar into a folder (`spark.kubernetes.file.upload.path`), as
it would into a bucket; ours stages it on a server on this machine.

A watch tells when the pod is there, so that seconds end there for both, and what a process does afterwards counts as
CPU only.
"""

import itertools
import json
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final

import urllib3
from kubernetes import client

from benchmarks.data import random_file
from benchmarks.measure import OURS, Sample, Samples, Side, alternate, seconds
from benchmarks.processes import RunFailed, measure
from benchmarks.scenario import MIB, Bench, Outcome
from benchmarks.staging import StagingServer, program, staging_server
from benchmarks.targets import JOBS, SPARKS, STAGED, cheaper, faster
from tests.services.kube_api import KubeApi, KubeApiMissingError, running_kube_api
from tests.services.kube_programs import write_kubeconfig
from tests.services.spark_distributions import Spark, SparkMissingError, install_spark

_NAMESPACE: Final = "submitted"
_CREATED_WITHIN: Final = 60.0
"""Seconds after the end of a process in which the watch has told of its pod."""
_ACCOUNT: Final = "submitter"


def run(bench: Bench) -> Outcome:
    """Measure all three with both jobs in turn."""
    with _cluster(bench.folder) as cluster, staging_server(bench.folder / "server") as server:
        submitters: list[tuple[str, _Once]] = [(OURS, _Ours(cluster, server, folder=bench.folder).once)]
        submitters += [
            (_peer(one.version), _Stock(cluster, one, folder=bench.folder).once) for one in map(_spark, SPARKS)
        ]
        sides = [
            Side(_side(name, job), _with(once, with_jar=job == STAGED)) for job in JOBS for name, once in submitters
        ]
        samples = alternate(sides, runs=bench.runs, say=bench.say)
    return Outcome(
        title="Submission, from the start of the process to the created driver pod",
        size=0,
        samples={_title(name): found for name, found in samples.items()},
        figures=dict(_figures(samples)),
        notes=(
            "Seconds end when a watch tells of the pod; CPU is that of the whole process and its children.",
            "spark-submit with waitAppCompletion=false and its own JVM options; ours with --detach.",
            "The jar is new in each run: ours uploads it each time, where an unchanged one costs one request.",
        ),
    )


def _figures(samples: Samples) -> Iterator[tuple[str, float]]:
    for job in JOBS:
        ours = samples[_side(OURS, job)]
        yield f"seconds, {job}", seconds(ours)
        yield f"CPU s, {job}", _cpu(ours)
        for version in SPARKS:
            theirs = samples[_side(_peer(version), job)]
            yield faster(version, job), seconds(theirs) / seconds(ours)
            yield cheaper(version, job), _cpu(theirs) / _cpu(ours)


def _cpu(samples: Sequence[Sample]) -> float:
    return median(0.0 if one.client is None else one.client.cpu for one in samples)


def _peer(version: str) -> str:
    return f"spark-submit {version}"


def _side(name: str, job: str) -> str:
    return f"{name}, {job}"


def _title(side: str) -> str:
    # The report takes the side that is called as we are for ours.
    return OURS if side == _side(OURS, STAGED) else side


_Once = Callable[[bool], Sample]


def _with(once: _Once, *, with_jar: bool) -> Callable[[], Sample]:
    return lambda: once(with_jar)


def _spark(version: str) -> Spark:
    try:
        return install_spark(version)
    except SparkMissingError as error:
        raise RunFailed(str(error)) from error


@dataclass(frozen=True, kw_only=True)
class _Cluster:
    """A real API server, an identity by token, which every client can use, and what is told of new pods."""

    url: str
    kubeconfig: Path
    arrivals: "queue.SimpleQueue[float]"

    @property
    def common(self) -> list[str]:
        """What is said in every submission."""
        return [
            *("--master", f"k8s://{self.url}", "--deploy-mode", "cluster", "--name", "benchmark"),
            *("--class", "demo.Main", "--conf", f"spark.kubernetes.namespace={_NAMESPACE}"),
            *("--conf", "spark.kubernetes.submission.waitAppCompletion=false"),
        ]

    def submit(self, command: Sequence[str], *, environment: Mapping[str, str], server: int | None) -> Sample:
        """Run a command that creates one driver."""
        begin = perf_counter()
        measured = measure(command, environment={"KUBECONFIG": str(self.kubeconfig), **environment}, server=server)
        try:
            there = self.arrivals.get(timeout=_CREATED_WITHIN)
        except queue.Empty:
            msg = f"{command[0]} ended well and created no pod"
            raise RunFailed(msg) from None
        return Sample.of(measured, seconds=there - begin)


class _Ours:
    def __init__(self, cluster: _Cluster, server: StagingServer, *, folder: Path) -> None:
        self._cluster = cluster
        self._server = server
        self._folder = folder
        self._jars = _jars(folder / "ours")

    def once(self, with_jar: bool) -> Sample:  # noqa: FBT001 - one of two jobs
        version = SPARKS[0]
        environment = {
            "SPARK_STAGING_URL": self._server.url,
            "SPARK_STAGING_CACHE_FOLDER": str(self._folder / "cache"),
        }
        own = ["--detach", "--conf", f"spark.kubernetes.container.image=registry.invalid/spark:{version}"]
        main = _main(self._jars, with_jar=with_jar)
        command = [program("spark-staging"), "submit", *own, *self._cluster.common, main]
        return self._cluster.submit(command, environment=environment, server=self._server.pid)


class _Stock:
    def __init__(self, cluster: _Cluster, spark: Spark, *, folder: Path) -> None:
        self._cluster = cluster
        self._spark = spark
        self._uploads = folder / f"uploads-{spark.version}"
        self._uploads.mkdir()
        self._jars = _jars(folder / f"stock-{spark.version}")

    def once(self, with_jar: bool) -> Sample:  # noqa: FBT001 - as above
        own = [
            *("--conf", f"spark.kubernetes.container.image=registry.invalid/spark:{self._spark.version}"),
            *("--conf", f"spark.kubernetes.file.upload.path=file://{self._uploads}"),
        ]
        command = [self._spark.submit, *own, *self._cluster.common, _main(self._jars, with_jar=with_jar)]
        return self._cluster.submit(command, environment={"SPARK_HOME": str(self._spark.home)}, server=None)


def _main(jars: Iterator[Path], *, with_jar: bool) -> str:
    return str(next(jars)) if with_jar else "local:///opt/spark/jars/app.jar"


def _jars(folder: Path) -> Iterator[Path]:
    """Yield jars that nobody has seen; what is in them is nobody's business but a JVM's."""
    folder.mkdir()
    for number in itertools.count():
        yield random_file(folder / f"app-{number}.jar", size=MIB)


@contextmanager
def _cluster(folder: Path) -> Iterator[_Cluster]:
    try:
        with running_kube_api() as kube:
            kube.core.create_namespace({"metadata": {"name": _NAMESPACE}})
            kubeconfig = folder / "kubeconfig"
            settings = kube.core.api_client.configuration
            write_kubeconfig(kubeconfig, kube.url, settings.ssl_ca_cert, {"token": _token(kube)})
            yield _Cluster(url=kube.url, kubeconfig=kubeconfig, arrivals=_watched(kube))
    except KubeApiMissingError as error:
        msg = f"this needs an API server: {error}"
        raise RunFailed(msg) from error


def _token(kube: KubeApi) -> str:
    """Return the token of an account that may everything in the namespace."""
    kube.core.create_namespaced_service_account(_NAMESPACE, {"metadata": {"name": _ACCOUNT}})
    binding: Any = {
        "metadata": {"name": _ACCOUNT},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "namespace": _NAMESPACE, "name": _ACCOUNT}],
    }
    client.RbacAuthorizationV1Api(kube.core.api_client).create_namespaced_role_binding(_NAMESPACE, binding)
    request = {"spec": {"expirationSeconds": 7200, "audiences": []}}
    return str(kube.core.create_namespaced_service_account_token(_ACCOUNT, _NAMESPACE, request).status.token)


def _watched(kube: KubeApi) -> "queue.SimpleQueue[float]":
    """Return a queue with the time at which each new pod was told; it ends with the API server."""
    settings = kube.core.api_client.configuration
    http = urllib3.PoolManager(
        ca_certs=settings.ssl_ca_cert, cert_file=settings.cert_file, key_file=settings.key_file, retries=False
    )
    query = "watch=true&timeoutSeconds=7200"
    answer = http.request("GET", f"{kube.url}/api/v1/namespaces/{_NAMESPACE}/pods?{query}", preload_content=False)
    arrivals: queue.SimpleQueue[float] = queue.SimpleQueue()
    threading.Thread(target=_tell, args=(answer, arrivals), daemon=True).start()
    return arrivals


def _tell(answer: Any, arrivals: "queue.SimpleQueue[float]") -> None:
    rest = b""
    try:
        for part in answer.stream(64 * 1024):
            now = perf_counter()
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                if json.loads(line)["type"] == "ADDED":
                    arrivals.put(now)
    except urllib3.exceptions.HTTPError:  # the API server has ended
        return
