"""Which source a URI belongs to: the one place that knows the schemes.

Sources are made when the first URI of their scheme is met, so what no entry needs is never imported.
"""

from collections.abc import Callable
from typing import Final

from resolver.mirrors import mirror_of
from resolver.sources.base import Source
from resolver.sources.outside import Outside
from staging_protocol.errors import InvalidRequest
from staging_protocol.sources import Mirror
from staging_protocol.uris import STAGED_SCHEME, DependencyUri

_FAMILIES: Final = {
    STAGED_SCHEME: "staged",
    "http": "http", "https": "http",
    "s3": "s3", "s3a": "s3", "s3n": "s3",
    "gs": "gcs",
    "hdfs": "hdfs", "webhdfs": "hdfs", "swebhdfs": "hdfs",
}  # fmt: skip

SCHEMES: Final = frozenset(_FAMILIES)
"""What can be downloaded."""


class Sources:
    """The sources of one run."""

    def __init__(self, outside: Outside, *, staged: Callable[[], Source] | None = None) -> None:
        """Take the way out, and what makes the source of the bundle that the manifest belongs to, if it has one."""
        self._outside = outside
        self._staged = staged
        self._made: dict[str, Source] = {}

    def source_of(self, uri: DependencyUri) -> Source:
        """Return the source of `uri`; called by one thread, before the others start.

        Raises:
            InvalidRequest: no source of this version has that scheme.
            RefusedByPolicy: the rules of egress do not let it be fetched.
        """
        mirror = mirror_of(uri, self._outside.settings.mirrors)
        if mirror is not None:
            return self._mirrored(mirror)
        if self._outside.policy is not None:
            self._outside.policy.check_uri(uri)
        return self._plain(uri)

    def check_uri(self, uri: DependencyUri) -> None:
        """Raise RefusedByPolicy when `uri` may not be fetched; nothing is asked for it."""
        self.source_of(uri)

    def _mirrored(self, mirror: Mirror) -> Source:
        if mirror.prefix not in self._made:
            from resolver.sources.mirrored import MirroredSource, admitted_targets

            targets = admitted_targets(mirror, policy=self._outside.policy)
            self._made[mirror.prefix] = MirroredSource(mirror, [(text, self._plain(uri)) for text, uri in targets])
        return self._made[mirror.prefix]

    def _plain(self, uri: DependencyUri) -> Source:
        family = _FAMILIES.get(uri.scheme)
        if family is None:
            raise unsupported(uri)
        if family not in self._made:
            self._made[family] = self._make(family, uri)
        return self._made[family]

    def _make(self, family: str, uri: DependencyUri) -> Source:
        match family:
            case "http":
                from resolver.sources.http import HttpSource

                return HttpSource(self._outside)
            case "s3":
                from resolver.sources.s3.source import S3Source

                return S3Source(self._outside)
            case "gcs":
                from resolver.sources.gcs.source import GcsSource

                return GcsSource(self._outside)
            case "hdfs":
                from resolver.sources.hdfs.source import HdfsSource

                return HdfsSource(self._outside)
            case "staged" if self._staged is not None:
                return self._staged()
            case "staged":
                msg = f"{uri} belongs to a bundle; without the bundle's server and token it cannot be read"
                raise InvalidRequest(msg)
            case _:
                raise unsupported(uri)


def unsupported(uri: DependencyUri) -> InvalidRequest:
    """Return the error for a URI whose scheme has no source."""
    known = ", ".join(sorted(SCHEMES))
    return InvalidRequest(f"{uri}: the scheme {uri.scheme!r} is not supported by this version (it has {known})")
