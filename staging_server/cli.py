"""The command `spark-staging-server`: serve, sweep, migrate, check, and the file of access tokens.

Servers, databases and HTTP are imported by the commands that need them: `tokens` and `--help` answer at once.

Exit codes: 0 done; 2 usage, settings, or a start that cannot succeed; else that of the error.  An error is one plain
line on standard error, without a traceback.
"""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click
import structlog
from pydantic import ValidationError

from staging_protocol.api import NewSweep, Sweep
from staging_protocol.errors import ExitCode, InvalidRequest, StagingError
from staging_protocol.tokens import Token, TokenKind
from staging_server.access_tokens import AccessToken, Verb, add_token, read_tokens, remove_token
from staging_server.logs import configured
from staging_server.namespaces import checked_namespace
from staging_server.settings import LogFormat, Settings
from staging_server.sizes import human_size
from staging_server.tenants import Caller
from staging_server.version import VERSION

if TYPE_CHECKING:
    from staging_server.serving import RunningServer

_log: Final = structlog.get_logger("server")
_ALL_VERBS: Final = tuple(Verb)
_SUBMITTER: Final = (Verb.CREATE, Verb.GET, Verb.LIST, Verb.DELETE)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="spark-staging-server")
def main() -> None:
    """Keep bundles of dependencies for Spark jobs, and serve them to their pods.

    Every setting can be given in the environment as SPARK_STAGING_SERVER_<GROUP>__<NAME>; docs/settings.md lists them.
    """


@main.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="TCP port; 0 lets the system choose.")
@click.option("--folder", type=click.Path(path_type=Path), help="Folder for data.")
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
    from staging_server.serving import serve as run_server

    with _plain_errors():
        settings = _settings(host=host, port=port, folder=folder, tokens_file=tokens_file, log_format=log_format)
        plain = settings.logs.format is LogFormat.CONSOLE or (log_format is None and sys.stderr.isatty())
        with configured(level=settings.logs.level, plain=plain):
            asyncio.run(run_server(settings, started=lambda server: _say_started(server, settings)))


def _say_started(server: "RunningServer", settings: Settings) -> None:
    _log.info(
        "listening", url=server.url, auth_mode=str(settings.auth.mode), folder=str(settings.storage.folder.absolute()),
        version=VERSION,
    )  # fmt: skip


@main.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--folder", type=click.Path(path_type=Path), help="Folder for data.")
@click.option("--url", help="Let the server at this URL sweep, instead of this process.")
@click.option("--token-file", type=click.Path(path_type=Path), help="File with an access token that may operate.")
def sweep(*, dry_run: bool, folder: Path | None, url: str | None, token_file: Path | None) -> None:
    """End what has expired and remove unused blobs, once.

    With --url the running server does it, which is the way while one runs: SQLite has one writing process.
    Without, this process opens the data folder itself.
    """
    with _plain_errors():
        if url is not None:
            done = _sweep_there(url, token_file, dry_run=dry_run)
        else:
            done = asyncio.run(_sweep_here(_settings(folder=folder), dry_run=dry_run))
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


async def _sweep_here(settings: Settings, *, dry_run: bool) -> Sweep:
    from staging_server.parts import open_server_parts

    async with open_server_parts(settings) as parts:
        return await parts.sweeper.sweep(dry_run=dry_run, caller=Caller(name="command"))


def _show(done: Sweep) -> None:
    would = "would end" if done.dry_run else "ended"
    for bundle in done.bundles:
        click.echo(f"{would} {bundle.id} {bundle.namespace}/{bundle.application}: {bundle.reason}")
    gone = "would remove" if done.dry_run else "removed"
    click.echo(f"{would} {len(done.bundles)} bundles, {gone} {len(done.blobs)} blobs, {human_size(done.freed)}")


@main.command()
@click.option("--folder", type=click.Path(path_type=Path), help="Folder for data.")
def migrate(folder: Path | None) -> None:
    """Bring the database up to date; `serve` does this at its start as well."""
    with _plain_errors():
        asyncio.run(_migrate(_settings(folder=folder)))
        click.echo("the database is up to date")


async def _migrate(settings: Settings) -> None:
    from staging_server.metadata.store import open_metadata

    if settings.storage.database_url is None:
        settings.storage.folder.mkdir(parents=True, exist_ok=True)
    async with open_metadata(settings.storage):
        return


