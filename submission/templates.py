"""Pod templates on disk: the user's are read, ours are written, for the driver (in cluster mode) and the executors."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from staging_protocol.api.info import PodEndpoint
from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest, NotFound, RefusedByPolicy
from staging_protocol.pod_contract import FilesIn, Role
from staging_protocol.tokens import BundleId
from staging_protocol.uris import DependencyUri, Locality
from submission.outside import source_settings
from submission.pod_merge import Template
from submission.pod_patch import InitResources, PodBundle, patched, python_path_of
from submission.pod_sources import NOTHING, PodSources, pod_sources
from submission.settings import Settings
from submission.spark_conf import DRIVER_PYTHON_PATH, EXECUTOR_PYTHON_PATH

_PYTHON_PATHS = {Role.DRIVER: DRIVER_PYTHON_PATH, Role.EXECUTOR: EXECUTOR_PYTHON_PATH}


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTemplate:
    """The user's template of one role, if there is one, and the name of Spark's container in it."""

    role: Role
    content: Template | None
    container: str | None

    def with_python_path(self, properties: Mapping[str, str]) -> dict[str, str]:
        """Return `properties` with the template's PYTHONPATH, which our property would otherwise hide."""
        path = python_path_of(self.content, role=self.role, container=self.container)
        return {**({} if path is None else {_PYTHON_PATHS[self.role]: path}), **properties}


def own_template(role: Role, *, properties: Mapping[str, str]) -> OwnTemplate:
    """Return the template that `properties` name.

    Raises:
        NotFound, InvalidRequest: it cannot be read as a pod.
    """
    file = properties.get(f"spark.kubernetes.{role}.podTemplateFile")
    return OwnTemplate(
        role=role,
        content=None if not file else _read(file, role=role),
        container=properties.get(f"spark.kubernetes.{role}.podTemplateContainerName"),
    )


def write_template(folder: Path, *, own: OwnTemplate, bundle: PodBundle, files_in: FilesIn) -> Path:
    """Write the template of one role into `folder` and return its path."""
    import yaml

    pod = patched(own.content, bundle=bundle, role=own.role, files_in=files_in, container=own.container)
    path = folder / f"{own.role}.yaml"
    try:
        path.write_text(yaml.safe_dump(pod, sort_keys=False), encoding="utf-8")
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}"
        raise InvalidRequest(msg) from error
    return path.absolute()


def pod_bundle(
    bundle: BundleId, *, namespace: str, pods: PodEndpoint, manifest_digest: Digest, remote: bool, settings: Settings
) -> PodBundle:
    """Return what pods have to know; `pods` is what the server states, `remote` whether they fetch from elsewhere.

    Raises:
        RefusedByPolicy: pods would refuse to send their token to that URL.
        NotFound, InvalidRequest: `sources.json` cannot be used.
    """
    url = settings.pod_url or pods.url
    if url.startswith("http://") and not settings.allow_plain_http and not is_loopback(url):
        msg = (
            f"pods would send their token in clear text to {url}; let the server use https, "
            "or set SPARK_STAGING_ALLOW_PLAIN_HTTP=true in a network that you trust"
        )
        raise RefusedByPolicy(msg)
    return PodBundle(
        id=bundle,
        namespace=namespace,
        url=url,
        manifest_digest=manifest_digest,
        image=settings.init_image or f"spark-staging/init:{version('spark-staging')}",
        allow_plain_http=settings.allow_plain_http and url.startswith("http://"),
        token_audience=None if settings.pod_secret else pods.token_audience,
        ca=pods.ca,
        sources=_pod_sources(settings) if remote else NOTHING,
        resources=InitResources(
            cpu_request=settings.init_cpu_request,
            memory_request=settings.init_memory_request,
            cpu_limit=settings.init_cpu_limit,
            memory_limit=settings.init_memory_limit,
        ),
    )


def _pod_sources(settings: Settings) -> PodSources:
    return pod_sources(
        source_settings(settings.sources), config_map=settings.sources_config_map, env_from=settings.init_env_from
    )


def is_loopback(url: str) -> bool:
    """Whether `url` names the machine itself, which in a pod is the pod."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read(file: str, *, role: Role) -> Template:
    import yaml

    uri = DependencyUri.parse(file)
    if uri.locality is not Locality.SUBMITTER_LOCAL:
        msg = f"the {role} template {uri} is not on this machine; copy it here, so that it can be merged"
        raise InvalidRequest(msg)
    try:
        content: Any = yaml.safe_load(Path(uri.local_path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = f"the {role} template {file} does not exist"
        raise NotFound(msg) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        msg = f"the {role} template {file} cannot be read: {error}"
        raise InvalidRequest(msg) from error
    if not isinstance(content, dict):
        msg = f"the {role} template {file} is not a Pod"
        raise InvalidRequest(msg)
    return content
