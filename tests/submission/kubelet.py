"""What the kubelet does with a pod before it starts an init container, as far as ours has a part in it."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from staging_protocol.pod_contract import INIT_CONTAINER

Objects = Mapping[str, Mapping[str, str]]
"""Secrets or ConfigMaps: the texts of their keys, by name."""

_ANNOTATION: Final = re.compile(r"metadata\.annotations\['(.+)'\]")


def mount(pod: Mapping[str, Any], *, root: Path, secrets: Objects, config_maps: Objects | None = None) -> None:
    """Write the files of the volumes that our init container mounts below `root`."""
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    for item in init_container(pod)["volumeMounts"]:
        folder = root / item["mountPath"].lstrip("/")
        for path, text in _files(volumes[item["name"]], pod=pod, secrets=secrets, config_maps=config_maps or {}):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)


def environment(pod: Mapping[str, Any], *, root: Path, secrets: Objects) -> dict[str, str]:
    """Return the variables of our init container."""
    init = init_container(pod)
    found = {"PATH": os.defpath, "SPARK_STAGING_ROOT": str(root)}
    for one in init.get("envFrom", []):
        found |= secrets[one["secretRef"]["name"]]
    return found | {item["name"]: item.get("value", pod["metadata"].get("name", "pod")) for item in init["env"]}


def init_container(pod: Mapping[str, Any]) -> dict[str, Any]:
    (found,) = (one for one in pod["spec"]["initContainers"] if one["name"] == INIT_CONTAINER)
    return dict(found)


def _files(
    volume: Mapping[str, Any], *, pod: Mapping[str, Any], secrets: Objects, config_maps: Objects
) -> Iterator[tuple[str, str]]:
    if "secret" in volume:
        yield from secrets[volume["secret"]["secretName"]].items()
    for item in volume.get("downwardAPI", {}).get("items", []):
        yield item["path"], _annotation(pod, item["fieldRef"]["fieldPath"])
    for item in volume.get("configMap", {}).get("items", []):
        yield item["path"], config_maps[volume["configMap"]["name"]][item["key"]]
    for source in volume.get("projected", {}).get("sources", []):
        secret = source["secret"]
        for item in secret["items"]:
            held = secrets.get(secret["name"], {}) if secret["optional"] else secrets[secret["name"]]
            if item["key"] in held:
                yield item["path"], held[item["key"]]


def _annotation(pod: Mapping[str, Any], field_path: str) -> str:
    named = _ANNOTATION.fullmatch(field_path)
    assert named is not None
    return str(pod["metadata"]["annotations"][named[1]])
