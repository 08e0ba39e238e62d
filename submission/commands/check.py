"""`spark-staging check`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from submission.commands.naming import listed_dependencies
from submission.commands.options import (
    StagingCommand,
    list_options,
    output_option,
    settings_of,
    sources_option,
    way_options,
)

if TYPE_CHECKING:
    from submission.classify import Dependency
    from submission.readiness.checking import Checked
    from submission.settings import Settings


@click.command("check", cls=StagingCommand)
@click.argument("uris", nargs=-1, metavar="[URI]...")
@list_options
@click.option("--manifest", type=click.Path(path_type=Path), metavar="FILE", help="What a manifest or a lock names.")
@sources_option
@way_options
@output_option
def COMMAND(**parameters: Any) -> None:  # noqa: N802 - the name by which the group finds it
    """Say of each dependency whether it can be used: size, version, checksums, identity, or what is wrong.

    Globs and folders are listed, also of S3, GCS and HDFS.  No bytes are downloaded.  Exit code 0, or that of the worst
    problem.  A presigned URL may be checked, but not staged: its secret would be kept in the manifest.

    \b
    Examples:
      spark-staging check s3a://libs/etl/ https://repo.example/driver.jar
      spark-staging check --jars 'lib/*.jar,gs://libs/*.jar' --sources sources.json -o json
      spark-staging check --manifest deps.lock.json
    """  # noqa: D301 - \b is click's mark for text that keeps its lines
    from submission.commands.check_views import print_checked
    from submission.problems import worst

    dependencies = _named(parameters)
    if not dependencies:
        msg = "nothing is named; give URIs, --jars, --files, --py-files, --archives or --manifest"
        raise click.UsageError(msg)
    checked = _check(dependencies, settings=settings_of(parameters))
    print_checked(checked, output=parameters["output"])
    errors = [one.error for one in checked if one.error is not None]
    click.get_current_context().exit(int(worst(errors).exit_code) if errors else 0)


def _named(parameters: dict[str, Any]) -> list["Dependency"]:
    from staging_protocol.manifest import Kind
    from submission.classify import named
    from submission.manifests import read_manifest

    path = parameters["manifest"]
    # What a dependency is to Spark makes no difference to where it is.
    uris = named(Kind.FILE, parameters["uris"], by="argument")
    return [
        *uris,
        *listed_dependencies(parameters),
        *([] if path is None else read_manifest(path).dependencies(by=path.name)),
    ]


def _check(dependencies: list["Dependency"], *, settings: "Settings") -> list["Checked"]:
    import threading

    from resolver.sources.choose import Sources
    from submission.readiness.checking import Checker
    from submission.readiness.outside import outside_of

    with outside_of(settings) as outside:
        return Checker(Sources(outside), stop=threading.Event(), identify=True).check(dependencies)
