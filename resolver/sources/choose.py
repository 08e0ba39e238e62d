"""Which source a URI belongs to: the one place that knows the schemes.

Sources are made when the first URI of their scheme is met, so an SDK that no entry needs is never imported.
"""

from collections.abc import Callable
from typing import Final

from resolver.sources.base import Source
from staging_protocol.errors import InvalidRequest
from staging_protocol.uris import STAGED_SCHEME, DependencyUri

SCHEMES: Final = frozenset({STAGED_SCHEME, "http", "https"})
"""What this version can download."""


class Sources:
    """The sources of one run."""

    def __init__(self, *, http: Callable[[], Source], staged: Callable[[], Source] | None = None) -> None:
        """Each argument makes its source and is called once at most.

        `staged` is None where the manifest belongs to no bundle (a file given to `resolve` by hand).
        """
        self._http = http
        self._staged = staged
        self._made: dict[str, Source] = {}

    def source_of(self, uri: DependencyUri) -> Source:
        """Return the source of `uri`; called by one thread, before the others start.

        Raises:
            InvalidRequest: no source of this version has that scheme.
        """
        family = "http" if uri.scheme == "https" else uri.scheme
        if family not in self._made:
            self._made[family] = self._make(family, uri)
        return self._made[family]

    def _make(self, family: str, uri: DependencyUri) -> Source:
        match family:
            case "http":
                return self._http()
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
