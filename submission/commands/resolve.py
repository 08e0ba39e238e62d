"""`spark-staging resolve`: what the init container does, by hand and into any folder."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from submission.commands.naming import frozen_by, frozen_options
from submission.commands.options import (
    Output,
    StagingCommand,
    bundle_id,
    connection_options,
    namespace_option,
    output_option,
    progress_option,
    settings_of,
    sources_option,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resolver.run import Resolved
    from resolver.sources.base import Source
    from staging_protocol.manifest import Kind, Manifest
    from staging_protocol.tokens import BundleId
    from submission.locks.frozen import Frozen
    from submission.progress.telling import Progress
    from submission.settings import Settings

_BUNDLE = "bundle:"


@click.command("resolve", cls=StagingCommand)
@click.argument("manifest", metavar="MANIFEST")
@click.option("--into", "folder", type=click.Path(path_type=Path), required=True, help="Folder for everything.")
@frozen_options
@sources_option
@namespace_option
@connection_options
@output_option
@progress_option
def COMMAND(**parameters: Any) -> None:  # noqa: N802 - the name by which the group finds it
    """Download what a manifest names into a folder, as an init container does it.

    MANIFEST is a JSON file, which may be a lock, or bundle:ID for a bundle of the staging server; then --token-file
    holds the bundle's token, or an access token that may read.  Jars, files and Python files come into spark-jars,
    spark-files and spark-pyfiles; archives are unpacked in spark-work.  What is there and whole is not downloaded
    again.  Local files that a lock names stay where they are.

    \b
    Examples:
      spark-staging resolve manifest.json --into here
      spark-staging resolve deps.lock.json --into here
      spark-staging resolve bundle:abcdefghijklmnopqrstuvwxyz --token-file token --into here
    """  # noqa: D301 - \b is click's mark for text that keeps its lines
    from submission.progress.style import shown

    settings = settings_of(parameters)
    folder = parameters["folder"].absolute()
    frozen = _frozen(parameters)
    with shown(parameters["progress"]) as progress:
        bringing = _Bringing(folder=folder, frozen=frozen, settings=settings, progress=progress)
        if parameters["manifest"].startswith(_BUNDLE):
            resolved = bringing.bundle(bundle_id(parameters["manifest"].removeprefix(_BUNDLE)))
        else:
            resolved = bringing.file(Path(parameters["manifest"]))
    _print(resolved, folder=folder, output=parameters["output"])


def _frozen(parameters: dict[str, Any]) -> "Frozen | None":
    path = frozen_by(parameters)
    if path is None:
        return None
    from submission.locks.frozen import Frozen
    from submission.locks.lockfile import read_lock

    return Frozen(read_lock(path), name=path.name)


class _Bringing:
    """Brings everything into a folder."""

    def __init__(self, *, folder: Path, frozen: "Frozen | None", settings: "Settings", progress: "Progress") -> None:
        self._folder = folder
        self._frozen = frozen
        self._settings = settings
        self._progress = progress

    def bundle(self, bundle: "BundleId") -> "Sequence[Resolved]":
        """Bring what the manifest of a bundle names."""
        from resolver.sources.staged import StagedSource
        from submission.access.connection import connected
        from submission.access.retrying import retried
        from submission.settings import DEFAULT_NAMESPACE

        settings, namespace = self._settings, self._settings.namespace or DEFAULT_NAMESPACE
        with connected(settings) as connection:
            client = connection.client
            manifest = retried(
                partial(client.manifest, namespace, bundle),
                seconds=settings.retry_seconds,
                notice=self._progress.notice,
            )
            return self._resolve(manifest, staged=partial(StagedSource, client, namespace=namespace, bundle=bundle))

    def file(self, path: Path) -> "Sequence[Resolved]":
        """Bring what a manifest or a lock on disk names."""
        from submission.manifests import read_manifest

        manifest = read_manifest(path)
        local = manifest.local_files()
        for one in local:
            self._progress.notice(f"{one.uri} is a local file and stays where it is")
        return self._resolve(manifest.without(local), staged=None)

    def _resolve(self, manifest: "Manifest", *, staged: "Callable[[], Source] | None") -> "Sequence[Resolved]":
        from resolver.resolve import resolve
        from resolver.settings import ResolveSettings
        from resolver.signals import ending_on_signals
        from resolver.sources.choose import Sources
        from submission.progress.resolving import ShownResolving
        from submission.readiness.outside import outside_of

        with outside_of(self._settings) as outside, ending_on_signals():
            return resolve(
                manifest if self._frozen is None else self._frozen.manifest(manifest),
                folder_of=partial(_folder_of, self._folder),
                sources=Sources(outside, staged=staged),
                settings=ResolveSettings(journal=True, durable=True, digests=True),
                observer=ShownResolving(self._progress),
            )


def _folder_of(folder: Path, kind: "Kind") -> Path:
    from staging_protocol.pod_contract import FOLDERS

    return folder / PurePosixPath(FOLDERS[kind]).name


def _print(resolved: "Sequence[Resolved]", *, folder: Path, output: Output) -> None:
    if output is Output.JSON:
        fields = [
            {
                "uri": one.uri,
                "kind": str(one.kind),
                "path": one.path,
                "digest": one.digest and str(one.digest),
                "size": one.size,
                "reused": one.reused,
            }
            for one in resolved
        ]
        click.echo(json.dumps(fields, indent=2))
        return
    click.echo(f"{folder}/")
    for one in sorted(resolved, key=lambda item: item.path):
        path = one.path.removeprefix(f"{folder}/") + ("/" if str(one.kind) == "archive" else "")
        click.echo(f"  {path:<40} {one.size:>12}  {one.digest or '-'}{'  (was there)' if one.reused else ''}")
