"""`spark-staging stage`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from staging_protocol.counted import counted
from submission.commands.naming import checking_options, dependencies_of, looks_of
from submission.commands.options import (
    Output,
    StagingCommand,
    connection_options,
    dependency_options,
    namespace_option,
    output_option,
    progress_option,
    settings_of,
    sources_option,
    write_private,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from submission.classify import Dependency
    from submission.progress.telling import Progress
    from submission.settings import Settings
    from submission.staging.stage import Staged


@click.command("stage", cls=StagingCommand)
@dependency_options
@click.option("--show-token", is_flag=True, help="Put the bundle token into the result.")
@click.option(
    "--bundle-token-file", type=click.Path(path_type=Path), help="Write the bundle token to this file (0600)."
)
@checking_options
@sources_option
@namespace_option
@connection_options
@output_option
@progress_option
def COMMAND(**parameters: Any) -> None:  # noqa: N802 - the name by which the group finds it
    """Stage local dependencies and print the bundle.

    Local files are uploaded unless the server has their content; remote URIs are looked at, and kept in the bundle's
    manifest with what their source says, a glob or a folder file by file; local: URIs are in the container already
    and are left alone.

    Ctrl-C deletes the open bundle and keeps what was uploaded, also the beginning of a file larger than 8 MiB.
    The same command goes on from there; after a lost connection or a restart of the server it does so by itself.

    \b
    Examples:
      spark-staging stage --jars 'lib/*.jar' --files data.csv app.jar
      spark-staging stage --py-files pkg.zip --archives env.tar.gz#env main.py -o json
      spark-staging stage --jars s3a://libs/etl/ --frozen app.jar
      spark-staging stage app.jar --bundle-token-file token
      spark-staging resolve bundle:ID --token-file token --into here
    """  # noqa: D301 - \b is click's mark for text that keeps its lines
    from submission.progress.style import shown

    settings = settings_of(parameters)
    with shown(parameters["progress"]) as progress:
        staged = stage_named(parameters, settings=settings, progress=progress)
    if parameters["bundle_token_file"] is not None:
        write_private(parameters["bundle_token_file"], staged.token.text + "\n")
    print_staged(staged, output=parameters["output"], show_token=parameters["show_token"])


def stage_named(parameters: dict[str, Any], *, settings: "Settings", progress: "Progress") -> "Staged":
    """Stage what the options name."""
    from submission.access.connection import connected
    from submission.owner import parse_owner
    from submission.readiness.ready import made_ready
    from submission.settings import DEFAULT_NAMESPACE
    from submission.staging.stage import Stager

    dependencies = dependencies_of(parameters)
    owner = None if parameters["owner"] is None else parse_owner(parameters["owner"])
    with connected(settings) as connection:
        ready = made_ready(dependencies, looks=looks_of(parameters), settings=settings, progress=progress)
        stager = Stager(
            connection, settings=settings, namespace=settings.namespace or DEFAULT_NAMESPACE, progress=progress
        )
        return stager.stage(
            ready.dependencies,
            application=application_name(parameters, ready.dependencies),
            owner=owner,
            known=ready.known,
        )


def application_name(parameters: dict[str, Any], dependencies: "Sequence[Dependency]") -> str:
    """Return `--name`, or the name of the main resource, as spark-submit does it, or of the first dependency."""
    main = next((item for item in dependencies if item.is_main), dependencies[0])
    return str(parameters["application"] or main.target)


def staged_fields(staged: "Staged", *, show_token: bool) -> dict[str, object]:
    """Return the result as JSON has it."""
    fields: dict[str, object] = {
        "bundle": str(staged.id),
        "namespace": staged.namespace,
        "application": staged.application,
        "expires_at": staged.expires_at.isoformat(),
        "manifest_digest": str(staged.manifest_digest),
        "files": [
            {
                "kind": str(one.file.dependency.kind),
                "name": str(one.file.dependency.target),
                "size": one.version.size,
                "digest": str(one.digest),
                "state": str(state),
            }
            for one, state in zip(staged.files, staged.states, strict=True)
        ],
        "remote": [str(item.uri) for item in staged.classified.remote],
        "bytes_staged": staged.bytes_staged,
        "bytes_resumed": staged.bytes_resumed,
        "bytes_held": staged.bytes_held,
        "seconds": round(staged.seconds, 3),
        "requests": staged.requests,
        "pod_url": staged.pods.url,
    }
    return {**fields, "token": staged.token.text} if show_token else fields


def print_staged(staged: "Staged", *, output: Output, show_token: bool) -> None:
    """Print the result to standard output."""
    import json

    if output is Output.JSON:
        click.echo(json.dumps(staged_fields(staged, show_token=show_token), indent=2))
        return
    click.echo(f"bundle      {staged.id}")
    click.echo(f"namespace   {staged.namespace}")
    click.echo(f"expires     {staged.expires_at.isoformat(timespec='seconds')}")
    click.echo(f"files       {len(staged.files)} staged, {len(staged.classified.remote)} remote")
    click.echo(f"uploaded    {_bytes(staged.bytes_staged)}")
    if staged.bytes_resumed:
        click.echo(f"resumed     {_bytes(staged.bytes_resumed)} of them")
    click.echo(f"held        {_bytes(staged.bytes_held)}")
    click.echo(f"took        {staged.seconds:.2f} s, {counted(staged.requests, 'request')}")
    if show_token:
        click.echo(f"token       {staged.token.text}")


def _bytes(size: int) -> str:
    from submission.progress.telling import in_words

    exactly, roughly = counted(size, "byte"), in_words(size)
    return exactly if exactly == roughly else f"{exactly} ({roughly})"
