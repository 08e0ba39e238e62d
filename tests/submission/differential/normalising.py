"""Objects of one submission without what is different each time, so that two submissions can be compared.

Names, ids, times and places become words in angle brackets; lists whose order means nothing are sorted; what the API
server fills in is taken away; a ConfigMap's properties and YAML are read.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from submission.spark.properties import parse_properties

Objects = dict[str, Any]
"""By kind and name."""

_IDS: Final = (
    (re.compile(r"(?<![0-9a-f])[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f])"), "<uid>"),
    (re.compile(r"spark-[0-9a-f]{32}"), "<application-id>"),
    # Spark writes x for a digit with which a name would begin.
    (re.compile(r"(?<![0-9a-fx])[0-9a-fx][0-9a-f]{15}(?![0-9a-f])"), "<unique>"),
)
_TIMES: Final = {"spark.app.submitTime": "<time>"}

_FILLED_IN: Final = frozenset({
    "metadata.uid", "metadata.resourceVersion", "metadata.creationTimestamp", "metadata.managedFields",
    "metadata.generation", "metadata.namespace", "status", "spec.priority", "spec.preemptionPolicy",
    "spec.clusterIPs", "spec.serviceAccount", "spec.ipFamilies", "spec.ipFamilyPolicy",
})  # fmt: skip
"""What the API server decides, or writes a second time, or takes away when it is too old (families of addresses)."""

_OLD_SECCOMP: Final = re.compile(r"metadata\.annotations\.(container\.)?seccomp\.security\.alpha\.kubernetes\.io/.*")
"""What API servers before 1.25 write besides the profile."""

_DEFAULT_TOLERATIONS: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_CONTAINER: Final = r"spec\.(?:initContainers|containers)\[\]"
_DEFAULTS: Final[Sequence[tuple[str, Any]]] = (
    (r"spec\.dnsPolicy", "ClusterFirst"),
    (r"spec\.enableServiceLinks", True),
    (r"spec\.schedulerName", "default-scheduler"),
    (r"spec\.securityContext", {}),
    (r"spec\.terminationGracePeriodSeconds", 30),
    (r"spec\.automountServiceAccountToken", True),
    (rf"{_CONTAINER}\.imagePullPolicy", "IfNotPresent"),
    (rf"{_CONTAINER}\.resources", {}),
    (rf"{_CONTAINER}\.terminationMessagePath", "/dev/termination-log"),
    (rf"{_CONTAINER}\.terminationMessagePolicy", "File"),
    (rf"{_CONTAINER}\.ports\[\]\.protocol", "TCP"),
    (rf"{_CONTAINER}\.env\[\]\.valueFrom\.fieldRef\.apiVersion", "v1"),
    (rf"{_CONTAINER}\.env\[\]\.value", ""),
    (rf"{_CONTAINER}\.volumeMounts\[\]\.readOnly", False),
    (r"spec\.volumes\[\]\.(configMap|secret|projected)\.defaultMode", 420),
    (r"spec\.volumes\[\]\.hostPath\.type", ""),
    (r"spec\.volumes\[\]\.(nfs|persistentVolumeClaim)\.readOnly", False),
    (r"spec\.internalTrafficPolicy", "Cluster"),
    (r"spec\.publishNotReadyAddresses", False),
    (r"spec\.sessionAffinity", "None"),
    (r"spec\.type", "ClusterIP"),
    (r"spec\.ports\[\]\.protocol", "TCP"),
    (r"spec\.policyTypes", ["Ingress"]),
    (r"spec\.volumeMode", "Filesystem"),
    (r"spec\.ingress\[\]\.from\[\]\.podSelector", {}),
    (r"metadata\.ownerReferences", []),
    (r"metadata\.finalizers", ["kubernetes.io/pvc-protection"]),
    (r"type", "Opaque"),
)
"""What stands in an object that does not say it, by the path in it."""

_KEYED: Final = ("mountPath", "name", "key")
"""What tells the entries of a list apart, in this order."""
_UNORDERED: Final = re.compile(
    r"spec\.(initContainers|containers|volumes|imagePullSecrets|ports|tolerations)"
    r"(\[\]\.(env|volumeMounts|ports|(configMap|secret)\.items))?"
)


@dataclass(frozen=True, kw_only=True)
class Places:
    """What is different from run to run, by the word that stands for it."""

    words: Mapping[str, str]

    def without(self, text: str) -> str:
        """Return `text` with the words instead."""
        for place, word in sorted(self.words.items(), key=lambda item: -len(item[0])):
            text = text.replace(place, word)
        for pattern, word in _IDS:
            text = pattern.sub(word, text)
        return text


def normalised(objects: Sequence[Mapping[str, Any]], *, places: Places) -> Objects:
    """Return `objects` by kind and name, in the order of these."""
    result = {}
    for one in objects:
        clean = _clean(_read_texts(dict(one)), path="", places=places)
        name = clean["metadata"].pop("name")
        result[f"{clean['kind']}/{name}"] = clean
    return dict(sorted(result.items()))


def _read_texts(one: dict[str, Any]) -> dict[str, Any]:
    """Return a ConfigMap with properties and templates as what they say."""
    if one["kind"] != "ConfigMap":
        return one
    data = dict(one.get("data") or {})
    for key, text in data.items():
        if key == "spark.properties":
            data[key] = {**parse_properties(text), **{name: _TIMES[name] for name in _TIMES if name in text}}
        elif key == "podspec-configmap-key":
            data[key] = yaml.safe_load(text)
    return {**one, "data": data}


def _clean(value: Any, *, path: str, places: Places) -> Any:
    if isinstance(value, str):
        return places.without(value)
    if isinstance(value, Mapping):
        items = {places.without(key): (f"{path}.{key}".lstrip("."), one) for key, one in value.items()}
        inner = {key: _clean(one, path=at, places=places) for key, (at, one) in items.items() if at not in _FILLED_IN}
        kept = {key: one for key, one in inner.items() if one is not None and not _is_default(items[key][0], one)}
        return dict(sorted(_without_repetitions(kept, path=path).items()))
    if isinstance(value, Sequence):
        entries = [_clean(one, path=f"{path}[]", places=places) for one in value]
        if path == "spec.tolerations":
            entries = [one for one in entries if one.get("key") not in _DEFAULT_TOLERATIONS]
        return sorted(entries, key=_sort_key(path)) if _UNORDERED.fullmatch(path) else entries
    return value


def _without_repetitions(value: dict[str, Any], *, path: str) -> dict[str, Any]:
    """Return a value without what the API server adds because something else is there."""
    if path.endswith(".ports[]") and value.get("hostPort") == value.get("containerPort"):
        return {key: one for key, one in value.items() if key != "hostPort"}
    if not path.endswith(".resources"):
        return value
    limits, requests = value.get("limits", {}), value.get("requests", {})
    kept = {name: amount for name, amount in requests.items() if limits.get(name) != amount}
    return {**({"limits": limits} if limits else {}), **({"requests": kept} if kept else {})}


def _is_default(path: str, value: Any) -> bool:
    if _OLD_SECCOMP.fullmatch(path) or (path == "spec.tolerations" and value == []):
        return True
    return any(value == default and re.fullmatch(pattern, path) for pattern, default in _DEFAULTS)


def _sort_key(path: str) -> Callable[[Any], str]:
    return lambda entry: f"{identity(entry) or ''} {yaml.safe_dump(entry)}" if path else ""


def identity(entry: Any) -> str | None:
    """Return what tells an entry of a list from others of it."""
    if isinstance(entry, Mapping):
        for key in _KEYED:
            if key in entry:
                return str(entry[key])
    return None
