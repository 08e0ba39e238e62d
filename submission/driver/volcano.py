"""Volcano's PodGroup, by which that scheduler starts a job as a whole (`VolcanoFeatureStep`).  Pure."""

import json
from copy import deepcopy
from typing import Any, Final

from staging_protocol.errors import InvalidRequest
from submission.driver.building import Building
from submission.driver.job import KubeObject

TEMPLATE: Final = "spark.kubernetes.scheduler.volcano.podGroupTemplateFile"

_JSON: Final = "spark.kubernetes.scheduler.volcano.podGroupTemplateJson"
_EXAMPLE: Final = 'for example {"spec": {"queue": "default", "minMember": 1}}'


def volcano(building: Building) -> Building:
    """Add the group, and put the driver into it; executors follow by the same step in the driver.

    Raises:
        InvalidRequest: the template is no object.
    """
    group = deepcopy(building.job.pod_group) if building.job.pod_group is not None else _from_json(building)
    name = f"{building.job.application_id}-podgroup"
    own = group.get("metadata") or {}
    made = {
        "apiVersion": "scheduling.volcano.sh/v1beta1",
        "kind": "PodGroup",
        **group,
        "metadata": {**own, "name": name, "namespace": building.job.namespace},
        "spec": group.get("spec") or {},
    }
    return building.with_annotations({"scheduling.k8s.io/group-name": name}).with_before(made)


def _from_json(building: Building) -> KubeObject:
    text = building.job.properties.get(_JSON)
    if text is None:
        return {}
    try:
        found: Any = json.loads(text)
    except ValueError as error:
        msg = f"{_JSON} is no JSON: {error}; expected a PodGroup, {_EXAMPLE}"
        raise InvalidRequest(msg) from error
    if not isinstance(found, dict):
        msg = f"{_JSON} is {text[:40]!r}; expected a PodGroup, {_EXAMPLE}"
        raise InvalidRequest(msg)
    return found
