"""Who asks, by the cluster: the first request of a caller, for which Kubernetes is asked, and those that follow.

The API server is a real one on this machine, which takes processor time of its own (others' cores).
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from statistics import quantiles
from typing import Any, Final
from urllib.parse import urlsplit

from benchmarks.clients import callers
from benchmarks.data import random_file
from benchmarks.measure import OURS, Sample, Side, alternate, seconds, server_cpu
from benchmarks.processes import RunFailed, measure
from benchmarks.scenario import KIB, Bench, Outcome
from benchmarks.staging import NAMESPACE, StagingServer, staging_server
from staging_io.bearers import Fixed
from staging_io.staging import StagingClient
from tests.services.kube_api import KubeApiMissingError, running_kube_api
from tests.staging_server.auth.cluster import SERVER, Cluster

_CONNECTIONS: Final = 32
_SUBMITTER: Final = "spark-staging-submitter"
_ORDER: Final = ("first", "second")
_MANY: Final = {"AUTH__REVIEWS_PER_SECOND": "100000"}
"""Or most of what is measured would be how well it refuses."""


@dataclass(frozen=True, kw_only=True)
class Ward:
    """A server, and the cluster that it asks."""

    cluster: Cluster
    server: StagingServer
    manifest: str
    bundle: str
    bundle_token: str
    requests: int
    rounds: Iterator[int] = field(default_factory=count)

    def pods(self) -> list[str]:
        """Return tokens of as many new pods of the bundle; nobody has seen them."""
        number = next(self.rounds)
        pods = [
            self.cluster.pod(NAMESPACE, f"executor-{number}-{one}", bundle=self.bundle) for one in range(self.requests)
        ]
        return [self.cluster.token(NAMESPACE, "default", pod=pod) for pod in pods]

    def accounts(self) -> list[str]:
        """Return tokens of as many new accounts that may list bundles."""
        number = next(self.rounds)
        names = [f"account-{number}-{one}" for one in range(self.requests)]
        return [self.cluster.token(NAMESPACE, self.cluster.account(NAMESPACE, name)) for name in names]


class Kind:
    """Callers of one kind: their first requests, and their second ones; the latencies of all runs are kept."""

    def __init__(self, ward: Ward, *, path: str, make: Callable[[], list[str]]) -> None:
        self._ward, self._path, self._make = ward, path, make
        self._tokens: list[str] = []
        self.latencies: dict[str, list[list[float]]] = {which: [] for which in _ORDER}

    def first(self) -> Sample:
        """Ask as callers whom the server has not seen."""
        self._tokens = self._make()
        return self._once("first")

    def second(self) -> Sample:
        """Ask as the same once more."""
        return self._once("second")

    def _once(self, which: str) -> Sample:
        parts = urlsplit(self._ward.server.url)
        task: dict[str, Any] = {
            "host": parts.hostname, "port": parts.port, "path": self._path, "tokens": self._tokens,
            "connections": _CONNECTIONS,
        }  # fmt: skip
        program = [sys.executable, "-I", str(Path(callers.__file__))]
        measured = measure(program, server=self._ward.server.pid, stdin=json.dumps(task).encode())
        result = json.loads(measured.output)
        if result["errors"]:
            msg = f"{result['errors']} of {len(self._tokens)} callers were not let in"
            raise RunFailed(msg)
        self.latencies[which].append(result["latencies"])
        return Sample.of(measured, seconds=result["seconds"])


def run(bench: Bench) -> Outcome:
    """Measure pods, accounts, and the bundle token, for which nobody is asked."""
    requests = bench.sized(500, quick=50)
    with _ward(bench, requests=requests) as ward:
        kinds = {
            "pod": Kind(ward, path=ward.manifest, make=ward.pods),
            "account": Kind(ward, path=f"/v1/namespaces/{NAMESPACE}/bundles?limit=1", make=ward.accounts),
            "bundle token": Kind(ward, path=ward.manifest, make=lambda: [ward.bundle_token] * requests),
        }
        sides = [Side(_side(name, which), getattr(kind, which)) for name, kind in kinds.items() for which in _ORDER]
        samples = alternate(sides, runs=bench.runs, say=bench.say)
    figures = dict[str, float]()
    for name, kind in kinds.items():
        for which in _ORDER:
            own, label = samples[_side(name, which)], f"{name}, {which} request"
            figures[f"{label}: per second"] = requests / seconds(own)
            figures[f"{label}: server's CPU ms"] = server_cpu(own) * 1000 / requests
            figures |= {f"{label}: {key}": value for key, value in _percentiles(kind.latencies[which][1:]).items()}
    return Outcome(
        title=f"{requests} callers with a token of their own, {_CONNECTIONS} at once",
        size=0,
        samples=samples,
        figures=figures,
        notes=(
            f"{OURS}: the first request of a pod: a TokenReview, and a GET where the watch does not know it yet.",
            "First request of an account: a TokenReview and a SubjectAccessReview. Second: what is remembered.",
            "Bundle token: one token for all, looked up in the database; nobody is asked.",
        ),
    )


def _side(name: str, which: str) -> str:
    return OURS if (name, which) == ("pod", "first") else f"{name}, {which} request"


def _percentiles(runs: Sequence[list[float]]) -> dict[str, float]:
    cuts = quantiles([value for run in runs for value in run], n=100, method="inclusive")
    return {"p50 ms": cuts[49], "p99 ms": cuts[98]}


@contextmanager
def _ward(bench: Bench, *, requests: int) -> Iterator[Ward]:
    try:
        with running_kube_api() as kube:
            cluster = Cluster(kube=kube, home=NAMESPACE, folder=bench.folder)
            cluster.kube.core.create_namespace({"metadata": {"name": NAMESPACE}})
            with cluster.installed():
                yield from _opened(bench, cluster, requests=requests)
    except KubeApiMissingError as error:
        msg = f"this needs an API server: {error}"
        raise RunFailed(msg) from error


def _opened(bench: Bench, cluster: Cluster, *, requests: int) -> Iterator[Ward]:
    cluster.account(NAMESPACE, "default")
    cluster.account(NAMESPACE, "submitter", role=_SUBMITTER)
    cluster.bind_group(_SUBMITTER, group=f"system:serviceaccounts:{NAMESPACE}", namespace=NAMESPACE)
    settings = _MANY | {
        "AUTH__MODE": "kubernetes", "KUBERNETES__CONNECT": "kubeconfig",
        "KUBERNETES__KUBECONFIG": str(cluster.kubeconfig(NAMESPACE, SERVER)),
    }  # fmt: skip
    with staging_server(bench.folder, settings=settings) as server:
        secret = Fixed(cluster.token(NAMESPACE, "submitter"))
        ours = replace(server, client=StagingClient(url=server.url, token=secret, http=server.http))
        bundle = ours.stage([random_file(bench.folder / "small.jar", size=KIB)])
        yield Ward(
            cluster=cluster, server=ours, manifest=urlsplit(ours.manifest_request(bundle)[0]).path,
            bundle=bundle.id, bundle_token=bundle.token.text, requests=requests,
        )  # fmt: skip
