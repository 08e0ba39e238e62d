"""`tokens`: the file of access tokens."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click

from staging_protocol.errors import InvalidRequest
from staging_protocol.tokens import Token, TokenKind
from staging_server.access_tokens import AccessToken, Verb, add_token, read_tokens, remove_token
from staging_server.commands.frame import plain_errors, settings_of
from staging_server.namespaces import checked_namespace

_ALL_VERBS: Final = tuple(Verb)
_SUBMITTER: Final = (Verb.CREATE, Verb.GET, Verb.LIST, Verb.DELETE)


@click.group()
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
    with plain_errors():
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
    with plain_errors():
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
    with plain_errors():
        remove_token(_tokens_file(path), identifier)
        click.echo(f"revoked {identifier}")


def _tokens_file(path: Path | None) -> Path:
    found = path or settings_of().auth.tokens_file
    if found is None:
        msg = "name the --file, or set SPARK_STAGING_SERVER_AUTH__TOKENS_FILE"
        raise InvalidRequest(msg)
    return found
