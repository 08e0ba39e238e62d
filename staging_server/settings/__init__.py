"""The settings of the server: the only place that reads the environment.

Every field is `SPARK_STAGING_SERVER_<NAME>` in the environment, with `__` between a group and its field
(`SPARK_STAGING_SERVER_LIMITS__FILE_SIZE`).
Sizes are bytes and durations seconds, unless a field says otherwise.

Each group has a file.  A new setting is a field of its group; a new group is a file here and a field of `Settings`.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from staging_server.settings.auth import AuthMode, AuthSettings
from staging_server.settings.environment import check_names
from staging_server.settings.group import Group
from staging_server.settings.kubernetes import Connect, KubernetesSettings
from staging_server.settings.limits import LimitSettings
from staging_server.settings.logs import LogSettings
from staging_server.settings.retention import RetentionSettings
from staging_server.settings.storage import StorageSettings
from staging_server.settings.timeouts import TimeoutSettings
from staging_server.settings.tls import TlsSettings

__all__ = [
    "AuthMode", "AuthSettings", "Connect", "KubernetesSettings", "LimitSettings", "LogSettings", "RetentionSettings",
    "Settings", "StorageSettings", "TimeoutSettings", "TlsSettings", "check_environment", "settings_text",
]  # fmt: skip

_PREFIX: Final = "SPARK_STAGING_SERVER_"


class Settings(BaseSettings):
    """All settings of the server."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on.  Anything but loopback needs `auth.mode` other than `none`."""

    port: Annotated[int, Field(ge=0, le=65535)] = 8480
    """TCP port; 0 lets the system choose, for tests."""

    pod_url: str | None = None
    """URL under which pods reach this server (`http://spark-staging.spark-staging:8480`); submitters learn it from
    `/v1/info` and from every create.  Default: the URL of the address that the server listens on."""

    pod_ca_file: Path | None = None
    """PEM file of the authority that pods shall trust for `pod_url`."""

    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that serve one port.  With PostgreSQL each is a full server.  With SQLite, which has one writing
    process, all but the first only answer reads of manifests and files; docs/operating.md says where that gains."""

    auth: AuthSettings = AuthSettings()
    storage: StorageSettings = StorageSettings()
    kubernetes: KubernetesSettings = KubernetesSettings()
    limits: LimitSettings = LimitSettings()
    retention: RetentionSettings = RetentionSettings()
    timeouts: TimeoutSettings = TimeoutSettings()
    logs: LogSettings = LogSettings()
    tls: TlsSettings = TlsSettings()

    @model_validator(mode="after")
    def _fits_together(self) -> "Settings":
        if self.auth.mode is AuthMode.TOKENS and self.auth.tokens_file is None:
            msg = "auth.mode=tokens needs auth.tokens_file"
            raise ValueError(msg)
        if self.auth.mode is AuthMode.KUBERNETES and self.kubernetes.connect is Connect.NO:
            msg = "auth.mode=kubernetes needs kubernetes.connect=in-cluster or kubeconfig"
            raise ValueError(msg)
        if self.auth.api_server_tokens and self.tls.certificate_file is None:
            msg = (
                "auth.api_server_tokens=true needs tls.certificate_file and tls.key_file: who can read the network, or "
                "runs a server in the place of this one, could use such a token at the API server with all its rights"
            )
            raise ValueError(msg)
        if (self.retention.time_to_live or 0) > self.retention.max_time_to_live:
            msg = "retention.time_to_live is larger than retention.max_time_to_live"
            raise ValueError(msg)
        return self


def settings_text(settings: Settings) -> str:
    """Return the settings as JSON, for a process of our own: the secrets are in it."""
    values = settings.model_dump(mode="json")
    url = settings.storage.database_url
    values["storage"]["database_url"] = None if url is None else url.get_secret_value()
    return json.dumps(values)


def check_environment() -> None:
    """Refuse names in the environment that are no settings; raises InvalidRequest as `environment.check_names` does."""
    check_names(os.environ, prefix=_PREFIX, known=frozenset(_names()))  # noqa: TID251 - settings read the environment


def _names() -> Iterator[str]:
    """Yield the names of all settings in the environment, without the prefix; a group alone may be given as JSON."""
    for name, field in Settings.model_fields.items():
        yield name.upper()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Group):
            yield from (f"{name}__{inner}".upper() for inner in field.annotation.model_fields)
