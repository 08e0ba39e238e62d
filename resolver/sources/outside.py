"""What all sources share: one way out with one policy for TLS, proxies, time-outs and egress, settings, secrets."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

import msgspec

from resolver.policy import EgressPolicy
from staging_io.exchange import ClientPair, authority_of
from staging_io.http import HttpClient, HttpSettings
from staging_protocol.errors import InvalidRequest
from staging_protocol.sources import SourceSettings

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Outside(msgspec.Struct, frozen=True, kw_only=True):
    """The world as sources may see it.

    Attributes:
        http: every request of every source goes this way (the SDKs' own ones for credentials do not).
        settings: `sources.json`, or its defaults.
        secrets: the folder in which relative credential files lie.
        connection: how `http` reaches other machines, without rules of egress: for what asks for credentials.
        environment: the program's environment, for the conventions of services (`HADOOP_USER_NAME`).
        policy: which dependencies may be fetched; None: all.
    """

    http: HttpClient
    settings: SourceSettings
    secrets: Path
    connection: HttpSettings = HttpSettings()
    environment: Mapping[str, str] = _NOTHING
    policy: EgressPolicy | None = None

    def secret_file(self, name: str) -> Path:
        """Return where the credential file `name` of the settings lies."""
        return self.secrets / name

    def secret(self, name: str) -> str:
        """Return what the credential file `name` of the settings holds now, without white space around it.

        Raises:
            InvalidRequest: it cannot be read, or holds nothing.
        """
        path = self.secret_file(name)
        try:
            text = path.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            msg = f"the credential file {path} cannot be read: {why}"
            raise InvalidRequest(msg) from error
        if not text:
            msg = f"the credential file {path} is empty"
            raise InvalidRequest(msg)
        return text


def open_outside(
    settings: SourceSettings, *, secrets: Path, base: HttpSettings, environment: Mapping[str, str] = _NOTHING
) -> Outside:
    """Return the way out; `base` is how this program reaches other machines when the settings do not say it.

    Raises:
        InvalidRequest: the settings hold a network or host that is none.
    """
    connection = _connection(settings, secrets=secrets, base=base)
    policy = EgressPolicy(settings, environment=environment)
    return Outside(
        http=HttpClient(msgspec.structs.replace(connection, admission=policy)),
        settings=settings, secrets=secrets, connection=connection, environment=environment, policy=policy,
    )  # fmt: skip


def _connection(settings: SourceSettings, *, secrets: Path, base: HttpSettings) -> HttpSettings:
    given = settings.connection
    return msgspec.structs.replace(
        base,
        connect_timeout=given.connect_timeout,
        stall_timeout=given.stall_timeout,
        ca_file=base.ca_file if given.ca_file is None else str(secrets / given.ca_file),
        proxies=base.proxies if given.proxies is None else given.proxies,
        no_proxy=base.no_proxy if given.no_proxy is None else given.no_proxy,
        client_pairs={
            named_authority(name): ClientPair(
                certificate=str(secrets / host.client_certificate),
                key=None if host.client_key is None else str(secrets / host.client_key),
            )
            for name, host in settings.http.hosts.items()
            if host.client_certificate is not None
        },
    )


def named_authority(host: str) -> str:
    """Return host and port that a key of `http.hosts` stands for.

    Raises:
        InvalidRequest: it is no host.
    """
    try:
        url = urlsplit(f"https://{host}")
        if url.netloc == host and [host] == host.split() and url.hostname and "@" not in host and url.port != 0:
            return authority_of(url)
    except ValueError:
        pass
    msg = f"{host!r} in http.hosts of sources.json is no host; write `host`, or `host:port`"
    raise InvalidRequest(msg)
