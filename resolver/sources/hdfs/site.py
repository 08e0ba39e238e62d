"""`hdfs-site.xml`: which nameservices there are, and where their NameNodes serve HTTP.

It is read as data: a document type, which entities would need, is refused, and nothing is included.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from xml.parsers import expat

import msgspec

from staging_protocol.errors import InvalidRequest

_VARIABLE: Final = re.compile(r"\$\{([^}$\s]+)\}")
_MAX_VARIABLES: Final = 20
"""Variables inside variables that are looked up, as in Hadoop's own Configuration."""

_MAX_SIZE: Final = 4 * 1024 * 1024
"""Bytes that are read; what is longer is cut, and then no XML any more."""

_UNSPECIFIED: Final = frozenset({"0.0.0.0", "[::]"})  # noqa: S104 - it is where a NameNode listens, not we


class SiteService(msgspec.Struct, frozen=True, kw_only=True):
    """One HDFS of the file: its nameservice, if it has a name, and its NameNodes, whose addresses are `host:port`.

    The addresses stand in the file's order, and are empty where it does not name one.
    """

    name: str | None
    rpc: tuple[str, ...]
    http: tuple[str, ...]
    https: tuple[str, ...]
    prefers_https: bool

    def urls(self, *, scheme: str) -> tuple[str, ...]:
        """Return the URLs of its NameNodes for a URI's scheme."""
        with_tls = scheme == "swebhdfs" or (scheme == "hdfs" and self.prefers_https)
        kind, addresses = ("https", self.https) if with_tls else ("http", self.http)
        return tuple(
            f"{kind}://{_reachable(address, rpc=rpc)}"
            for address, rpc in zip(addresses, self.rpc, strict=True)
            if address
        )


def read_site(path: Path) -> tuple[SiteService, ...]:
    """Return the services that the file names.

    Raises:
        InvalidRequest: it cannot be read, or is not a configuration of Hadoop.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_SIZE)
    except OSError as error:
        msg = f"the hdfs-site.xml {path} cannot be read: {error.strerror}"
        raise InvalidRequest(msg) from error
    try:
        return services_of(properties_of(data))
    except InvalidRequest as error:
        msg = f"the hdfs-site.xml {path} cannot be used: {error.detail}"
        raise InvalidRequest(msg) from error


def properties_of(data: bytes) -> dict[str, str]:
    """Return the properties of a configuration file of Hadoop; of two with one name the last one counts."""
    reading = _Reading()
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = reading.refuse
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.text
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        msg = f"it is not XML: {error}"
        raise InvalidRequest(msg) from error
    return reading.properties


def services_of(properties: dict[str, str]) -> tuple[SiteService, ...]:
    """Return the services that properties describe (hdfs-default.xml tells what each property means)."""
    found = _Properties(properties)
    policy = found.value("dfs.http.policy") or "HTTP_ONLY"
    services = []
    for name in found.split("dfs.nameservices") or (None,):
        ids = found.split(f"dfs.ha.namenodes.{name}")
        nodes = [f".{name}.{node}" for node in ids] or ["" if name is None else f".{name}"]
        services.append(
            SiteService(
                name=name,
                rpc=found.values("dfs.namenode.rpc-address", nodes),
                http=found.values("dfs.namenode.http-address", nodes),
                https=found.values("dfs.namenode.https-address", nodes),
                prefers_https=policy != "HTTP_ONLY",
            )
        )
    return tuple(service for service in services if any((*service.rpc, *service.http, *service.https)))


class _Properties:
    def __init__(self, raw: dict[str, str]) -> None:
        self._raw = raw

    def value(self, name: str) -> str:
        value = self._raw.get(name, "")
        for _ in range(_MAX_VARIABLES):
            if (match := _VARIABLE.search(value)) is None:
                return value
            if match[1] not in self._raw:
                break
            value = value[: match.start()] + self._raw[match[1]] + value[match.end() :]
        msg = f"{name} has a variable that the file does not set"
        raise InvalidRequest(msg)

    def split(self, name: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.value(name).split(",") if part.strip())

    def values(self, name: str, suffixes: Sequence[str]) -> tuple[str, ...]:
        return tuple(self.value(f"{name}{suffix}") for suffix in suffixes)


class _Reading:
    """Collects `<property>` elements while the parser reads."""

    def __init__(self) -> None:
        self.properties: dict[str, str] = {}
        self._fields: dict[str, str] = {}
        self._open: list[str] = []

    def refuse(self, *_declaration: object) -> None:
        msg = "it has a document type, which is not read"
        raise InvalidRequest(msg)

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        self._open.append(name)
        if name == "property":
            self._fields = {}

    def text(self, data: str) -> None:
        field = self._open[-1]
        self._fields[field] = self._fields.get(field, "") + data

    def end(self, name: str) -> None:
        self._open.pop()
        if name == "property" and (key := self._fields.get("name", "").strip()):
            self.properties[key] = self._fields.get("value", "").strip()


def _reachable(address: str, *, rpc: str) -> str:
    """A NameNode that listens on every address is where its RPC is, as Hadoop's own clients take it."""
    host, _, port = address.rpartition(":")
    return f"{rpc.rpartition(':')[0]}:{port}" if host in _UNSPECIFIED and rpc else address
