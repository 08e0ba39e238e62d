"""`spark-staging diff`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from submission.commands.naming import DEFAULT_LOCK, named_dependencies
from submission.commands.options import (
    StagingCommand,
    list_options,
    output_option,
    progress_option,
    settings_of,
    sources_option,
    way_options,
)

if TYPE_CHECKING:
    from submission.locks.lockfile import Lock, Locked


@click.command("diff", cls=StagingCommand)
@click.argument("old", metavar="[OLD]", type=click.Path(path_type=Path), default=DEFAULT_LOCK)
@click.argument("new", metavar="[NEW]", type=click.Path(path_type=Path), required=False)
@click.option("--main", metavar="MAIN", help="Main resource, as it would be locked.")
@list_options
@sources_option
@way_options
@output_option
@progress_option
def COMMAND(**parameters: Any) -> None:  # noqa: N802 - the name by which the group finds it
    """Show what is different between two locks, or between a lock and what is there now.

    Without NEW, OLD is compared with what --jars, --files, --py-files, --archives and --main name, or without these
    with what it names itself.  No bytes are downloaded: remote dependencies are compared by size, version and the
    SHA-256 that their source states.

    Exit code 0: no difference; 1: a difference; else trouble, as for all commands.

    \b
    Examples:
      git show HEAD:deps.lock.json > old.json; spark-staging diff old.json deps.lock.json
      spark-staging diff deps.lock.json --jars s3a://libs/etl/ --main app.jar
    """  # noqa: D301 - \b is click's mark for text that keeps its lines
    from submission.commands.lock_views import print_difference
    from submission.locks.changes import difference
    from submission.locks.lockfile import read_lock

    old = read_lock(parameters["old"])
    found = difference(old.entries, _other_side(parameters, old))
    print_difference(found, output=parameters["output"])
    click.get_current_context().exit(1 if found else 0)


def _other_side(parameters: dict[str, Any], old: "Lock") -> "tuple[Locked, ...]":
    from submission.locks.lockfile import read_lock
    from submission.locks.present import Digests, present
    from submission.problems import together
    from submission.progress.style import shown

    names = any(parameters[name] for name in ("jars", "files", "py_files", "archives", "main"))
    if parameters["new"] is not None:
        if names:
            msg = "give a second lock, or names of dependencies, not both"
            raise click.UsageError(msg)
        return read_lock(parameters["new"]).entries
    dependencies = named_dependencies(parameters, lock=old, name=parameters["old"].name)
    with shown(parameters["progress"]) as progress:
        found = present(
            dependencies, digests=Digests.STATED, old=old, settings=settings_of(parameters), progress=progress
        )
    if found.problems:
        raise together([one.error for one in found.problems if one.error is not None], what="nothing was compared")
    return found.entries
