"""How a submitter's machine reaches the places that remote dependencies come from."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from resolver.sources.outside import Outside, open_outside
from staging_protocol.errors import InvalidRequest, NotFound
from staging_protocol.source_files import read_sources
from staging_protocol.sources import SourceSettings
from submission.access.connection import http_settings
from submission.settings import Settings, environment


@contextmanager
def outside_of(settings: Settings) -> Iterator[Outside]:
    """Give the way out that `sources.json` describes, and close its connections at the end."""
    outside = open_outside(
        _with_plain_http(source_settings(settings.sources), settings),
        secrets=Path() if settings.sources is None else settings.sources.absolute().parent,
        base=http_settings(settings),
        environment=environment(),
    )
    try:
        yield outside
    finally:
        outside.http.close()


def source_settings(path: Path | None) -> SourceSettings:
    """Return what the file says, or the defaults without one.

    Raises:
        NotFound: there is no such file.
        InvalidRequest: it cannot be read, or says what is not understood.
    """
    if path is None:
        return SourceSettings()
    try:
        return read_sources(path.read_bytes())
    except FileNotFoundError as error:
        msg = f"{path} does not exist; --sources has to name a file"
        raise NotFound(msg) from error
    except (OSError, InvalidRequest) as error:
        why = error.detail if isinstance(error, InvalidRequest) else error.strerror
        msg = f"{path} cannot be used: {why}"
        raise InvalidRequest(msg) from error


def _with_plain_http(sources: SourceSettings, settings: Settings) -> SourceSettings:
    return msgspec.structs.replace(sources, allow_plain_http=sources.allow_plain_http or settings.allow_plain_http)
