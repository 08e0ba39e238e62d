"""Tables: drawn on a terminal, plain columns for programs, which count on one line for each row."""

import sys
from collections.abc import Sequence

import click

from staging_protocol.printable import printable


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print `rows` under `headings` to standard output; cells may hold text that others wrote."""
    rows = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw(headings, rows)
        return
    lines = [headings, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_problems(details: Sequence[str]) -> None:
    """Print what is wrong behind a table, with all its words; nothing where nothing is."""
    if details:
        click.echo()
    for detail in details:
        click.echo(printable(detail, lines=True))


def _draw(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD)
    for heading in headings:
        table.add_column(heading, overflow="fold")  # half a URI is none
    for row in rows:
        # A name is text, never markup: an application may be called [bold].
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
