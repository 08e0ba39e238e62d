"""How locks, their differences and verdicts are printed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from staging_protocol.printable import printable
from submission.commands.options import Output
from submission.commands.tables import print_problems, print_table

if TYPE_CHECKING:
    from submission.locks.changes import Changed, Difference
    from submission.locks.lockfile import Locked
    from submission.locks.present import Present
    from submission.locks.verdicts import Verdict


def print_locked(found: "Present", *, path: Path, changes: "Difference", is_new: bool, output: Output) -> None:
    """Print what was locked, and how that differs from before."""
    size = sum(one.size or 0 for one in found.entries)
    if output is Output.JSON:
        fields = {"lock": str(path), "entries": len(found.entries), "size": size, "read": found.read}
        click.echo(json.dumps({**fields, "bytes_read": found.bytes_read, "changes": _fields(changes)}, indent=2))
        return
    from submission.progress.telling import in_words

    click.echo(f"lock        {path}{'' if changes else ' (as it was)'}")
    number = len(found.entries)
    click.echo(f"locked      {number} {'dependency' if number == 1 else 'dependencies'}, {in_words(size)}")
    click.echo(f"read        {found.read} of them, {in_words(found.bytes_read)}")
    if changes and not is_new:
        click.echo()
        _print_changes(changes)


def print_difference(found: "Difference", *, output: Output) -> None:
    """Print a difference; nothing where there is none."""
    if output is Output.JSON:
        click.echo(json.dumps(_fields(found), indent=2))
        return
    _print_changes(found)


def print_verdicts(verdicts: "Sequence[Verdict]", *, output: Output) -> None:
    """Print what is as it was locked, and what is not, with all its words behind the table."""
    if output is Output.JSON:
        click.echo(json.dumps([_verdict_fields(one) for one in verdicts], indent=2))
        return
    print_table(("STATUS", "URI"), [(one.status, one.uri) for one in verdicts])
    print_problems([one.error.detail for one in verdicts if one.error is not None])


def _print_changes(found: "Difference") -> None:
    """One line for an entry, with `+`, `-` or `~`; what changed stands under it."""
    lines: list[tuple[str, Locked, tuple[str, ...]]] = [
        *(("+", one, ()) for one in found.added),
        *(("-", one, ()) for one in found.removed),
        *(("~", one.new, _changes(one)) for one in found.changed),
    ]
    for sign, entry, changes in sorted(lines, key=lambda line: line[1].key):
        click.echo(f"{sign} {entry.kind:<8}{printable(str(entry))}")
        for change in changes:
            click.echo(f"    {change}")


def _changes(changed: "Changed") -> tuple[str, ...]:
    from submission.locks.changes import shortened

    return tuple(f"{one.field:<8}{shortened(one.old)} -> {shortened(one.new)}" for one in changed.changes)


def _fields(found: "Difference") -> dict[str, Any]:
    return {
        "added": [_entry(one) for one in found.added],
        "removed": [_entry(one) for one in found.removed],
        "changed": [
            {**_entry(one.new), "changes": {c.field: {"old": c.old, "new": c.new} for c in one.changes}}
            for one in found.changed
        ],
    }


def _entry(one: "Locked") -> dict[str, str]:
    return {"uri": str(one), "kind": str(one.kind), "target": str(one.target)}


def _verdict_fields(one: "Verdict") -> dict[str, Any]:
    error = one.error
    fields = None if error is None else {"code": error.code, "detail": error.detail, "exit_code": int(error.exit_code)}
    return {"uri": one.uri, "status": one.status, "error": fields}
