"""`policy diff`: what a policies file would change, before it is applied."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from staging_protocol.counted import counted
from staging_protocol.wire import encode
from staging_server.commands.frame import FOLDER, OUTPUT, plain_errors, settings_of
from staging_server.sizes import human_size
from staging_server.times import clock_text, utc_now

if TYPE_CHECKING:
    from staging_server.retention.policy_diff import ChangedBundle, ChangedNamespace, PolicyDiff
    from staging_server.settings import Settings


@click.group()
def policy() -> None:
    """Look at policies for namespaces (retention.policies_file)."""


@policy.command()
@click.argument("file", type=click.Path(path_type=Path))
@FOLDER
@OUTPUT
def diff(*, file: Path, folder: Path | None, output: str) -> None:
    """Say what FILE would change in place of the present policies: bundles, blobs and bytes.

    Nothing is changed.  What Kubernetes knows of owners and pods is taken as it was last seen.
    """
    import asyncio

    with plain_errors():
        found = asyncio.run(_diff(settings_of(folder=folder), file))
        click.echo(encode(found).decode() if output == "json" else _table(found))


async def _diff(settings: "Settings", file: Path) -> "PolicyDiff":
    from staging_server.metadata.store import open_for_reading
    from staging_server.retention.known_policies import KnownPolicies, read_text
    from staging_server.retention.policies import parse_policies, policy_of
    from staging_server.retention.policy_diff import policy_diff

    before = KnownPolicies(settings).now
    after = parse_policies(read_text(file), base=policy_of(settings), name=str(file))
    async with open_for_reading(settings.storage) as metadata:
        return await policy_diff(metadata, before=before, after=after, now=utc_now())


def _table(found: "PolicyDiff") -> str:
    lines = [line for namespace in found.namespaces for line in _namespace_lines(namespace)]
    lines += [_bundle_line(bundle) for bundle in found.bundles]
    counts = {effect: sum(bundle.effect == effect for bundle in found.bundles) for effect in ("sooner", "later")}
    ended = [bundle.size for bundle in found.bundles if bundle.effect == "ends"]
    blobs = sum(namespace.blobs for namespace in found.namespaces)
    freed = sum(namespace.blob_size for namespace in found.namespaces)
    lines.append(
        f"{counted(len(ended), 'bundle')} of {human_size(sum(ended))} would end, {counts['sooner']} sooner, "
        f"{counts['later']} later; {counted(blobs, 'blob')} of {human_size(freed)} would be given up"
    )
    return "\n".join(lines)


def _namespace_lines(namespace: "ChangedNamespace") -> Iterator[str]:
    yield namespace.namespace
    for name, (old, new) in namespace.fields.items():
        yield f"    {name}: {new} instead of {old}"
    if namespace.blobs:
        yield f"    gives up {counted(namespace.blobs, 'blob')}, {human_size(namespace.blob_size)}"
    if namespace.over_quota:
        yield f"    is {human_size(namespace.over_quota)} over its quota"


def _bundle_line(bundle: "ChangedBundle") -> str:
    ends = "ends with the next sweep" if bundle.effect == "ends" else f"ends {bundle.effect}"
    at = "" if bundle.until is None else f", at {clock_text(bundle.until)}"
    instead = "" if bundle.instead_of is None else f" instead of {clock_text(bundle.instead_of)}"
    why = "" if bundle.reason is None else f": {bundle.reason}"
    return f"{bundle.id} {bundle.namespace}/{bundle.application} {ends}{at}{instead}{why}"
