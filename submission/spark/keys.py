"""Every `spark.kubernetes.*` key of stock Spark, and what happens to it here.

The table is that of Spark 4.3.0's `Config` object, with the families of keys whose names go on as the person likes.  A
key that is not in it reaches the driver like any other, unless it looks like one that is mistyped.  Pure.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from staging_protocol.errors import InvalidRequest
from submission.spark.conf import SparkVersion

PREFIX: Final = "spark.kubernetes."
_ALIKE: Final = 0.85
"""How much of a mistyped key is right; of keys of other products, as operators have them, less is equal to ours."""


class Treatment(StrEnum):
    """What happens to a key when `spark-staging submit` sends a job in cluster mode."""

    OBJECTS = "decides what is created"
    CLIENT = "acted on by the client"
    DRIVER = "read by the driver"
    UNNEEDED = "not needed"


@dataclass(frozen=True, slots=True)
class Key:
    """One key, or with `is_family` all that begin with it.

    Attributes:
        name: without `spark.kubernetes.`.
        since: first version of Spark that knows it.
        treatment: what happens to it.
        default: as Spark has it; empty: none.
        about: what there is to add.
        is_family: whether names go on after it.
        ends: how they may go on; empty: as the person likes.
    """

    name: str
    since: str
    treatment: Treatment
    default: str = ""
    about: str = ""
    is_family: bool = False
    ends: frozenset[str] = frozenset()

    @property
    def full(self) -> str:
        """The key as it is written."""
        return f"{PREFIX}{self.name}"

    def begins(self, name: str) -> bool:
        """Whether it is the family of a key."""
        return name.startswith(self.full) and (not self.ends or name.removeprefix(self.full) in self.ends)


_O, _C, _D, _U = Treatment  # in the order of the class
_STEPS: Final = (
    "Java classes that run in spark-submit; VolcanoFeatureStep is known here, others are refused: `spark-staging run` "
    "sends such a job"
)

KEYS: Final = (
    Key("allocation.batch.delay", "2.3.0", _D, "1s"),
    Key("allocation.batch.size", "2.3.0", _D, "20"),
    Key("allocation.driver.readinessTimeout", "3.1.3", _D, "1s"),
    Key("allocation.executor.timeout", "3.1.0", _D, "600s"),
    Key("allocation.maxPendingPods", "3.2.0", _D, "2147483647"),
    Key("allocation.maxPendingPodsPerRp", "4.1.0", _D, "2147483647"),
    Key("allocation.maximum", "4.1.0", _D, "2147483647"),
    Key("allocation.pods.allocator", "3.3.0", _D, "direct"),
    Key("allocation.recoveryMode.enabled", "4.2.0", _D),
    Key("appKillPodDeletionGracePeriod", "3.0.0", _C, "", "counts for `kill` and `submit --kill`"),
    Key("authenticate.driver.serviceAccountName", "2.3.0", _O, "", "its presence is checked before anything is made"),
    Key("authenticate.executor.serviceAccountName", "3.1.0", _D, "", "that of the driver without it"),
    Key("configMap.maxSize", "3.1.0", _O, "1048576", "files of SPARK_CONF_DIR beyond it are left out, as by Spark"),
    Key("container.image", "2.3.0", _O, "", "required; its tag tells the version of Spark where nothing else does"),
    Key("container.image.pullPolicy", "2.3.0", _O, "IfNotPresent"),
    Key("container.image.pullSecrets", "2.4.0", _O),
    Key("context", "3.0.0", _C, "", "context of the kubeconfig; `--context` wins"),
    Key("decommission.script", "3.2.0", _D, "/opt/decom.sh"),
    Key("driver.annotateExitException", "4.1.0", _D, "false"),
    Key("driver.connectionTimeout", "3.0.0", _D, "10000"),
    Key("driver.container.image", "2.3.0", _O, "that of `container.image`"),
    Key("driver.limit.cores", "2.3.0", _O, "", "must not be less than `driver.request.cores`"),
    Key("driver.master", "3.0.0", _D, "https://kubernetes.default.svc"),
    Key("driver.ownPersistentVolumeClaim", "3.2.0", _D, "true"),
    Key("driver.pod.excludedFeatureSteps", "4.1.0", _O, "", "Spark's own classes but BasicDriverFeatureStep"),
    Key("driver.pod.featureSteps", "3.2.0", _O, "", _STEPS),
    Key("driver.pod.name", "2.3.0", _O, "", "a name that is taken is said before anything is made"),
    Key("driver.podTemplateContainerName", "3.0.0", _O),
    Key("driver.podTemplateFile", "3.0.0", _O, "", "on this machine only; our init container is merged into it"),
    Key("driver.request.cores", "3.0.0", _O, "that of `spark.driver.cores`"),
    Key("driver.requestTimeout", "3.0.0", _D, "10000"),
    Key("driver.resourceNamePrefix", "3.0.0", _O, "", "internal to Spark"),
    Key("driver.reusePersistentVolumeClaim", "3.2.0", _D, "true"),
    Key("driver.scheduler.name", "3.3.0", _O),
    Key("driver.securityContext.allowPrivilegeEscalation", "4.3.0", _O, "that of `securityContext.…`"),
    Key("driver.service.deleteOnTermination", "3.2.0", _D, "true"),
    Key("driver.service.ipFamilies", "3.4.0", _O, "IPv4"),
    Key("driver.service.ipFamilyPolicy", "3.4.0", _O, "SingleStack"),
    Key("driver.service.publishNotReadyAddresses", "4.3.0", _O, "false"),
    Key("driver.waitToReusePersistentVolumeClaim", "3.4.0", _D, "false"),
    Key("dynamicAllocation.deleteGracePeriod", "3.0.0", _D, "5s"),
    Key("executor.apiPollingInterval", "2.4.0", _D, "30s"),
    Key("executor.checkAllContainers", "3.1.0", _D, "true"),
    Key("executor.container.image", "2.3.0", _D, "that of `container.image`"),
    Key("executor.decommissionLabel", "3.3.0", _D),
    Key("executor.decommissionLabelValue", "3.3.0", _D),
    Key("executor.deleteOnTermination", "3.0.0", _D, "true"),
    Key("executor.deletedExecutorsCacheTimeout", "4.1.0", _D, "180000ms"),
    Key("executor.disableConfigMap", "3.2.0", _D, "false"),
    Key("executor.enableApiPolling", "3.4.0", _D, "true"),
    Key("executor.enableApiWatcher", "3.4.0", _D, "true"),
    Key("executor.enablePollingWithResourceVersion", "3.3.0", _D, "false"),
    Key("executor.eventProcessingInterval", "2.4.0", _D, "1s"),
    Key("executor.limit.cores", "2.3.0", _D, "", "must not be less than `executor.request.cores`"),
    Key("executor.minTasksPerExecutorBeforeRolling", "3.3.0", _D, "0"),
    Key("executor.missingPodDetectDelta", "3.1.1", _D, "30s"),
    Key("executor.pod.excludedFeatureSteps", "4.1.0", _D),
    Key("executor.pod.featureSteps", "3.2.0", _D, "", "classes of the driver's image"),
    Key("executor.podDeletionCost", "4.2.0", _D),
    Key("executor.podNamePrefix", "2.3.0", _O, "", "at most 47 characters, as names of hosts are written"),
    Key("executor.podTemplateContainerName", "3.0.0", _O, "", "our init container is merged around that container"),
    Key("executor.podTemplateFile", "3.0.0", _O, "", "on this machine only; our init container is merged into it"),
    Key("executor.pvc.resizeFactor", "4.2.0", _D, "1.0"),
    Key("executor.pvc.resizeInterval", "4.2.0", _D, "300000ms"),
    Key("executor.pvc.resizeThreshold", "4.2.0", _D, "0.5"),
    Key("executor.request.cores", "2.4.0", _D, "that of `spark.executor.cores`"),
    Key("executor.resizeFactor", "4.2.0", _D, "0.1"),
    Key("executor.resizeInterval", "4.2.0", _D, "1m"),
    Key("executor.resizeThreshold", "4.2.0", _D, "0.9"),
    Key("executor.rollInterval", "3.3.0", _D, "0ms"),
    Key("executor.rollPolicy", "3.3.0", _D, "OUTLIER"),
    Key("executor.scheduler.name", "3.0.0", _D),
    Key("executor.securityContext.allowPrivilegeEscalation", "4.3.0", _D, "that of `securityContext.…`"),
    Key("executor.terminationGracePeriodSeconds", "4.1.0", _D, "30s"),
    Key("executor.useDriverPodIP", "4.1.0", _D, "true"),
    Key("executorSnapshotsSubscribersShutdownGracePeriod", "3.4.0", _D, "20s"),
    Key("file.upload.path", "3.0.0", _U, "", "local dependencies are staged"),
    Key("hadoop.configMapName", "3.0.0", _O, "", "not together with HADOOP_CONF_DIR"),
    Key("jars.avoidDownloadSchemes", "4.0.0", _D, "", "`local` is added, so that executors read their own disks"),
    Key("kerberos.krb5.configMapName", "3.0.0", _O, "", "not together with `kerberos.krb5.path`"),
    Key("kerberos.krb5.path", "3.0.0", _O),
    Key("kerberos.tokenSecret.itemKey", "3.0.0", _O, "", "together with `kerberos.tokenSecret.name`"),
    Key("kerberos.tokenSecret.name", "3.0.0", _O, "", "together with `kerberos.tokenSecret.itemKey`"),
    Key("legacy.useReadWriteOnceAccessMode", "3.4.3", _O, "false"),
    Key("local.dirs.tmpfs", "3.0.0", _O, "false"),
    Key("memoryOverheadFactor", "2.4.0", _O, "0.1", "`spark.driver.memoryOverheadFactor` wins"),
    Key("namespace", "2.3.0", _C, "default", "of all objects and of the bundle; `-n` must say the same"),
    Key("report.interval", "2.3.0", _U, "1s", "every change of state is told when it happens"),
    Key("resource.type", "2.4.1", _O, "", "set by the kind of the main resource, as Spark does"),
    Key("scheduler.name", "3.3.0", _O),
    Key("securityContext.allowPrivilegeEscalation", "4.3.0", _O, "false"),
    Key("submission.connectionTimeout", "3.0.0", _U, "10000", "our own client has its own time-outs"),
    Key("submission.requestTimeout", "3.0.0", _U, "10000", "our own client has its own time-outs"),
    Key("submission.waitAppCompletion", "2.3.0", _C, "true", "`false` is `--detach`"),
    Key("submitInDriver", "2.4.0", _O, "false", "internal to Spark; true in the driver, whatever is given"),
    Key("trust.certificates", "3.2.0", _C, "false", "the certificate of the API server is not checked: only for tests"),
)  # fmt: skip

_CREDENTIALS: Final = frozenset({"caCertFile", "clientKeyFile", "clientCertFile", "oauthToken", "oauthTokenFile"})

FAMILIES: Final = (
    *(Key(f"driver.{name}.", since, _O, is_family=True, about=about) for name, since, about in (
        ("label", "2.3.0", ""),
        ("annotation", "2.3.0", ""),
        ("secrets", "2.3.0", "name of a Secret to the path where it is mounted"),
        ("secretKeyRef", "2.4.0", "variable to `SECRET:KEY`"),
        ("volumes", "2.4.0", "`TYPE.NAME.mount.…`, `.options.…`, `.label.…`, `.annotation.…`"),
        ("node.selector", "3.3.0", ""),
        ("service.label", "3.4.0", ""),
        ("service.annotation", "3.0.0", ""),
    )),
    *(Key(f"executor.{name}.", since, _D, is_family=True, about="of executors, which the driver makes")
      for name, since in (("label", "2.3.0"), ("annotation", "2.3.0"), ("secrets", "2.3.0"),
                          ("secretKeyRef", "2.4.0"), ("volumes", "2.4.0"), ("node.selector", "3.3.0"))),
    Key("driverEnv.", "2.3.0", _O, is_family=True, about="PYTHONPATH gets our folders before the given ones"),
    Key("node.selector.", "2.3.0", _O, is_family=True, about="of driver and executors"),
    *(Key(f"authenticate.{name}", "2.3.0", treatment, is_family=True, ends=_CREDENTIALS, about=about)
      for name, treatment, about in (
        ("submission.", _C, "wins over the kubeconfig; with `--master` none is needed"),
        ("driver.mounted.", _O, "paths in the driver's pod"),
        ("driver.", _O, "files of this machine, which the driver gets in a Secret"),
        ("executor.", _D, ""),
        ("", _D, "in client mode only"),
    )),
    Key("scheduler.volcano.", "3.3.0", _O, is_family=True, about="podGroupTemplateFile, with VolcanoFeatureStep"),
)  # fmt: skip

_KNOWN: Final = {key.full: key for key in KEYS}


def key_of(name: str) -> Key | None:
    """Return the row of the table that a key belongs to; the longest family counts."""
    families = (family for family in FAMILIES if family.begins(name))
    return _KNOWN.get(name) or max(families, key=lambda family: len(family.name), default=None)


def refuse_mistyped(properties: Mapping[str, str]) -> None:
    """Refuse `spark.kubernetes.*` keys that are nearly one of Spark's.

    Raises:
        InvalidRequest: with the key that was meant.
    """
    for name in sorted(properties):
        meant = _meant(name) if name.startswith(PREFIX) and key_of(name) is None else None
        if meant is not None:
            msg = f"{name} is no key of Spark; did you mean {meant}?"
            raise InvalidRequest(msg)


def review(properties: Mapping[str, str], *, spark: SparkVersion) -> tuple[str, ...]:
    """Return what there is to say about the `spark.kubernetes.*` keys of a job."""
    return tuple(note for name in sorted(properties) if name.startswith(PREFIX) for note in _notes(name, spark=spark))


def _notes(name: str, *, spark: SparkVersion) -> Iterator[str]:
    key = key_of(name)
    if key is None:
        yield f"{name} is not known here; it is passed on to the driver"
    elif _version(key.since) > spark:
        yield f"{name} has no effect: Spark knows it from {key.since} on, and this is {spark}"
    elif key.treatment is Treatment.UNNEEDED:
        yield f"{name} has no effect here: {key.about}"


def _version(text: str) -> SparkVersion:
    major, minor, *_ = text.split(".")
    return SparkVersion(int(major), int(minor))


def _meant(name: str) -> str | None:
    """Return the key that `name` nearly is; a family is compared with as many words of it."""
    given = name.removeprefix(PREFIX)
    close = difflib.get_close_matches(given, [key.name for key in KEYS], n=1, cutoff=_ALIKE)
    if close:
        return f"{PREFIX}{close[0]}"
    for family in FAMILIES:
        words = family.name.count(".")
        start, rest = ".".join(given.split(".")[:words]), given.split(".")[words:]
        if rest and difflib.SequenceMatcher(None, f"{start}.", family.name).ratio() >= _ALIKE:
            return f"{family.full}{'.'.join(rest)}"
    return None