@main.command()
@click.option("--folder", type=click.Path(path_type=Path), help="Folder for data.")
def check(folder: Path | None) -> None:
    """Look at settings, folder, database, tokens and free space without changing anything.

    Prints one line for each: ok, or what to fix.  Exit code 2 when there is something to fix.
    """
    from staging_server.checks import run_checks

    with _plain_errors():
        findings = list(run_checks(_settings(folder=folder)))
    for finding in findings:
        click.echo(f"{'ok ' if finding.fix is None else 'FIX'} {finding.name}: {finding.text}" + _fix(finding.fix))
    if any(finding.fix is not None for finding in findings):
        sys.exit(ExitCode.USAGE)


def _fix(fix: str | None) -> str:
    return "" if fix is None else f": {fix}"


@main.group()
def tokens() -> None:
    """Make, list and revoke access tokens; a running server notices within seconds."""


_FILE: Final = click.option(
    "--file", "path", type=click.Path(path_type=Path), help="The file of tokens; default: auth.tokens_file."
)


@tokens.command("create")
@_FILE
@click.option("--name", required=True, help="Whose token it is, for people.")
@click.option("--namespace", "namespaces", multiple=True, help="A namespace, or * for all; repeat for more.")
@click.option(
    "--verb",
    "verbs",
    multiple=True,
    type=click.Choice([verb.value for verb in Verb]),
    help="What it may do; repeat for more.",
)
@click.option("--operator", is_flag=True, help="All verbs in all namespaces.")
@click.option("--days", type=click.IntRange(1, 3650), help="Days until it expires; default: never.")
def create_token(
    *, path: Path | None, name: str, namespaces: tuple[str, ...], verbs: tuple[str, ...], operator: bool,
    days: int | None,
) -> None:  # fmt: skip
    """Make an access token and print it, this once; only its hash is kept."""
    with _plain_errors():
        if not operator and not namespaces:
            msg = "name a --namespace (or * for all), or make it for an --operator"
            raise InvalidRequest(msg)
        token = Token.generate(TokenKind.ACCESS)
        now = datetime.now(UTC)
        entry = AccessToken(
            id=token.id,
            hash=token.hash,
            name=name,
            namespaces=("*",) if operator else tuple(map(_namespace, namespaces)),
            verbs=_ALL_VERBS if operator else tuple(map(Verb, verbs)) or _SUBMITTER,
            created=now,
            expires=None if days is None else now + timedelta(days=days),
        )
        add_token(_tokens_file(path), entry)
        click.echo(token.text)


def _namespace(name: str) -> str:
    return name if name == "*" else checked_namespace(name)


@tokens.command("list")
@_FILE
def list_tokens(path: Path | None) -> None:
    """List the access tokens; secrets are not known any more."""
    with _plain_errors():
        now = datetime.now(UTC)
        for entry in read_tokens(_tokens_file(path)).tokens:
            expires = "never" if entry.expires is None else f"{entry.expires:%Y-%m-%d}"
            note = " EXPIRED" if entry.has_expired(now=now) else ""
            click.echo(
                f"{entry.id}  {entry.name}  namespaces={','.join(entry.namespaces)}  verbs={','.join(entry.verbs)}  "
                f"created={entry.created:%Y-%m-%d}  expires={expires}{note}"
            )


@tokens.command("revoke")
@_FILE
@click.argument("identifier")
def revoke_token(path: Path | None, identifier: str) -> None:
    """Remove the access token with that id (`tokens list` shows them)."""
    with _plain_errors():
        remove_token(_tokens_file(path), identifier)
        click.echo(f"revoked {identifier}")


def _tokens_file(path: Path | None) -> Path:
    found = path or _settings().auth.tokens_file
    if found is None:
        msg = "name the --file, or set SPARK_STAGING_SERVER_AUTH__TOKENS_FILE"
        raise InvalidRequest(msg)
    return found


def _settings(
    *,
    host: str | None = None,
    port: int | None = None,
    folder: Path | None = None,
    tokens_file: Path | None = None,
    log_format: str | None = None,
) -> Settings:
    """Return the settings, with what the command line says above the environment."""
    flags: dict[str, Any] = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
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


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read: {error}"
        raise InvalidRequest(msg) from error


@contextmanager
def _plain_errors() -> Iterator[None]:
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


if __name__ == "__main__":
    main()
