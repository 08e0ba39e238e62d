"""A watch of 10,000 pods, from the start of a process over the list to some thousand events.

The API server is a real one on this machine; it and whoever changes the pods take processor time of their own (others'
cores), and the seconds are theirs as much as those of the watch.
"""

import json
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from statistics import median
from typing import Any, Final

import urllib3

from benchmarks.clients import watchers
from benchmarks.measure import OURS, Sample, Side, alternate
from benchmarks.processes import RunFailed, measure
from benchmarks.scenario import MIB, Bench, Outcome
from staging_protocol import pod_contract
from staging_protocol.tokens import BundleId
from tests.services.kube_api import KubeApi, KubeApiMissingError, running_kube_api

LIBRARY: Final = "kubernetes, Watch with models"
_NAMESPACE: Final = "watched"
_AT_ONCE: Final = 24
_LISTED_WITHIN: Final = 300.0
_BUNDLES: Final = tuple(str(BundleId.generate()) for _ in range(100))


def run(bench: Bench) -> Outcome:
    """Measure both against the same pods and as many changes."""
    pods, events = bench.sized(10_000, quick=500), bench.sized(5_000, quick=200)
    with _cluster(bench, pods=pods) as kube:
        task = _Task(kube, folder=bench.folder, events=events)
        sides = [Side(OURS, lambda: task.once("ours")), Side(LIBRARY, lambda: task.once("library"))]
        samples = alternate(sides, runs=bench.runs, say=bench.say)
    costs = {side: [sample.client for sample in own if sample.client is not None] for side, own in samples.items()}
    figures = dict[str, float]()
    for side, own in costs.items():
        figures[f"{side}: CPU s"] = median(cost.cpu for cost in own)
        figures[f"{side}: PSS MiB"] = median(cost.pss for cost in own) / MIB
    return Outcome(
        title=f"List {pods:,} pods and follow {events:,} events",
        size=0,
        samples=samples,
        figures=figures,
        notes=("Both ask for pages of 500 and keep the same of each pod; imports and start of the process included.",),
    )


class _Task:
    """Runs of both sides, each with new changes of the same pods."""

    def __init__(self, kube: "_Pods", *, folder: Path, events: int) -> None:
        self._kube = kube
        self._folder = folder
        self._events = events

    def once(self, side: str) -> Sample:
        """Run one side while pods change as soon as it has listed them."""
        listed = self._folder / f"listed-{secrets.token_hex(4)}"
        changing = threading.Thread(target=self._change, args=(listed,), daemon=True)
        changing.start()
        program = [sys.executable, watchers.__file__, side, str(self._kube.kubeconfig), str(self._events), str(listed)]
        measured = measure(program)
        changing.join()
        return Sample.of(measured)

    def _change(self, listed: Path) -> None:
        deadline = time.monotonic() + _LISTED_WITHIN
        while not listed.exists():
            if time.monotonic() > deadline:
                return  # the run fails and says why
            time.sleep(0.01)
        message = {"status": {"message": secrets.token_hex(8)}}  # as a kubelet has some; no life changes
        self._kube.each(self._events, lambda number: ("PATCH", f"/{_name(number)}/status", message))


class _Pods:
    """The pods of an API server, made and changed some at once."""

    def __init__(self, kube: KubeApi) -> None:
        self.kubeconfig = kube.kubeconfig
        settings = kube.core.api_client.configuration
        self._url = f"{kube.url}/api/v1/namespaces/{_NAMESPACE}/pods"
        self._http = urllib3.PoolManager(
            ca_certs=settings.ssl_ca_cert, cert_file=settings.cert_file, key_file=settings.key_file, maxsize=_AT_ONCE
        )

    def each(self, count: int, request: Callable[[int], tuple[str, str, Any]]) -> None:
        """Send a request for each number: method, path below that of the pods, and body."""
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            for _ in threads.map(self._send, map(request, range(count))):
                pass

    def close(self) -> None:
        """Close the connections."""
        self._http.clear()

    def _send(self, request: tuple[str, str, Any]) -> None:
        method, path, body = request
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        answer = self._http.request(
            method, self._url + path, body=json.dumps(body).encode(), headers={"Content-Type": kind}
        )
        if answer.status >= HTTPStatus.BAD_REQUEST:
            msg = f"the API server answers {method} {path} with {answer.status}: {answer.data[:200]!r}"
            raise RunFailed(msg)


@contextmanager
def _cluster(bench: Bench, *, pods: int) -> Iterator[_Pods]:
    try:
        with running_kube_api() as kube:
            kube.core.create_namespace({"metadata": {"name": _NAMESPACE}})
            made = _Pods(kube)
            bench.say(f"{pods} pods are made")
            made.each(pods, lambda number: ("POST", "", _executor(number)))
            yield made
            made.close()
    except KubeApiMissingError as error:
        msg = f"this needs an API server: {error}"
        raise RunFailed(msg) from error


def _name(number: int) -> str:
    return f"nightly-report-exec-{number}"


def _executor(number: int) -> dict[str, Any]:
    """Return a pod as Spark makes its executors, some KB with what the API server adds."""
    container = {
        "name": "spark-kubernetes-executor",
        "image": "registry.invalid/spark:4.1.0",
        "args": ["executor"],
        "env": [{"name": f"SPARK_JAVA_OPT_{one}", "value": "-Dspark.driver.port=7078"} for one in range(12)],
        "ports": [{"containerPort": 7079, "name": "blockmanager", "protocol": "TCP"}],
        "resources": {"limits": {"memory": "1408Mi"}, "requests": {"cpu": "1", "memory": "1408Mi"}},
        "volumeMounts": [{"name": "spark-staging", "mountPath": pod_contract.DATA_FOLDER, "readOnly": True}],
    }
    labels = {
        pod_contract.LABEL: _BUNDLES[number % len(_BUNDLES)],
        "spark-app-name": "nightly-report",
        "spark-role": "executor",
        "spark-exec-id": str(number),
    }
    return {
        "metadata": {"name": _name(number), "labels": labels},
        "spec": {"containers": [container], "volumes": [{"name": "spark-staging", "emptyDir": {}}]},
    }
