"""What all commands share: settings with the command line above the environment, and errors in one plain line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from staging_protocol.errors import ExitCode, InvalidRequest, StagingError

if TYPE_CHECKING:
    from staging_server.settings import Settings

FOLDER: Final = click.option("--folder", type=click.Path(path_type=Path), help="Folder for data.")

OUTPUT: Final = click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True, help="How to print."
)


def settings_of(
    *,
    host: str | None = None,
    port: int | None = None,
    folder: Path | None = None,
    workers: int | None = None,
    tokens_file: Path | None = None,
    log_format: str | None = None,
) -> "Settings":
    """Return the settings, with what the command line says above the environment.

    Raises:
        InvalidRequest: one of them cannot be, or the environment names one that does not exist.
    """
    from pydantic import ValidationError

    from staging_server.settings import Settings, check_environment

    check_environment()
    given = {"host": host, "port": port, "workers": workers}
    flags: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if folder is not None:
        flags["storage"] = {"folder": folder}
    if tokens_file is not None:
        flags["auth"] = {"mode": "tokens", "tokens_file": tokens_file}
    if log_format is not None:
        flags["logs"] = {"format": log_format}
    try:
        return Settings(**flags)
    except ValidationError as error:
        # Inputs are left out: one of them may be the password of the database.
        raise InvalidRequest("; ".join(_setting_error(found) for found in error.errors(include_input=False))) from error


def _setting_error(found: Any) -> str:
    path = ".".join(map(str, found["loc"]))
    return f"setting {path}: {found['msg']}" if path else str(found["msg"])


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn our errors into one line and an exit code."""
    try:
        yield
    except StagingError as error:
        _end(error.detail, error.exit_code)
    except OSError as error:
        _end(f"{error.filename or 'the system'}: {error.strerror or error}", ExitCode.USAGE)


def _end(message: str, code: int) -> NoReturn:
    click.echo(f"spark-staging-server: {message}", err=True)
    sys.exit(code)
