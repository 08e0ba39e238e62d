"""How the application's name becomes the names of objects.

    prefix    the name and the unique id, in letters that Kubernetes takes: `pi-8a81ea7d25af8638`
    pod       `<prefix>-driver`, unless it is given
    Service   `<prefix>-driver-svc`; `spark-<unique id>-driver-svc` when that is longer than a DNS label may be

Pure.
"""

import re
from dataclasses import dataclass
from typing import Final

from staging_protocol.errors import InvalidRequest
from submission.spark.properties import BLANK

_LABEL_CHARACTERS: Final = 63
"""Of a DNS label (RFC 1123), hence of a Service's name and of a label's value."""
_NAME_CHARACTERS: Final = 253
"""Of a DNS subdomain, hence of a pod's name."""
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_CONF_MAP: Final = "-conf-map"
_DRIVER: Final = "-driver"


@dataclass(frozen=True, slots=True)
class Names:
    """Names of a job's objects.

    Attributes:
        prefix: what most of them begin with.
        unique_id: what makes them unique.
        pod: of the driver.
    """

    prefix: str
    unique_id: str
    pod: str

    @property
    def service(self) -> str:
        """Name of the driver's Service, which is the driver's host name for executors."""
        preferred = f"{self.prefix}-driver-svc"
        return preferred if len(preferred) <= _LABEL_CHARACTERS else f"spark-{self.unique_id}-driver-svc"

    @property
    def conf_map(self) -> str:
        """Name of the ConfigMap with `spark.properties`."""
        return f"spark-drv-{self.unique_id}"[: _NAME_CHARACTERS - len(_CONF_MAP)] + _CONF_MAP

    def of(self, suffix: str) -> str:
        """Return the name of another object."""
        return f"{self.prefix}-{suffix}"


def names_of(application: str, *, unique_id: str, pod: str | None) -> Names:
    """Return the names of a job; `pod` is `spark.kubernetes.driver.pod.name`.

    Raises:
        InvalidRequest: Kubernetes takes no pod of that name.
    """
    prefix = resource_prefix(application, unique_id=unique_id)
    name = f"{prefix}{_DRIVER}" if pod is None else pod
    if len(name) > _NAME_CHARACTERS:
        msg = (
            f"the driver's pod would be called {name[:40]}…, with {len(name)} characters; Kubernetes takes "
            f"{_NAME_CHARACTERS}: give a shorter --name, or spark.kubernetes.driver.pod.name"
        )
        raise InvalidRequest(msg)
    if not _NAME.fullmatch(name):
        msg = (
            f"spark.kubernetes.driver.pod.name={name} is no name of a pod; "
            "it is made of lower-case letters, digits, '-' and '.', and begins and ends with a letter or digit"
        )
        raise InvalidRequest(msg)
    return Names(prefix, unique_id, name)


def resource_prefix(application: str, *, unique_id: str) -> str:
    """Return what names begin with (`KubernetesConf.getResourceNamePrefix`)."""
    name = _readable(f"{application}-{unique_id}")
    return re.sub(r"^[0-9]", "x", re.sub(r"^-", "", name))


def application_label(application: str) -> str:
    """Return the label `spark-app-name` (`KubernetesConf.getAppNameLabel`)."""
    return _readable(application)[:_LABEL_CHARACTERS].removeprefix("-").removesuffix("-")


def _readable(text: str) -> str:
    return re.sub(r"-+", "-", re.sub(r"[^a-z0-9-]", "-", text.strip(BLANK).lower()))
