"""Dependency URIs, as Spark reads them.

Spark sorts a dependency by its scheme, and so do we:

    none, file:             submitter-local    on the machine of the person who submits
    local:                  container-local    already inside the image or a volume
    all others              remote             https://…, s3a://…, hdfs://…, and staged:///<kind>/<name>

A fragment (`env.tar.gz#env`) names the target.  `text` is the whole URI; `str()` and `repr()` leave out user info and
the query, because both carry credentials (basic authentication, signatures of presigned URLs).
"""

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Self
from urllib.parse import quote, unquote

from staging_protocol.errors import InvalidRequest
from staging_protocol.filenames import FileName

STAGED_SCHEME: Final = "staged"

_URI: Final = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*):)"
    r"(?://(?P<authority>[^/?#]*))?"
    r"(?P<path>[^?#]*)"
    r"(?:\?(?P<query>[^#]*))?"
    r"(?:#(?P<fragment>.*))?"
)  # RFC 3986, appendix B, with the scheme made mandatory
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Of S3 (versions 4 and 2), GCS, Azure, and the usual names of home-made ones.
_SECRET_PARAMETERS: Final = frozenset(
    {"x-amz-signature", "signature", "x-goog-signature", "sig", "token", "access_token", "password", "apikey"}
)
_SUBMITTER_LOCAL_HOSTS: Final = frozenset({"", "localhost"})


class Locality(Enum):
    """Where a dependency lies (Spark's words)."""

    SUBMITTER_LOCAL = "submitter-local"
    CONTAINER_LOCAL = "container-local"
    REMOTE = "remote"


@dataclass(frozen=True, slots=True)
class DependencyUri:
    """One parsed URI or plain path; `scheme` is lower-case and empty for a plain path.

    `path` is as written (percent-encoded for URIs); `authority` is None where the URI has no `//`.
    """

    scheme: str
    authority: str | None
    path: str
    query: str | None = field(default=None, repr=False)
    fragment: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what stands in `--jars` and its like, one entry.

        Raises:
            InvalidRequest: it is empty, has control characters, no path, or names another machine's `file:`.
        """
        if not text.strip() or _CONTROL.search(text):
            msg = f"{text[:80]!r} is not a dependency: it is empty or has control characters"
            raise InvalidRequest(msg)
        match = _URI.fullmatch(text)
        uri = cls._plain(text) if match is None else cls._of_match(match)
        return uri._checked()  # noqa: SLF001 - own class

    @classmethod
    def staged(cls, kind: str, name: FileName) -> Self:
        """Return the URI of a file of the bundle that the manifest belongs to."""
        return cls(scheme=STAGED_SCHEME, authority="", path=f"/{kind}/{quote(name, safe='')}")

    @classmethod
    def _plain(cls, text: str) -> Self:
        path, separator, fragment = text.partition("#")
        return cls(scheme="", authority=None, path=path, fragment=fragment if separator else None)

    @classmethod
    def _of_match(cls, match: re.Match[str]) -> Self:
        parts = match.groupdict()
        return cls(
            scheme=str(parts["scheme"]).lower(),
            authority=parts["authority"],
            path=str(parts["path"]),
            query=parts["query"],
            fragment=parts["fragment"],
        )

    def _checked(self) -> Self:
        if not self.path.strip("/"):
            msg = f"{self} names no file: it has no path"
            raise InvalidRequest(msg)
        if self.scheme == "file" and (self.authority or "") not in _SUBMITTER_LOCAL_HOSTS:
            msg = f"{self} names a file of another machine ({self.authority}); use file:///path"
            raise InvalidRequest(msg)
        return self

    @property
    def locality(self) -> Locality:
        """Which of Spark's three classes the dependency is in."""
        match self.scheme:
            case "" | "file":
                return Locality.SUBMITTER_LOCAL
            case "local":
                return Locality.CONTAINER_LOCAL
            case _:
                return Locality.REMOTE

    @property
    def local_path(self) -> str:
        """The path on a file system, for submitter-local and container-local dependencies."""
        return self.path if not self.scheme else unquote(self.path)

    @property
    def name(self) -> FileName:
        """The last component of the path, decoded once.

        Raises:
            InvalidRequest: the URI ends with a slash or decodes to a name that is not one.
        """
        last = self.path.rsplit("/", maxsplit=1)[-1]
        if not self.scheme:
            return FileName(last)
        try:
            return FileName(unquote(last, errors="strict"))
        except UnicodeDecodeError as error:
            msg = f"{self} does not end with a file name: it is no UTF-8"
            raise InvalidRequest(msg) from error

    @property
    def object_name(self) -> str:
        """All that follows the bucket and a slash, decoded once: the name of an object in a store without folders.

        Raises:
            InvalidRequest: it decodes to no UTF-8.
        """
        try:
            return unquote(self.path.removeprefix("/"), errors="strict")
        except UnicodeDecodeError as error:
            msg = f"{self} names no object: it is no UTF-8"
            raise InvalidRequest(msg) from error

    @property
    def target(self) -> FileName:
        """The name under which the dependency appears in a pod: the fragment, or the file name without one."""
        return FileName(self.fragment) if self.fragment else self.name

    @property
    def has_credentials(self) -> bool:
        """Whether the URI itself carries a secret: user info, or the signature of a presigned URL."""
        names = {part.partition("=")[0].lower() for part in (self.query or "").split("&")}
        return "@" in (self.authority or "") or not names.isdisjoint(_SECRET_PARAMETERS)

    @property
    def text(self) -> str:
        """The whole URI, secrets included: for opening it, never for showing it."""
        return self._written(authority=self.authority, query=self.query, fragment=self.fragment)

    @property
    def without_fragment(self) -> str:
        """The whole URI but for its fragment, which is not sent to anyone (RFC 3986, section 3.5)."""
        return self._written(authority=self.authority, query=self.query, fragment=None)

    def __str__(self) -> str:
        """Return the URI without user info and query, safe for logs and messages."""
        authority = self.authority.rpartition("@")[2] if self.authority else self.authority
        return self._written(authority=authority, query=None, fragment=self.fragment)

    def _written(self, *, authority: str | None, query: str | None, fragment: str | None) -> str:
        scheme = f"{self.scheme}:" if self.scheme else ""
        host = "" if authority is None else f"//{authority}"
        tail = "" if query is None else f"?{query}"
        return f"{scheme}{host}{self.path}{tail}" + ("" if fragment is None else f"#{fragment}")

    def __repr__(self) -> str:
        """Return the redacted URI in angle brackets."""
        return f"<DependencyUri {self}>"
