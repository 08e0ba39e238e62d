"""Which mirror a URI belongs to, and what becomes of it there (pure).

A URI that carries credentials of its own (user info, a signature) belongs to the host that they are for: no mirror is
told.
"""

from collections.abc import Iterable

from staging_protocol.sources import Mirror
from staging_protocol.uris import STAGED_SCHEME, DependencyUri


def mirror_of(uri: DependencyUri, mirrors: Iterable[Mirror]) -> Mirror | None:
    """Return the mirror with the longest prefix of `uri`; None when none fits."""
    if not mirrors or uri.scheme == STAGED_SCHEME or uri.has_credentials:
        return None
    fitting = [mirror for mirror in mirrors if uri.without_fragment.startswith(_whole_host(mirror.prefix))]
    return max(fitting, key=lambda mirror: len(mirror.prefix), default=None)


def moved(text: str, *, prefix: str, to: str) -> str:
    """Return `text`, which begins with `prefix`, with `to` in its place."""
    prefix, to = _whole_host(prefix), _whole_host(to)
    if prefix.endswith("/") and not to.endswith("/"):
        to += "/"
    return to + text.removeprefix(prefix)


def _whole_host(prefix: str) -> str:
    """Return a prefix that does not end within the name of a host: `https://a.example` is no prefix of another host."""
    return prefix if "/" in prefix.partition("://")[2] else f"{prefix}/"
