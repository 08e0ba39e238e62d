"""What `doctor` prints: one line a check, and below the table what to do."""

import json
from collections import Counter
from collections.abc import Sequence

import click

from submission.commands.options import Output
from submission.commands.tables import print_problems, print_table
from submission.doctor.checks import Result
from submission.doctor.findings import Status


def print_results(results: Sequence[Result], *, output: Output) -> None:
    """Print what was found, for a person or a program."""
    if output is Output.JSON:
        told = {"ok": not _count(results)[Status.FAIL], "checks": [_fields(one) for one in results]}
        click.echo(json.dumps(told, indent=2))
        return
    print_table(("CHECK", "STATUS", "FOUND"), [(_name(one), one.finding.status, one.found) for one in results])
    fixes = [f"  {_name(one)}: {one.fix}" for one in results if one.fix is not None]
    print_problems(["what to do:", *fixes] if fixes else [])
    click.echo()
    click.echo(_summary(results))


def _name(result: Result) -> str:
    return result.check.name


def _fields(result: Result) -> dict[str, str | None]:
    return {"check": _name(result), "status": result.finding.status, "found": result.found, "fix": result.fix}


def _summary(results: Sequence[Result]) -> str:
    count = _count(results)
    if not count[Status.FAIL]:
        doubts = [f"{count[one]} {one}" for one in (Status.WARN, Status.UNKNOWN) if count[one]]
        in_words = f" ({', '.join(doubts)})" if doubts else ""
        return f"jobs can be submitted, as far as can be told{in_words}"
    parts = [f"{count[one]} {one}" for one in Status if count[one]]
    return f"jobs cannot be submitted: {', '.join(parts)}"


def _count(results: Sequence[Result]) -> Counter[Status]:
    return Counter(one.finding.status for one in results)
