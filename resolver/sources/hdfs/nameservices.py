"""Which HDFS a URI means: the URLs of its NameNodes, and as whom it is asked.

The port in `hdfs://namenode:8020/path` is that of Hadoop's RPC, which only Java speaks.  Where the same NameNode serves
HTTP is said by `hdfs.nameservices` of sources.json, or else by the hdfs-site.xml that it names.
`webhdfs://` and `swebhdfs://` name that place themselves, unless they name a nameservice.
"""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from resolver.sources.outside import Outside
from staging_protocol.errors import InvalidRequest
from staging_protocol.sources import HdfsNameservice
from staging_protocol.uris import DependencyUri

if TYPE_CHECKING:
    from resolver.sources.hdfs.site import SiteService

_DIRECT: Final = {"webhdfs": ("http", 9870), "swebhdfs": ("https", 9871)}
"""Scheme and port where a URI names none: hdfs-default.xml of Hadoop 3."""


class Nameservice(msgspec.Struct, frozen=True, kw_only=True):
    """One HDFS.

    Attributes:
        name: as URIs call it.
        urls: of its NameNodes, without a slash at the end.
        user: name that is sent, if any and there is no token.
        token_file: delegation token, if any.
        identity: as whom it is asked, in words.
    """

    name: str
    urls: tuple[str, ...]
    user: str | None
    token_file: Path | None
    identity: str


class Nameservices:
    """All that the settings name."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._settings = outside.settings.hdfs

    def of(self, uri: DependencyUri) -> Nameservice:
        """Return the one that `uri` means.

        Raises:
            InvalidRequest: nothing tells where it is; the message says what to set.
        """
        if "@" in (uri.authority or ""):
            msg = f"{uri} names a user, which HDFS does not look at there; set hdfs.user in sources.json"
            raise InvalidRequest(msg)
        name = uri.authority or self._only_one(uri)
        given = self._settings.nameservices.get(name, HdfsNameservice())
        urls = given.urls or self._in_site(name, scheme=uri.scheme) or _direct(uri)
        user, token_file, identity = self._caller(given, name=name)
        return Nameservice(
            name=name, urls=tuple(url.rstrip("/").removesuffix("/webhdfs/v1") for url in urls),
            user=user, token_file=token_file, identity=identity,
        )  # fmt: skip

    @cached_property
    def _site(self) -> "tuple[SiteService, ...]":
        if self._settings.site is None:
            return ()
        from resolver.sources.hdfs.site import read_site

        return read_site(self._outside.secret_file(self._settings.site))

    def _only_one(self, uri: DependencyUri) -> str:
        names = {*self._settings.nameservices, *(service.name or service.rpc[0] for service in self._site)}
        if len(names) != 1:
            found = f"there are {', '.join(sorted(names))}" if names else "there is none"
            msg = f"{uri} names no nameservice, and sources.json does not name exactly one (hdfs.nameservices): {found}"
            raise InvalidRequest(msg)
        return names.pop()

    def _in_site(self, name: str, *, scheme: str) -> tuple[str, ...]:
        for service in self._site:
            if name == service.name or name in service.rpc:
                return service.urls(scheme=scheme)
        return ()

    def _caller(self, given: HdfsNameservice, *, name: str) -> tuple[str | None, Path | None, str]:
        """Return user, token file, and both in words.  What is said of one nameservice hides what is said of all."""
        everywhere = "hdfs", self._settings
        where, says = (f"hdfs.nameservices.{name}", given) if given.user or given.delegation_token else everywhere
        if says.delegation_token:
            path = self._outside.secret_file(says.delegation_token)
            return None, path, f"the delegation token in {path} ({where}.delegation_token of sources.json)"
        if says.user:
            return says.user, None, f"the user {says.user} ({where}.user of sources.json)"
        if user := self._outside.environment.get("HADOOP_USER_NAME"):
            return user, None, f"the user {user} (HADOOP_USER_NAME)"
        return None, None, "nobody (hdfs.user of sources.json is not set)"


def _direct(uri: DependencyUri) -> tuple[str, ...]:
    if uri.scheme not in _DIRECT or not uri.authority:
        msg = (
            f"{uri}: nothing says where {uri.authority or 'its NameNode'} serves WebHDFS (the port in an hdfs URI is "
            "another one); in sources.json set hdfs.nameservices."
            f'{uri.authority or "NAME"}.urls to ["http://NAMENODE:9870"], or hdfs.site to an hdfs-site.xml'
        )
        raise InvalidRequest(msg)
    scheme, port = _DIRECT[uri.scheme]
    has_port = uri.authority.rpartition("]")[2].count(":") > 0
    return (f"{scheme}://{uri.authority}" + ("" if has_port else f":{port}"),)
