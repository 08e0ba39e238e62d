"""How `check` prints what it found."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from submission.commands.options import Output
from submission.commands.tables import print_problems, print_table

if TYPE_CHECKING:
    from resolver.sources.base import Stat
    from submission.readiness.checking import Checked

_WIDEST: Final = 24
"""Characters of a version: an entity tag of S3 has 34, and its beginning tells it from others."""

_HEADINGS: Final = ("STATUS", "SIZE", "CHECKSUM", "VERSION", "FROM", "URI")
_ALWAYS: Final = {"STATUS", "SIZE", "URI"}


def print_checked(checked: "Sequence[Checked]", *, output: Output) -> None:
    """Print everything that was checked, in its order; as whom, and what is wrong, follows the table in full."""
    if output is Output.JSON:
        click.echo(json.dumps([_fields(one) for one in checked], indent=2))
        return
    _print_used_columns(_HEADINGS, [_row(one) for one in checked])
    print_problems([*_identities(checked), *(_problem(one) for one in checked if one.error is not None)])


def _print_used_columns(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table without the columns in which nothing stands."""
    used = [number for number, heading in enumerate(headings) if heading in _ALWAYS or any(row[number] for row in rows)]
    print_table([headings[number] for number in used], [[row[number] for number in used] for row in rows])


def _row(one: "Checked") -> tuple[str, ...]:
    from submission.progress.telling import in_words

    size = one.stat.size
    return (
        "ok" if one.error is None else one.error.code,
        "" if size is None else in_words(size),
        ", ".join(_checksums(one.stat)),
        _short("" if one.stat.version is None else one.stat.version.text),
        "" if one.place is None else str(one.place),
        str(one.dependency.uri),
    )


def _identities(checked: "Sequence[Checked]") -> list[str]:
    """Return a line for each identity; mostly there is one for everything."""
    asked: dict[str, list[str]] = {}
    for one in checked:
        # Who could not be asked as anybody reads why in the problem itself.
        if one.identity and (one.error is None or one.error.detail not in one.identity):
            asked.setdefault(one.identity, []).append(str(one.dependency.uri))
    return [
        f"asked as {identity}: {first}{f' and {len(others)} more' if others else ''}"
        for identity, (first, *others) in asked.items()
    ]


def _problem(one: "Checked") -> str:
    detail, uri = "" if one.error is None else one.error.detail, str(one.dependency.uri)
    return detail if uri in detail else f"{uri}: {detail}"


def _short(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _checksums(stat: "Stat") -> list[str]:
    stated = [*(["sha256"] if stat.digest is not None else []), *(one.algorithm for one in stat.checksums)]
    return list(dict.fromkeys(stated))


def _fields(one: "Checked") -> dict[str, Any]:
    from submission.locks.present import stated_digest

    version, digest = one.stat.version, stated_digest(one.stat)
    return {
        "uri": str(one.dependency.uri),
        "named": str(one.named.uri),
        "named_by": one.named.named_by,
        "status": "ok" if one.error is None else one.error.code,
        "size": one.stat.size,
        "version": None if version is None else {"text": version.text, "strong": version.strong},
        "digest": None if digest is None else str(digest),
        "checksums": _checksums(one.stat),
        "identity": one.identity or None,
        "found_at": None if one.place is None else str(one.place),
        "error": None
        if one.error is None
        else {
            "code": one.error.code,
            "detail": one.error.detail,
            "retryable": one.error.retryable,
            "exit_code": int(one.error.exit_code),
        },
    }
