"""Lists all pods with a bundle's label, follows them for a number of events, and ends; run as a process of its own.

    python watchers.py ours|library KUBECONFIG EVENTS LISTED

The file LISTED is made once the list is whole.  Both keep the same of each pod: uid, bundle, and whether it has ended.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

_LABEL = "spark-staging.io/bundle"
_PAGE = 500


def main(side: str, kubeconfig: str, events: str, listed: str) -> None:
    """Watch as one side does."""
    if side == "ours":
        asyncio.run(_ours(Path(kubeconfig), events=int(events), listed=Path(listed)))
    else:
        _library(kubeconfig, events=int(events), listed=Path(listed))


async def _ours(kubeconfig: Path, *, events: int, listed: Path) -> None:
    from staging_server.cluster.api import open_cluster_api
    from staging_server.cluster.kinds import PODS
    from staging_server.cluster.observer import Silent
    from staging_server.cluster.watched import open_sights
    from staging_server.settings import Connect, KubernetesSettings

    enough = asyncio.Event()

    class Counting(Silent):
        heard = 0

        def watch_heard(self, kind: str, _namespace: str, /) -> None:
            self.heard += kind == PODS.name
            if self.heard >= 2 + events:  # the list and the beginning of the watch are heard, too
                enough.set()

        def watch_listed(self, kind: str, _namespace: str, /, **_numbers: float) -> None:
            if kind == PODS.name:
                listed.touch()

    settings = KubernetesSettings(connect=Connect.KUBECONFIG, kubeconfig=kubeconfig, page_size=_PAGE)
    async with open_cluster_api(settings) as api, open_sights(api, settings, observer=Counting()):
        await enough.wait()


def _library(kubeconfig: str, *, events: int, listed: Path) -> None:
    from kubernetes import client, config, watch

    settings: Any = client.Configuration(no_proxy="127.0.0.1")
    config.load_kube_config(kubeconfig, client_configuration=settings)  # type: ignore[no-untyped-call] # the library has no types
    kept: dict[tuple[str, str], tuple[str, str | None, bool]] = {}
    with client.ApiClient(settings) as connection:
        core: Any = client.CoreV1Api(connection)
        token = version = None
        while token != "":
            page = core.list_pod_for_all_namespaces(label_selector=_LABEL, limit=_PAGE, _continue=token)
            for pod in page.items:
                _keep(kept, pod)
            token, version = page.metadata._continue or "", page.metadata.resource_version  # noqa: SLF001 - its name there
        listed.touch()
        following: Any = watch.Watch
        stream = following().stream(core.list_pod_for_all_namespaces, label_selector=_LABEL, resource_version=version)
        for number, event in enumerate(stream, start=1):
            _keep(kept, event["object"])
            if number == events:
                break


def _keep(kept: dict[tuple[str, str], tuple[str, str | None, bool]], pod: Any) -> None:
    labels = pod.metadata.labels or {}
    ended = pod.status.phase in {"Succeeded", "Failed"}
    kept[pod.metadata.namespace, pod.metadata.name] = pod.metadata.uid, labels.get(_LABEL), ended


if __name__ == "__main__":
    main(*sys.argv[1:])
