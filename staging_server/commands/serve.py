"""`serve`: the server, until somebody ends it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from staging_server.commands.frame import FOLDER, plain_errors, settings_of
from staging_server.log_format import LogFormat

if TYPE_CHECKING:
    from staging_server.serving import RunningServer
    from staging_server.settings import Settings


@click.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="TCP port; 0 lets the system choose.")
@FOLDER
@click.option("--tokens-file", type=click.Path(path_type=Path), help="File of access tokens; sets auth.mode=tokens.")
@click.option(
    "--log-format",
    type=click.Choice([form.value for form in LogFormat]),
    help="How log lines look; on a terminal: console.",
)
def serve(
    host: str | None, port: int | None, folder: Path | None, tokens_file: Path | None, log_format: str | None
) -> None:
    """Run the server until SIGTERM or Ctrl-C; a second signal hurries."""
    import asyncio

    from staging_server.logs import configured
    from staging_server.serving import serve as run_server

    with plain_errors():
        settings = settings_of(host=host, port=port, folder=folder, tokens_file=tokens_file, log_format=log_format)
        plain = settings.logs.format is LogFormat.CONSOLE or (log_format is None and sys.stderr.isatty())
        with configured(level=settings.logs.level, plain=plain):
            asyncio.run(run_server(settings, started=lambda server: _say_started(server, settings)))


def _say_started(server: "RunningServer", settings: "Settings") -> None:
    import structlog

    from staging_server.version import VERSION

    structlog.get_logger("server").info(
        "listening", url=server.url, auth_mode=str(settings.auth.mode), folder=str(settings.storage.folder.absolute()),
        version=VERSION,
    )  # fmt: skip
