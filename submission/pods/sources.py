"""What the init container is given to reach the places that remote dependencies come from.  Pure.

    sources.json     an annotation of the pod, as a file by the downward API; or an existing ConfigMap
    credentials      the keys of Secrets that sources.json names, in one projected volume; no other key is mounted
    environment      Secrets whose keys become variables, for what SDKs look for there

No object is made, so none has to be deleted.  Secrets are optional to Kubernetes: a pod without one starts, and its
init container says which file it misses, where it would otherwise wait for ever and say nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from staging_protocol import pod_contract
from staging_protocol.errors import InvalidRequest
from staging_protocol.source_files import secret_keys
from staging_protocol.sources import SourceSettings
from staging_protocol.wire import encode

MAX_ANNOTATIONS: Final = 192 * 1024
"""Bytes of all annotations of a template together, names included.  Kubernetes takes 256 KiB
(`TotalAnnotationSizeLimitB`); Spark, admission and the network of a cluster write annotations into pods, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSources:
    """What one pod is given.

    Attributes:
        text: `sources.json`, which the pod brings along; None: it needs none.
        config_map: an existing ConfigMap that holds it instead.
        secrets: the keys that are mounted, by Secret.
        env_from: Secrets whose keys become variables of the environment.
    """

    text: str | None = None
    config_map: str | None = None
    secrets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    env_from: tuple[str, ...] = ()


NOTHING: Final = PodSources()
"""For pods that fetch from the staging server only."""


def pod_sources(
    settings: SourceSettings, *, config_map: str | None = None, env_from: tuple[str, ...] = ()
) -> PodSources:
    """Return what pods need for `settings`.

    Raises:
        InvalidRequest: a credential file is neither absolute nor a key of a Secret.
    """
    is_told = config_map is None and settings != SourceSettings()
    return PodSources(
        text=encode(settings).decode() if is_told else None,
        config_map=config_map,
        secrets=secret_keys(settings),
        env_from=env_from,
    )


def annotations(sources: PodSources) -> dict[str, str]:
    """Return the annotations that the pod needs."""
    return {} if sources.text is None else {pod_contract.SOURCES_ANNOTATION: sources.text}


def check_annotations(annotations: Mapping[str, Any]) -> None:
    """Refuse annotations that Kubernetes would refuse: ours and the user's count together.

    Raises:
        InvalidRequest: they are too large.
    """
    size = sum(len(str(part).encode()) for item in annotations.items() for part in item)
    if size > MAX_ANNOTATIONS:
        ours = len(str(annotations.get(pod_contract.SOURCES_ANNOTATION, "")).encode())
        msg = (
            f"the annotations of the pod would have {size} bytes, {ours} of them sources.json, of {MAX_ANNOTATIONS} "
            "that leave Kubernetes room for its own; put sources.json into a ConfigMap, named by --sources-config-map"
        )
        raise InvalidRequest(msg)


def volumes(sources: PodSources) -> list[dict[str, Any]]:
    """Return the volumes that the pod needs."""
    found: list[dict[str, Any]] = []
    if (settings := _settings(sources)) is not None:
        found.append({"name": pod_contract.SOURCES_VOLUME, **settings})
    if sources.secrets:
        keys = [_keys(secret, keys) for secret, keys in sources.secrets.items()]
        projected = {"defaultMode": 0o444, "sources": keys}
        found.append({"name": pod_contract.SOURCE_SECRETS_VOLUME, "projected": projected})
    return found


def mounts(sources: PodSources) -> list[dict[str, Any]]:
    """Return where the init container finds them."""
    folders = {
        pod_contract.SOURCES_VOLUME: pod_contract.SETTINGS_FOLDER,
        pod_contract.SOURCE_SECRETS_VOLUME: pod_contract.SOURCE_SECRETS_FOLDER,
    }
    names = [str(volume["name"]) for volume in volumes(sources)]
    return [{"name": name, "mountPath": folders[name], "readOnly": True} for name in names]


def _settings(sources: PodSources) -> dict[str, Any] | None:
    """Return what the volume with sources.json is made of."""
    if sources.config_map is not None:
        item = {"key": pod_contract.SOURCES_KEY, "path": pod_contract.SOURCES_KEY}
        return {"configMap": {"name": sources.config_map, "defaultMode": 0o444, "items": [item]}}
    if sources.text is None:
        return None
    field_path = f"metadata.annotations['{pod_contract.SOURCES_ANNOTATION}']"
    item_of = {"path": pod_contract.SOURCES_KEY, "fieldRef": {"fieldPath": field_path}}
    return {"downwardAPI": {"defaultMode": 0o444, "items": [item_of]}}


def _keys(secret: str, keys: tuple[str, ...]) -> dict[str, Any]:
    items = [{"key": key, "path": f"{secret}/{key}"} for key in keys]
    return {"secret": {"name": secret, "items": items, "optional": True}}
