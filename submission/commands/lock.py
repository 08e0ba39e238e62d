"""`spark-staging lock`."""

from typing import TYPE_CHECKING, Any, Final

import click

from submission.commands.naming import listed_dependencies, lock_of, lock_option, named_dependencies
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
    from collections.abc import Sequence
    from pathlib import Path

    from submission.classify import Dependency
    from submission.locks.lockfile import Lock

_PROGRAM: Final = "-submit"
"""What the names of the programs end with: spark-submit, spark3-submit."""


@click.command("lock", cls=StagingCommand)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[MAIN | -- spark-submit [OPTIONS] APP [ARGUMENTS]]")
@list_options
@lock_option
@sources_option
@way_options
@output_option
@progress_option
def COMMAND(**parameters: Any) -> None:  # noqa: N802 - the name by which the group finds it
    """Write down what each dependency is, byte for byte, into deps.lock.json.

    Of each dependency URI, target, size, SHA-256 and the version of its source; a glob or a folder file by file.
    Remote bytes are read once and kept nowhere, unless the source states their SHA-256, or the file has it already for
    the same strong version.  Without names, what the file names is locked anew.

    Of a whole spark-submit command all that it names is locked, by options, --conf, --properties-file, spark-defaults
    and as main resource.

    With --frozen, `submit`, `stage`, `template`, `run` and `resolve` use nothing else.

    \b
    Examples:
      spark-staging lock --jars s3a://libs/etl/ --archives env.tar.gz#env app.jar
      spark-staging lock -- spark-submit --properties-file nightly.conf --py-files lib.zip main.py 2026-03-01
      spark-staging lock
    """  # noqa: D301 - \b is click's mark for text that keeps its lines
    from submission.classify import classify, refuse_secrets
    from submission.commands.lock_views import print_locked
    from submission.locks.changes import difference
    from submission.locks.lockfile import Lock, write_lock
    from submission.locks.present import Digests, present
    from submission.problems import together
    from submission.progress.style import shown

    path = lock_of(parameters)
    old = _read_if_there(path)
    dependencies = _named(parameters, lock=old, name=path.name)
    for one in dependencies:
        refuse_secrets(one)
    with shown(parameters["progress"]) as progress:
        found = present(
            dependencies, digests=Digests.MISSING, old=old, settings=settings_of(parameters), progress=progress
        )
    if found.problems:
        raise together([one.error for one in found.problems if one.error is not None], what="nothing was locked")
    lock = Lock.of(found.entries)
    classify([one.dependency(by=path.name) for one in found.entries])
    if lock != old:
        write_lock(path, lock)
    print_locked(
        found,
        path=path,
        is_new=old is None,
        changes=difference(() if old is None else old.entries, lock.entries),
        output=parameters["output"],
    )


def _named(parameters: dict[str, Any], *, lock: "Lock | None", name: str) -> "Sequence[Dependency]":
    words: tuple[str, ...] = parameters["words"]
    if len(words) <= 1:
        return named_dependencies({**parameters, "main": next(iter(words), None)}, lock=lock, name=name)
    if not words[0].endswith(_PROGRAM) or listed_dependencies(parameters):
        msg = "one main resource, or a whole command: spark-staging lock -- spark-submit [OPTIONS] APP [ARGUMENTS]"
        raise click.UsageError(msg)
    from submission.job_plan import dependencies_of
    from submission.settings import Environment
    from submission.spark.command_line import parse

    return dependencies_of(parse(words), environment=Environment.read())


def _read_if_there(path: "Path") -> "Lock | None":
    from staging_protocol.errors import NotFound
    from submission.locks.lockfile import read_lock

    try:
        return read_lock(path)
    except NotFound:
        return None
