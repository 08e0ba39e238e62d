"""`serve`: the server, until somebody ends it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that serve the port; 1 by default.")
@click.option("--tokens-file", type=click.Path(path_type=Path), help="File of access tokens; sets auth.mode=tokens.")
@click.option(
    "--log-format",
    type=click.Choice([form.value for form in LogFormat]),
    help="How log lines look; on a terminal: console.",
)
def serve(**options: Any) -> None:
    """Run the server until SIGTERM or Ctrl-C; a second signal hurries."""
    from staging_server.logs import configured

    with plain_errors():
        settings = settings_of(**options)
        if options["log_format"] is None and sys.stderr.isatty():
            console = settings.logs.model_copy(update={"format": LogFormat.CONSOLE})
            settings = settings.model_copy(update={"logs": console})
        with (
            _metrics_of(settings),
            configured(level=settings.logs.level, plain=settings.logs.format is LogFormat.CONSOLE),
        ):
            _run(settings)


@contextmanager
def _metrics_of(settings: "Settings") -> Iterator[None]:
    """Make room for the numbers of all workers, if there are some; before anything imports prometheus-client."""
    from staging_server.metrics.folder import metrics_folder
    from staging_server.settings.prometheus import share_metrics

    if settings.workers == 1:
        share_metrics(None)
        yield
        return
    with metrics_folder(settings.storage.folder) as folder:
        share_metrics(folder)
        yield


def _run(settings: "Settings") -> None:
    import asyncio

    from staging_server.process_memory import share_arenas
    from staging_server.serving import serve as run_server

    share_arenas()
    asyncio.run(run_server(settings, started=lambda server: _say_started(server, settings)))


def _say_started(server: "RunningServer", settings: "Settings") -> None:
    import structlog

    from staging_server.version import VERSION

    structlog.get_logger("server").info(
        "listening", url=server.url, auth_mode=str(settings.auth.mode), folder=str(settings.storage.folder.absolute()),
        workers=settings.workers, version=VERSION,
    )  # fmt: skip
