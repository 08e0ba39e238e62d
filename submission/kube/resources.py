"""The kinds of objects that we speak of, and where the API has them.  Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from staging_protocol.errors import InvalidRequest

_NO_NAMES: Final = frozenset({"", ".", ".."})
"""With these a path would lead elsewhere: without its name, `delete` would delete all objects of a namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind of object.

    Attributes:
        api_version: as in objects: `v1`, `networking.k8s.io/v1`.
        kind: as in objects.
        plural: as in paths and rights.
        namespaced: whether objects are in a namespace.
    """

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """The API group, as rights name it; empty for the core."""
        return self.api_version.rpartition("/")[0]

    def path(self, *, namespace: str | None, name: str | None = None, subresource: str = "") -> str:
        """Return the path of an object, or of all of them; `namespace` None means all, or none where there is none.

        Raises:
            InvalidRequest: a name is none.
        """
        parts = ["", "apis" if self.group else "api", self.api_version]
        if self.namespaced and namespace is not None:
            parts += ["namespaces", _segment(namespace, what="namespace")]
        parts.append(self.plural)
        if name is not None:
            parts.append(_segment(name, what=self.kind))
        return "/".join([*parts, subresource] if subresource else parts)

    def words(self, *, namespace: str | None) -> str:
        """Return what errors call them, and where."""
        if not self.namespaced:
            return self.plural
        return f"{self.plural} in {'all namespaces' if namespace is None else f'namespace {namespace}'}"


def resource_of(obj: Mapping[str, Any]) -> Resource:
    """Return the kind of an object.

    Raises:
        InvalidRequest: it has none, or none that is known here.
    """
    key = (obj.get("apiVersion"), obj.get("kind"))
    try:
        return _BY_KIND[key]  # type: ignore[index] # what is no key is not found
    except (KeyError, TypeError):
        msg = f"objects of kind {key[1]} ({key[0]}) are not known here"
        raise InvalidRequest(msg) from None


def _segment(text: str, *, what: str) -> str:
    if text in _NO_NAMES:
        msg = f"{text!r} is no name of a {what}"
        raise InvalidRequest(msg)
    return quote(text, safe="")


_REVIEWS: Final = "authorization.k8s.io/v1"

PODS: Final = Resource(api_version="v1", kind="Pod", plural="pods")
SECRETS: Final = Resource(api_version="v1", kind="Secret", plural="secrets")
SERVICES: Final = Resource(api_version="v1", kind="Service", plural="services")
SERVICE_ACCOUNTS: Final = Resource(api_version="v1", kind="ServiceAccount", plural="serviceaccounts")
CONFIG_MAPS: Final = Resource(api_version="v1", kind="ConfigMap", plural="configmaps")
EVENTS: Final = Resource(api_version="v1", kind="Event", plural="events")
QUOTAS: Final = Resource(api_version="v1", kind="ResourceQuota", plural="resourcequotas")
LIMIT_RANGES: Final = Resource(api_version="v1", kind="LimitRange", plural="limitranges")
PERSISTENT_VOLUME_CLAIMS: Final = Resource(
    api_version="v1", kind="PersistentVolumeClaim", plural="persistentvolumeclaims"
)
NAMESPACES: Final = Resource(api_version="v1", kind="Namespace", plural="namespaces", namespaced=False)
NODES: Final = Resource(api_version="v1", kind="Node", plural="nodes", namespaced=False)
NETWORK_POLICIES: Final = Resource(api_version="networking.k8s.io/v1", kind="NetworkPolicy", plural="networkpolicies")
PRIORITY_CLASSES: Final = Resource(
    api_version="scheduling.k8s.io/v1", kind="PriorityClass", plural="priorityclasses", namespaced=False
)
STORAGE_CLASSES: Final = Resource(
    api_version="storage.k8s.io/v1", kind="StorageClass", plural="storageclasses", namespaced=False
)
POD_GROUPS: Final = Resource(api_version="scheduling.volcano.sh/v1beta1", kind="PodGroup", plural="podgroups")
QUEUES: Final = Resource(api_version="scheduling.volcano.sh/v1beta1", kind="Queue", plural="queues", namespaced=False)
SELF_ACCESS_REVIEWS: Final = Resource(
    api_version=_REVIEWS, kind="SelfSubjectAccessReview", plural="selfsubjectaccessreviews", namespaced=False
)
LOCAL_ACCESS_REVIEWS: Final = Resource(
    api_version=_REVIEWS, kind="LocalSubjectAccessReview", plural="localsubjectaccessreviews"
)
SELF_REVIEWS: Final = Resource(
    api_version="authentication.k8s.io/v1", kind="SelfSubjectReview", plural="selfsubjectreviews", namespaced=False
)
"""Who one is to the cluster; since Kubernetes 1.28."""

_ALL: Final = (
    PODS, SECRETS, SERVICES, SERVICE_ACCOUNTS, CONFIG_MAPS, EVENTS, QUOTAS, LIMIT_RANGES, PERSISTENT_VOLUME_CLAIMS,
    NAMESPACES, NODES, NETWORK_POLICIES, PRIORITY_CLASSES, STORAGE_CLASSES, POD_GROUPS, QUEUES, SELF_ACCESS_REVIEWS,
    LOCAL_ACCESS_REVIEWS, SELF_REVIEWS,
)  # fmt: skip
_BY_KIND: Final[Mapping[tuple[str, str], Resource]] = {(one.api_version, one.kind): one for one in _ALL}
