"""Settings of the submission client: flags first, then the environment, then a TOML file.

The file is `$SPARK_STAGING_CONFIG`, or `~/.config/spark-staging/config.toml` (`$XDG_CONFIG_HOME`); its keys are the
field names below, and in the environment a field is `SPARK_STAGING_<FIELD>`.  This module alone reads the environment.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.request import getproxies_environment

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from staging_io.bearers import Bearer, Fixed, TokenFile, secret_of
from staging_protocol.errors import InvalidRequest

PREFIX: Final = "SPARK_STAGING_"
DEFAULT_NAMESPACE: Final = "default"
"""What Spark uses without `spark.kubernetes.namespace`."""

_ENVIRONMENT: Final = os.environ  # noqa: TID251 - the one place that reads it

_OBJECT_NAME: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
"""Name of a Secret or ConfigMap."""


def _words(value: object) -> object:
    """Return what stands between commas, as environment and TOML file write it."""
    return [word.strip() for word in value.split(",")] if isinstance(value, str) else value


class Settings(BaseModel):
    """All settings of `spark-staging`, documented for `docs/settings.md`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: str | None = Field(default=None, description="URL of the staging server, for example http://127.0.0.1:8480.")
    token: SecretStr | None = Field(
        default=None,
        description="Access token. Prefer `token_file`: an environment is inherited by every child process.",
    )
    token_file: Path | None = Field(
        default=None,
        description="File that holds the access token, or a token of Kubernetes for the server's audience, as "
        "projected into a pod; it is read for each request, so it may be replaced. Wins over `token`.",
    )
    service_account: str | None = Field(
        default=None,
        pattern=r"^([a-z0-9-]+/)?[a-z0-9][a-z0-9.-]*$",
        description="Service account to be to a server that knows callers by Kubernetes: `NAME` in the job's "
        "namespace, or `NAMESPACE/NAME`. Tokens of it are made with the identity of the kubeconfig, which needs the "
        "right to create `serviceaccounts/token`. Default: the kubeconfig's own token, where the server takes it.",
    )
    context: str | None = Field(
        default=None, description="Context of the kubeconfig (`KUBECONFIG`, as kubectl). Default: its current one."
    )
    namespace: str | None = Field(
        default=None, description="Kubernetes namespace of bundles and jobs. Default: `default`, as Spark does."
    )
    allow_plain_http: bool = Field(
        default=False,
        description="Send tokens over plain HTTP to other machines, from here and from pods; for trusted networks.",
    )
    sources: Path | None = Field(
        default=None,
        description="`sources.json`: how the places are reached that remote dependencies come from, from here and from "
        "pods. Its relative credential files lie beside it; in pods they are keys of Secrets.",
    )
    sources_config_map: str | None = Field(
        default=None,
        pattern=_OBJECT_NAME,
        description="ConfigMap whose key `sources.json` pods use instead; `sources` still counts here, and says which "
        "Secrets pods mount.",
    )
    init_env_from: Annotated[tuple[Annotated[str, Field(pattern=_OBJECT_NAME)], ...], BeforeValidator(_words)] = Field(
        default=(),
        description="Secrets whose keys become variables of the init container (`AWS_ACCESS_KEY_ID`), with commas "
        "between them; only where there are remote dependencies.",
    )
    ca_file: Path | None = Field(default=None, description="PEM file of authorities trusted besides the system's.")
    pod_url: str | None = Field(
        default=None, description="URL at which pods reach the staging server. Default: what the server says."
    )
    pod_secret: bool = Field(
        default=False,
        description="Give pods a Secret with the bundle token also where the server knows pods by Kubernetes: for pods "
        "of another cluster than the server's.",
    )
    init_image: str | None = Field(
        default=None,
        description="Image of the init container. Default: `spark-staging/init` with the tag of this version.",
    )
    init_cpu_request: str = Field(default="100m", description="CPU that the init container requests.")
    init_memory_request: str = Field(default="64Mi", description="Memory that the init container requests.")
    init_cpu_limit: str = Field(
        default="1", description="CPU limit of the init container; downloads are hashed, which takes CPU."
    )
    init_memory_limit: str = Field(default="128Mi", description="Memory limit of the init container.")
    uploads: int = Field(
        default=8,
        ge=1,
        le=32,
        description="Files that are uploaded at the same time; each takes 1 MiB of memory and a connection.",
    )
    retry_seconds: float = Field(
        default=30.0,
        ge=0,
        description="Seconds for which a request is tried again after a transient failure; 0: never. "
        "A large upload has them anew each time it has advanced.",
    )
    stall_timeout: float = Field(
        default=60.0, gt=0, description="Seconds without a byte after which the server counts as gone."
    )
    cache_folder: Path = Field(
        default_factory=lambda: _xdg("XDG_CACHE_HOME", ".cache") / "spark-staging",
        description="Folder of the digest cache and of the journal of uploads that were interrupted. "
        "Default: `~/.cache/spark-staging`; it may be deleted at any time.",
    )

    def bearer(self) -> Bearer | None:
        """Return the access token of `token_file` or `token`.

        Raises:
            InvalidRequest: the file cannot be read, or what was given is no token. The token is not repeated.
        """
        if self.token_file is not None:
            file = TokenFile(self.token_file)
            file.current()
            return file
        return None if self.token is None else Fixed(secret_of(self.token.get_secret_value()))


