"""The way out for tests, whose servers are on loopback."""

from pathlib import Path

from resolver.sources.outside import Outside
from staging_io.http import HttpClient
from staging_protocol.sources import SourceSettings


def outside(http: HttpClient, settings: SourceSettings | None = None, *, secrets: Path | None = None) -> Outside:
    """Return a way out without egress rules."""
    return Outside(http=http, settings=settings or SourceSettings(), secrets=secrets or Path("/nonexistent"))
