"""`spark-staging resolve`: what the init container does, by hand and into any folder."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from staging_protocol.errors import InvalidRequest, NotFound, StagingError
from submission.commands.options import (
    Output,
    StagingCommand,
    bundle_id,
    connection_options,
    namespace_option,
    output_option,
    progress_option,
    settings_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resolver.run import Progress as Step
    from resolver.run import Resolved
    from resolver.sources.base import Source
    from staging_protocol.manifest import Kind, Manifest
    from submission.progress import Progress
    from submission.settings import Settings

_BUNDLE = "bundle:"


@click.command("resolve", cls=StagingCommand)
@click.argument("manifest", metavar="MANIFEST")
@click.option("--into", "folder", type=click.Path(path_type=Path), required=True, help="Folder for everything.")
@namespace_option
@connection_options
@output_option
@progress_option
def COMMAND(**parameters: Any) -> None:  # noqa: N802 - the name by which the group finds it
    """Download what a manifest names into a folder, as an init container does it.

    MANIFEST is a JSON file, or bundle:ID for a bundle of the staging server; then --token-file holds the bundle's
    token, or an access token that may read.  Jars, files and Python files come into spark-jars, spark-files and
    spark-pyfiles; archives are unpacked in spark-work.  What is there and whole is not downloaded again.

    \b
    Examples:
      spark-staging resolve manifest.json --into here
      spark-staging resolve bundle:abcdefghijklmnopqrstuvwxyz --token-file token --into here
    """  # noqa: D301 - \b is click's mark for text that keeps its lines
    from submission.progress import shown

    settings = settings_of(parameters)
    folder = parameters["folder"].absolute()
    with shown(parameters["progress"]) as progress:
        if parameters["manifest"].startswith(_BUNDLE):
            resolved = _resolve_bundle(parameters["manifest"], folder, settings=settings, progress=progress)
        else:
            resolved = _resolve_file(Path(parameters["manifest"]), folder, settings=settings, progress=progress)
    _print(resolved, folder=folder, output=parameters["output"])


def _resolve_bundle(name: str, folder: Path, *, settings: "Settings", progress: "Progress") -> "Sequence[Resolved]":
    from resolver.sources.staged import StagedSource
    from submission.connection import connected
    from submission.retrying import retried
    from submission.settings import DEFAULT_NAMESPACE

    bundle, namespace = bundle_id(name.removeprefix(_BUNDLE)), settings.namespace or DEFAULT_NAMESPACE
    with connected(settings) as connection:
        client, http = connection.client, connection.http
        manifest = retried(
            partial(client.manifest, namespace, bundle), seconds=settings.retry_seconds, notice=progress.notice
        )
        staged = partial(StagedSource, client, namespace=namespace, bundle=bundle)
        return _resolve(manifest, folder, http=http, staged=staged, settings=settings, progress=progress)


def _resolve_file(path: Path, folder: Path, *, settings: "Settings", progress: "Progress") -> "Sequence[Resolved]":
    from staging_io.http import HttpClient
    from submission.connection import http_settings

    manifest = _read(path)
    http = HttpClient(http_settings(settings))
    try:
        return _resolve(manifest, folder, http=http, staged=None, settings=settings, progress=progress)
    finally:
        http.close()


def _read(path: Path) -> "Manifest":
    from staging_protocol.manifest import Manifest
    from staging_protocol.wire import decode

    try:
        return decode(path.read_bytes(), into=Manifest)
    except FileNotFoundError as error:
        msg = f"{path} does not exist; a bundle is written {_BUNDLE}ID"
        raise NotFound(msg) from error
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise InvalidRequest(msg) from error


def _resolve(
    manifest: "Manifest",
    folder: Path,
    *,
    http: Any,
    staged: "Callable[[], Source] | None",
    settings: "Settings",
    progress: "Progress",
) -> "Sequence[Resolved]":
    from resolver.resolve import resolve
    from resolver.settings import ResolveSettings
    from resolver.signals import ending_on_signals
    from resolver.sources.choose import Sources
    from resolver.sources.http import HttpSource

    with ending_on_signals():
        return resolve(
            manifest,
            folder_of=partial(_folder_of, folder),
            sources=Sources(http=partial(HttpSource, http, allow_plain_http=settings.allow_plain_http), staged=staged),
            settings=ResolveSettings(journal=True, durable=True),
            observer=_Told(progress),
        )


def _folder_of(folder: Path, kind: "Kind") -> Path:
    from staging_protocol.pod_contract import FOLDERS

    return folder / PurePosixPath(FOLDERS[kind]).name


class _Told:
    """Passes on what the resolver tells."""

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress
        self._size = -1
        self._received = 0

    def progressed(self, progress: "Step") -> None:
        """Move the bar."""
        if progress.size != self._size:
            self._size = progress.size
            self._progress.phase("download", size=progress.size)
            self._progress.advance(self._received)
        self._progress.advance(progress.received - self._received)
        self._received = progress.received

    def retrying(self, uri: str, error: StagingError, seconds: float) -> None:
        """Say why there is a wait."""
        self._progress.notice(f"{uri}: {error.detail}; trying again in {seconds:.1f} s")

    def resolved(self, resolved: "Resolved") -> None:
        """Say nothing; the result lists everything."""


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
