"""What the init container is told: the environment and mounted files that `pod_contract` describes.

Besides those of the contract:

    SPARK_STAGING_DEADLINE       seconds for everything (default 1800); then the pod fails with exit code 45
    SPARK_STAGING_CONNECTIONS    parts in flight at most (default 16)
    SPARK_STAGING_LOG_LEVEL      DEBUG, INFO (default), WARNING, ERROR
    HTTPS_PROXY, HTTP_PROXY, NO_PROXY    as everywhere, in capitals or not; the staging server is reached directly
    AWS_…                        what AWS' SDKs read, such as AWS_ACCESS_KEY_ID, AWS_REGION, AWS_WEB_IDENTITY_TOKEN_FILE
    GOOGLE_APPLICATION_CREDENTIALS, GCE_METADATA_HOST, STORAGE_EMULATOR_HOST    as Google's libraries read them
    HADOOP_USER_NAME             name that is told to HDFS, where sources.json has none
    SPARK_STAGING_ROOT           a folder before all paths of the contract; for tests, which own no /var
"""

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from staging_io.bearers import TokenFile
from staging_protocol import pod_contract
from staging_protocol.errors import InvalidRequest
from staging_protocol.pod_contract import FilesIn, Role
from staging_protocol.source_files import read_sources
from staging_protocol.sources import SourceSettings
from staging_protocol.tokens import BundleId

ENV_DEADLINE: Final = "SPARK_STAGING_DEADLINE"
ENV_CONNECTIONS: Final = "SPARK_STAGING_CONNECTIONS"
ENV_LOG_LEVEL: Final = "SPARK_STAGING_LOG_LEVEL"
ENV_ROOT: Final = "SPARK_STAGING_ROOT"

E = TypeVar("E", bound=StrEnum)

_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")
_DEADLINE: Final = 1800
_CONNECTIONS: Final = 16
_MAX_CONNECTIONS: Final = 256


class InitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the init container is told.

    Attributes:
        url: base URL of the staging server.
        namespace: namespace of the pod and of the bundle.
        bundle: the bundle to resolve.
        token: opens the bundle; the pod's own token is replaced from time to time.
        role: driver or executor, for reports.
        files_in: where dependencies of kind `file` go.
        pod: name of the pod, for reports.
        sources: how the places are reached that dependencies come from.
        source_secrets: folder of the credentials that `sources` names.
        allow_plain_http: whether the token may travel in clear text to another machine.
        ca_file: authorities to trust besides the system's, if mounted.
        deadline: seconds for everything.
        connections: parts in flight at most.
        proxies: URL of the proxy by scheme.
        no_proxy: hosts that are reached directly.
        environment: everything, for what services define (`HADOOP_USER_NAME`, `GOOGLE_APPLICATION_CREDENTIALS`).
        root: folder before all paths.
    """

    url: str
    namespace: str
    bundle: BundleId
    token: TokenFile
    role: Role
    files_in: FilesIn
    pod: str
    sources: SourceSettings
    source_secrets: Path
    allow_plain_http: bool
    ca_file: str | None
    deadline: float
    connections: int
    proxies: Mapping[str, str]
    no_proxy: tuple[str, ...]
    environment: Mapping[str, str]
    root: Path


def log_level() -> str:
    """Return the level of the logs, from the environment."""
    level = os.environ.get(ENV_LOG_LEVEL, "INFO").upper()  # noqa: TID251 - this is settings.py
    return level if level in _LEVELS else "INFO"


def root() -> Path:
    """Return the folder before all paths, from the environment."""
    return Path(os.environ.get(ENV_ROOT) or "/")  # noqa: TID251 - this is settings.py


def read_settings(environment: Mapping[str, str] | None = None) -> InitSettings:
    """Read the settings from the environment and the mounted files.

    Raises:
        InvalidRequest: something is missing or wrong; all that is missing is named at once.
    """
    env = os.environ if environment is None else environment  # noqa: TID251 - this is settings.py
    missing = [name for name in _REQUIRED if not env.get(name)]
    if missing:
        msg = f"not set: {', '.join(missing)}; spark-staging template writes pods that set them"
        raise InvalidRequest(msg)
    base = Path(env.get(ENV_ROOT) or "/")
    secrets = below(base, pod_contract.SECRET_FOLDER)
    url = _url(env[pod_contract.ENV_URL])
    allow_plain_http = env.get(pod_contract.ENV_ALLOW_PLAIN_HTTP, "").lower() == "true"
    return InitSettings(
        url=url,
        namespace=env[pod_contract.ENV_NAMESPACE],
        bundle=BundleId(env[pod_contract.ENV_BUNDLE]),
        token=_token(secrets / pod_contract.TOKEN_KEY),
        role=_one_of(Role, pod_contract.ENV_ROLE, env.get(pod_contract.ENV_ROLE) or Role.EXECUTOR),
        files_in=_one_of(FilesIn, pod_contract.ENV_FILES_IN, env.get(pod_contract.ENV_FILES_IN) or FilesIn.WORK),
        pod=env.get(pod_contract.ENV_POD) or env.get("HOSTNAME") or "unknown",
        sources=_sources(
            below(base, pod_contract.SETTINGS_FOLDER) / pod_contract.SOURCES_KEY, allow_plain_http=allow_plain_http
        ),
        source_secrets=below(base, pod_contract.SOURCE_SECRETS_FOLDER),
        allow_plain_http=allow_plain_http,
        ca_file=str(secrets / pod_contract.CA_KEY) if (secrets / pod_contract.CA_KEY).is_file() else None,
        deadline=_number(env, ENV_DEADLINE, default=_DEADLINE, most=86_400),
        connections=_number(env, ENV_CONNECTIONS, default=_CONNECTIONS, most=_MAX_CONNECTIONS),
        proxies=_proxies(env),
        no_proxy=(*_list(env.get("NO_PROXY") or env.get("no_proxy")), urlsplit(url).hostname or ""),
        environment=dict(env),
        root=base,
    )


def below(base: Path, path: str) -> Path:
    """Return the absolute `path` of the contract below `base`."""
    return base / path.lstrip("/")


_REQUIRED: Final = (pod_contract.ENV_URL, pod_contract.ENV_NAMESPACE, pod_contract.ENV_BUNDLE)


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        msg = f"{pod_contract.ENV_URL} has to be http(s)://<host>[:<port>], without user info"
        raise InvalidRequest(msg)
    return text


def _token(path: Path) -> TokenFile:
    """Return where the token is; it is read once here, so that what is wrong with the pod is told before anything."""
    token = TokenFile(path)
    try:
        token.current()
    except InvalidRequest as error:
        msg = f"{error.detail}; is the pod's own token mounted, or the bundle's Secret?"
        raise InvalidRequest(msg) from error
    return token


def _sources(path: Path, *, allow_plain_http: bool) -> SourceSettings:
    try:
        given = read_sources(path.read_bytes())
        return msgspec.structs.replace(given, allow_plain_http=given.allow_plain_http or allow_plain_http)
    except FileNotFoundError:
        return SourceSettings(allow_plain_http=allow_plain_http)
    except (OSError, InvalidRequest) as error:
        why = error.detail if isinstance(error, InvalidRequest) else error.strerror
        msg = f"{path} cannot be used: {why}"
        raise InvalidRequest(msg) from error


def _one_of(kind: type[E], name: str, value: str) -> E:
    try:
        return kind(value)
    except ValueError as error:
        msg = f"{name} is {value!r}; it can be {', '.join(kind)}"
        raise InvalidRequest(msg) from error


def _number(env: Mapping[str, str], name: str, *, default: int, most: int) -> int:
    value = env.get(name) or str(default)
    if not value.isdecimal() or not 0 < int(value) <= most:
        msg = f"{name} is {value!r}; it has to be a whole number from 1 to {most}"
        raise InvalidRequest(msg)
    return int(value)


def _proxies(env: Mapping[str, str]) -> dict[str, str]:
    found = {scheme: env.get(f"{scheme.upper()}_PROXY") or env.get(f"{scheme}_proxy") for scheme in ("http", "https")}
    return {scheme: url for scheme, url in found.items() if url}


def _list(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())
