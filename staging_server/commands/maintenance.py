"""`sweep`, `migrate` and `check`: what operators do beside the server."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from staging_protocol.api.operators import NewSweep, Sweep
from staging_protocol.counted import counted
from staging_protocol.errors import ExitCode, InvalidRequest
from staging_protocol.tokens import Token
from staging_protocol.wire import encode
from staging_server.commands.frame import FOLDER, OUTPUT, plain_errors, settings_of
from staging_server.sizes import human_size
from staging_server.tenants import Caller

if TYPE_CHECKING:
    from staging_server.settings import Settings


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@FOLDER
@click.option("--url", help="Let the server at this URL sweep, instead of this process.")
@click.option("--token-file", type=click.Path(path_type=Path), help="File with an access token that may operate.")
@OUTPUT
def sweep(*, dry_run: bool, folder: Path | None, url: str | None, token_file: Path | None, output: str) -> None:
    """End what has expired and remove unused blobs, once.

    With --url the running server does it, which is the way while one runs: SQLite has one writing process.
    Without, this process opens the data folder itself; what Kubernetes knows is then unknown to it, and keeps.
    A dry run changes nothing.
    """
    import asyncio

    from staging_server.logs import configured

    # What it tells is its output; the log is for what goes wrong, and does not get between.
    with plain_errors(), configured(level="warning", plain=True):
        if url is not None:
            done = _sweep_there(url, token_file, dry_run=dry_run)
        else:
            done = asyncio.run(_sweep_here(settings_of(folder=folder), dry_run=dry_run))
        if output == "json":
            click.echo(encode(done).decode())
        else:
            _show(done)


def _sweep_there(url: str, token_file: Path | None, *, dry_run: bool) -> Sweep:
    from staging_io.http import HttpClient
    from staging_io.staging import StagingClient

    token = None if token_file is None else Token.parse(_read(token_file))
    http = HttpClient()
    try:
        return StagingClient(url=url, token=token, http=http).sweep(NewSweep(dry_run=dry_run))
    finally:
        http.close()


async def _sweep_here(settings: "Settings", *, dry_run: bool) -> Sweep:
    from staging_server.parts import foresee, open_server_parts

    if dry_run:
        return await foresee(settings)
    async with open_server_parts(settings) as parts:
        return await parts.sweeper.sweep(dry_run=dry_run, caller=Caller(name="command"))


def _show(done: Sweep) -> None:
    would = "would end" if done.dry_run else "ended"
    for bundle in done.bundles:
        click.echo(f"{would} {bundle.id} {bundle.namespace}/{bundle.application}: {bundle.reason}")
    gone = "would remove" if done.dry_run else "removed"
    for blob in done.blobs:
        click.echo(f"{gone} {blob.digest}, {human_size(blob.size)}: {blob.reason}")
    bundles, blobs = counted(len(done.bundles), "bundle"), counted(len(done.blobs), "blob")
    click.echo(f"{would} {bundles}, {gone} {blobs}, {human_size(done.freed)}")


@click.command()
@FOLDER
def migrate(folder: Path | None) -> None:
    """Bring the database up to date; `serve` does this at its start as well."""
    import asyncio

    with plain_errors():
        asyncio.run(_migrate(settings_of(folder=folder)))
        click.echo("the database is up to date")


async def _migrate(settings: "Settings") -> None:
    from staging_server.metadata.store import open_metadata

    if settings.storage.database_url is None:
        settings.storage.folder.mkdir(parents=True, exist_ok=True)
    async with open_metadata(settings.storage):
        return


@click.command()
@FOLDER
def check(folder: Path | None) -> None:
    """Look at settings, folder, database, tokens and free space without changing anything.

    Prints one line for each: ok, or what to fix.  Exit code 2 when there is something to fix.
    """
    from staging_server.checks import run_checks

    with plain_errors():
        findings = list(run_checks(settings_of(folder=folder)))
    for finding in findings:
        click.echo(f"{'ok ' if finding.fix is None else 'FIX'} {finding.name}: {finding.text}" + _fix(finding.fix))
    if any(finding.fix is not None for finding in findings):
        sys.exit(ExitCode.USAGE)


def _fix(fix: str | None) -> str:
    return "" if fix is None else f": {fix}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read: {error}"
        raise InvalidRequest(msg) from error
