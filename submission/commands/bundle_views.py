"""How bundles and explanations are printed."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from staging_protocol.printable import printable
from submission.commands.options import Output
from submission.commands.tables import print_table

if TYPE_CHECKING:
    from staging_protocol.api.bundles import Bundle
    from staging_protocol.api.claims import Explanation


def print_bundles(bundles: "Iterable[Bundle]") -> None:
    """Print a list."""
    print_table(
        ("ID", "NAMESPACE", "APPLICATION", "STATE", "FILES", "SIZE", "CREATED", "EXPIRES", "OWNER"),
        [_row(bundle) for bundle in bundles],
    )


def print_explanation(explanation: "Explanation") -> None:
    """Print why a bundle is there, what holds it before what does not, and the reports of its init containers."""
    click.echo(printable(explanation.verdict))
    claims = sorted(explanation.claims, key=lambda claim: not claim.holds)
    print_table(
        ("CLAIM", "HOLDS", "UNTIL", "DETAIL"),
        [(claim.kind, "yes" if claim.holds else "no", _time(claim.until), claim.detail) for claim in claims],
    )
    if explanation.reports:
        click.echo()
        print_table(
            ("RECEIVED", "ROLE", "POD", "OUTCOME", "EXIT", "SECONDS", "DETAIL"),
            [
                (
                    _time(item.received_at), item.report.role, item.report.pod, str(item.report.outcome),
                    str(item.report.exit_code), f"{item.report.seconds:.1f}", item.report.detail or "",
                )
                for item in explanation.reports
            ],
        )  # fmt: skip


def plain(value: Any) -> Any:
    """Return a body as JSON has it."""
    from staging_protocol.wire import encode

    return json.loads(encode(value))


def print_bundle(bundle: "Bundle", *, output: Output) -> None:
    """Print one bundle."""
    fields = plain(bundle)
    if output is Output.JSON:
        click.echo(json.dumps(fields, indent=2))
        return
    if bundle.owner is not None:
        fields["owner"] = f"{bundle.owner} ({bundle.owner.api_version}), {_uid(bundle.owner.uid)}"
    for name, value in fields.items():
        if value is not None:
            click.echo(f"{name.replace('_', ' '):<17} {printable(_in_a_line(value))}")


def _uid(uid: str | None) -> str:
    return "uid not given: that of the first one seen" if uid is None else f"uid {uid}"


def _in_a_line(value: object) -> str:
    return ", ".join(f"{key}={item}" for key, item in value.items()) if isinstance(value, dict) else str(value)


def _row(bundle: "Bundle") -> Sequence[str]:
    from submission.progress.telling import in_words

    return (
        bundle.id, bundle.namespace, bundle.application, str(bundle.state), str(bundle.files), in_words(bundle.size),
        _time(bundle.created_at), _time(bundle.expires_at), "" if bundle.owner is None else str(bundle.owner),
    )  # fmt: skip


def _time(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")
