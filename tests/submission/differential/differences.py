"""Every difference between what stock spark-submit creates and what ours does, with its reason.

Each entry says which values it is about; one that no command line shows any more fails the test.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from tests.submission.differential.comparing import ABSENT, Change


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One intended difference.

    Attributes:
        reason: why it is right.
        where: pattern of `KIND/NAME:PATH`.
        stock: pattern of stock Spark's value; None: any, but not absent.
        ours: pattern of our value; None: any, but not absent.
    """

    reason: str
    where: str
    stock: str | None = None
    ours: str | None = None

    def explains(self, change: Change) -> bool:
        """Whether it is about this change."""
        return bool(
            re.fullmatch(self.where, change.where, re.DOTALL)
            and _fits(self.stock, change.stock)
            and _fits(self.ours, change.ours)
        )


def _fits(pattern: str | None, value: Any) -> bool:
    return value != ABSENT if pattern is None else bool(re.fullmatch(pattern, str(value), re.DOTALL))


_PROPERTIES: Final = r"ConfigMap/spark-drv-[^:]*:data\.spark\.properties"
_POD: Final = r"Pod/[^:]*:spec"
_SPARKS: Final = r"containers\[(spark-kubernetes-driver|spark)\]"
_MOVED: Final = r"spark-internal|.*(<folder>/|https://repo\.invalid/).*"
"""In a value of stock Spark: what is copied to `spark.kubernetes.file.upload.path`, is remote, or is among the jars."""
_IN_POD: Final = r".*local:///var/spark-data/.*"

DIFFERENCES: Final = (
    # --- who the objects belong to
    Difference(
        reason="The owner is set when the pod is there and its uid is known; these objects are older than that.",
        where=r"[^:]*:metadata\.ownerReferences\[.*",
        ours=ABSENT,
    ),
    Difference(
        reason="By this label a submission is found again, by whatever name it is known.",
        where=r"[^:]*:(metadata\.labels|spec\.selector)\.spark-staging\.io/submission",
        stock=ABSENT,
    ),
    Difference(
        reason="Driver and executors get that label in Spark's own way.",
        where=rf"{_PROPERTIES}\.spark\.kubernetes\.(driver|executor)\.label\.spark-staging\.io/submission",
        stock=ABSENT,
    ),
    Difference(
        reason="Tells what this run has made, so that a run that fails deletes nothing else.",
        where=r"[^:]*:metadata\.annotations\.spark-staging\.io/run",
        stock=ABSENT,
    ),
    Difference(
        reason="The staging server keeps a bundle as long as pods with this label live; the others are found by it.",
        where=r"[^:]*:metadata\.labels\.spark-staging\.io/bundle",
        stock=ABSENT,
    ),
    Difference(
        reason="Tells which files the pod was made for.",
        where=r"[^:]*:metadata\.annotations\.spark-staging\.io/manifest-digest",
        stock=ABSENT,
    ),
    # --- credentials
    Difference(
        reason="Spark documents that the driver's token file is sent in a Secret; stock Spark leaves it out.",
        where=r"Secret/[^:]*-kubernetes-credentials:data\.oauth-token",
        stock=ABSENT,
    ),
    Difference(
        reason="The driver is told where that token is.",
        where=rf"{_PROPERTIES}\.spark\.kubernetes\.authenticate\.driver\.mounted\.oauthTokenFile",
        stock=ABSENT,
        ours="/mnt/secrets/spark-kubernetes-credentials/oauth-token",
    ),
    # --- how dependencies get into pods
    Difference(
        reason="Only stock Spark needs a place to copy local dependencies to; ours are staged.",
        where=rf"{_PROPERTIES}\.spark\.kubernetes\.file\.upload\.path",
        ours=ABSENT,
    ),
    Difference(
        reason="The init container fetches the dependencies before Spark starts.",
        where=rf"{_POD}\.initContainers\[spark-staging-init\].*",
        stock=ABSENT,
    ),
    Difference(
        reason="Volumes for the dependencies, and what the init container reads them with.",
        where=rf"{_POD}\.volumes\[spark-(staging[a-z-]*|work)\].*",
        stock=ABSENT,
    ),
    Difference(
        reason="Spark reads the dependencies where the init container has put them.",
        where=rf"{_POD}\.{_SPARKS}\.(volumeMounts\[/var/spark-(data|work)\].*|workingDir)",
        stock=ABSENT,
    ),
    Difference(
        reason="The main resource is on a volume of the pod; stock Spark's driver fetches it.",
        where=rf"{_POD}\.{_SPARKS}\.args\[\d+\]",
        stock=_MOVED,
        ours=_IN_POD,
    ),
    Difference(
        reason="Jars and files are on volumes of all pods; stock Spark's driver fetches and serves them.",
        where=rf"{_PROPERTIES}\.spark\.(jars|files)",
        stock=_MOVED,
        ours=_IN_POD,
    ),
    Difference(
        reason="Archives are unpacked and Python files are found by PYTHONPATH, without the driver serving them.",
        where=rf"{_PROPERTIES}\.spark\.(archives|submit\.pyFiles)",
        stock=_MOVED,
        ours=rf"|{ABSENT}",
    ),
    Difference(
        reason="The folder of Python files, and each zip.",
        where=rf"{_PROPERTIES}\.(spark\.kubernetes\.driverEnv|spark\.executorEnv)\.PYTHONPATH",
        stock=ABSENT,
    ),
    Difference(
        reason="The folder of Python files, and each zip.",
        where=rf"{_POD}\.{_SPARKS}\.env\[PYTHONPATH\].*",
        stock=ABSENT,
    ),
    Difference(
        reason="Executors read jars from their own disks, not from the driver.",
        where=rf"{_PROPERTIES}\.spark\.kubernetes\.jars\.avoidDownloadSchemes",
        stock=ABSENT,
        ours="local",
    ),
    Difference(
        reason="One copy less of each file on each executor.",
        where=rf"{_PROPERTIES}\.spark\.files\.useFetchCache",
        stock=ABSENT,
        ours="false",
    ),
    # --- executors get their init container by their template
    Difference(
        reason="Executors get their init container by a template, though the person has none.",
        where=r"ConfigMap/[^:]*-driver-podspec-conf-map",
        stock=ABSENT,
    ),
    Difference(
        reason="The driver finds that template where stock Spark mounts one.",
        where=rf"{_PROPERTIES}\.spark\.kubernetes\.executor\.podTemplateFile",
        stock=ABSENT,
        ours="/opt/spark/pod-template/pod-spec-template.yml",
    ),
    Difference(
        reason="The driver finds that template where stock Spark mounts one.",
        where=rf"{_POD}\.(volumes\[pod-template-volume\]|{_SPARKS}\.volumeMounts\[/opt/spark/pod-template\]).*",
        stock=ABSENT,
    ),
    Difference(
        reason="The init container and its volumes are merged into the person's template of executors.",
        where=r"ConfigMap/[^:]*-driver-podspec-conf-map:data\.podspec-configmap-key\..*(spark-staging|spark-(data|work)|workingDir).*",
        stock=ABSENT,
    ),
)
