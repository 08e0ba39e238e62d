"""Pod templates: the user's are read, ours are merged in, for the driver (in cluster mode) and the executors."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from staging_protocol.api.info import PodEndpoint
from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest, NotFound, RefusedByPolicy
from staging_protocol.pod_contract import FilesIn, Role
from staging_protocol.tokens import BundleId
from staging_protocol.uris import DependencyUri, Locality
from submission.pods.merge import Template
from submission.pods.patch import InitResources, PodBundle, patched, python_path_of
from submission.pods.sources import NOTHING, PodSources, pod_sources
from submission.readiness.outside import source_settings
from submission.settings import Settings
from submission.spark.conf import DRIVER_PYTHON_PATH, EXECUTOR_PYTHON_PATH, Delivery
from submission.staging.stage import Staged

DRY_BUNDLE: Final = BundleId("dryrun" + "a" * 20)
"""Stands for a bundle that is not there yet."""

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

    def merged(self, bundle: PodBundle, *, files_in: FilesIn) -> Template:
        """Return the template with what pods need for the bundle."""
        return patched(self.content, bundle=bundle, role=self.role, files_in=files_in, container=self.container)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arranged:
    """How dependencies reach Spark, and the templates of pods that have them."""

    delivery: Delivery
    templates: Mapping[Role, Template]


def arranged(
    roles: Iterable[Role],
    *,
    properties: Mapping[str, str],
    pods: PodBundle,
    deliver: Callable[[Mapping[str, str]], Delivery],
) -> Arranged:
    """Merge the user's templates with ours.

    Args:
        roles: whose pods are made from templates.
        properties: in force; they name the user's templates.
        pods: what pods have to know.
        deliver: says how dependencies reach Spark, given the properties with what the templates say.
    """
    own = {role: own_template(role, properties=properties) for role in roles}
    for template in own.values():
        properties = template.with_python_path(properties)
    delivery = deliver(properties)
    files_in = {Role.DRIVER: delivery.driver_files_in, Role.EXECUTOR: FilesIn.WORK}
    templates = {role: template.merged(pods, files_in=files_in[role]) for role, template in own.items()}
    return Arranged(delivery=delivery, templates=templates)


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


def written(templates: Mapping[Role, Template], *, into: Path) -> dict[Role, str]:
    """Write templates into a folder and return their paths."""
    return {role: str(_written(pod, into / f"{role}.yaml")) for role, pod in templates.items()}


def _written(pod: Template, path: Path) -> Path:
    import yaml

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
        image=settings.init_image or _usual_image(),
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


def _usual_image() -> str:
    from importlib.metadata import version  # 20 ms, for those who name no image

    return f"spark-staging/init:{version('spark-staging')}"


def pods_of(staged: Staged, *, settings: Settings) -> PodBundle:
    """Return what pods have to know of a bundle that was just staged."""
    return pod_bundle(
        staged.id,
        namespace=staged.namespace,
        pods=staged.pods,
        manifest_digest=staged.manifest_digest,
        remote=bool(staged.classified.remote),
        settings=settings,
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
        msg = f"the {role} template {file} is not a Pod; expected kind: Pod with a spec"
        raise InvalidRequest(msg)
    return content
