"""Which jobs are meant: by the name of the driver's pod or a shell pattern of it, or an id of the application.

nightly-driver            name of the driver's pod, as `submit` says it; also pod/nightly-driver
spark-4f3c…               id of the application
nightly-2026-03-01        submission id
jobs:nightly-*            in namespace `jobs`, as spark-submit's --kill and --status take it
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from staging_protocol.errors import InvalidRequest, NotFound
from submission.job_labels import SUBMISSION
from submission.kube.api import KubeApi, KubeObject
from submission.kube.resources import PODS

APPLICATION: Final = "spark-app-selector"
_DRIVERS: Final = "spark-role=driver"
_POD: Final = "pod/"


@dataclass(frozen=True, slots=True)
class Selector:
    """What a person wrote for jobs; `namespace` is None where it names none."""

    namespace: str | None
    pattern: str

    @classmethod
    def parse(cls, text: str) -> "Selector":
        """Read `[NAMESPACE:]JOB`.

        Raises:
            InvalidRequest: it names nothing.
        """
        before, colon, after = text.rpartition(":")
        pattern = after.removeprefix(_POD)
        if not pattern or (colon and not before):
            msg = f"{text!r} names no job; give the name of a driver's pod, an id, or NAMESPACE:PATTERN"
            raise InvalidRequest(msg)
        return cls(namespace=before or None, pattern=pattern)

    def has(self, driver: KubeObject) -> bool:
        """Whether a driver's pod is meant."""
        metadata = driver["metadata"]
        labels: dict[str, Any] = metadata.get("labels") or {}
        ids = {labels.get(APPLICATION), labels.get(SUBMISSION)}
        return self.pattern in ids or fnmatchcase(metadata["name"], self.pattern)


def drivers(api: KubeApi, *, namespace: str | None) -> list[KubeObject]:
    """Return the drivers of a namespace, or of all, the youngest first."""
    pods: list[KubeObject] = api.list(PODS, namespace=namespace, labels=_DRIVERS)["items"]
    return sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True)


def found(api: KubeApi, text: str, *, namespace: str) -> list[KubeObject]:
    """Return the drivers that `text` means; `namespace` counts where it names none.

    Raises:
        NotFound: there is none.
    """
    selector = Selector.parse(text)
    where = selector.namespace or namespace
    pods = [pod for pod in drivers(api, namespace=where) if selector.has(pod)]
    if not pods:
        msg = (
            f"there is no job {selector.pattern} in namespace {where}; see those that are there: "
            f"spark-staging list -n {where}"
        )
        raise NotFound(msg)
    return pods


def the_one(api: KubeApi, text: str, *, namespace: str) -> KubeObject:
    """Return the only driver that `text` means.

    Raises:
        NotFound: there is none.
        InvalidRequest: there are several.
    """
    pods = found(api, text, namespace=namespace)
    if len(pods) > 1:
        names = ", ".join(pod["metadata"]["name"] for pod in pods[:5])
        msg = f"{text} means {len(pods)} jobs ({names}{', …' if len(pods) > 5 else ''}); name one of them"  # noqa: PLR2004 - as many as are shown
        raise InvalidRequest(msg)
    return pods[0]