def read_settings(flags: Mapping[str, object] | None = None) -> Settings:
    """Return the settings; `flags` that are None were not given.

    Raises:
        InvalidRequest: a value is wrong, or the file cannot be read.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        return Settings.model_validate({**_of_file(), **_of_environment(), **given})
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        msg = f"the settings are not valid (flags, {PREFIX}… or {config_file() or 'no file'}): {wrong}"
        raise InvalidRequest(msg) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{config_file()} is not a readable TOML file: {error}"
        raise InvalidRequest(msg) from error


def config_file() -> Path | None:
    """Return the file of settings, or None when nobody named one and the usual one is not there.

    Raises:
        InvalidRequest: `$SPARK_STAGING_CONFIG` names a file that does not exist.
    """
    named = _ENVIRONMENT.get(f"{PREFIX}CONFIG")
    if named:
        if not Path(named).is_file():
            msg = f"{PREFIX}CONFIG names {named}, which is not a file"
            raise InvalidRequest(msg)
        return Path(named)
    usual = _xdg("XDG_CONFIG_HOME", ".config") / "spark-staging" / "config.toml"
    return usual if usual.is_file() else None


def _of_file() -> dict[str, Any]:
    path = config_file()
    return {} if path is None else tomllib.loads(path.read_text(encoding="utf-8"))


def _of_environment() -> dict[str, str]:
    """Return the fields that the environment sets; an empty variable sets nothing."""
    values = {name: _ENVIRONMENT.get(f"{PREFIX}{name.upper()}", "") for name in Settings.model_fields}
    return {name: value for name, value in values.items() if value}


def kubeconfig() -> str | None:
    """Return the file or files that kubectl reads; None for its usual one."""
    return _ENVIRONMENT.get("KUBECONFIG")


def own_cluster() -> str | None:
    """Return `HOST:PORT` of the API server, as every pod is told it; None outside a pod."""
    host, port = (_ENVIRONMENT.get(f"KUBERNETES_SERVICE_{name}") for name in ("HOST", "PORT"))
    return f"{f'[{host}]' if ':' in host else host}:{port}" if host and port else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What other programs define in the environment and we follow: Spark's variables and proxies.

    Attributes:
        spark_home: Spark's installation.
        spark_conf: folder of `spark-defaults.conf`.
        master: Spark's fallback for `--master`.
        deploy_mode: Spark's fallback for `--deploy-mode`.
        path: where programs are looked up.
        variables: everything, for a child process.
    """

    spark_home: Path | None
    spark_conf: Path | None
    master: str | None
    deploy_mode: str | None
    path: str
    variables: Mapping[str, str]

    @classmethod
    def read(cls) -> "Environment":
        """Return the environment of this process."""
        home, conf = _ENVIRONMENT.get("SPARK_HOME"), _ENVIRONMENT.get("SPARK_CONF_DIR")
        return cls(
            spark_home=Path(home) if home else None,
            spark_conf=Path(conf) if conf else None,
            master=_ENVIRONMENT.get("MASTER"),
            deploy_mode=_ENVIRONMENT.get("DEPLOY_MODE"),
            path=_ENVIRONMENT.get("PATH", os.defpath),
            variables=_without_secrets(_ENVIRONMENT),
        )


def proxies() -> tuple[dict[str, str], tuple[str, ...]]:
    """Return proxies by scheme and the hosts reached without one (`HTTPS_PROXY`, `NO_PROXY`, …)."""
    found = getproxies_environment()
    direct = tuple(host.strip() for host in found.pop("no", "").split(",") if host.strip())
    return {scheme: url for scheme, url in found.items() if scheme in {"http", "https"}}, direct


def environment() -> Mapping[str, str]:
    """Return everything, for what services define (`HADOOP_USER_NAME`, `GOOGLE_APPLICATION_CREDENTIALS`)."""
    return dict(_ENVIRONMENT)


def _without_secrets(variables: Mapping[str, str]) -> dict[str, str]:
    # spark-submit and what it starts have no use for our access token.
    return {name: value for name, value in variables.items() if name != f"{PREFIX}TOKEN"}


def _xdg(variable: str, usual: str) -> Path:
    return Path(_ENVIRONMENT.get(variable) or Path.home() / usual)
