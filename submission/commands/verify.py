"""`spark-staging verify`."""

from typing import Any

import click

from submission.commands.naming import lock_of, lock_option
from submission.commands.options import (
    StagingCommand,
    output_option,
    progress_option,
    settings_of,
    sources_option,
    way_options,
)


@click.command("verify", cls=StagingCommand)
@lock_option
@click.option("--full", is_flag=True, help="Read all bytes and compare their SHA-256.")
@sources_option
@way_options
@output_option
@progress_option
def COMMAND(**parameters: Any) -> None:  # noqa: N802 - the name by which the group finds it
    """Say whether everything is still as it was locked.

    Remote dependencies are compared by size, version, and the SHA-256 that their source states; a version may also
    change when the bytes do not, which --full finds out.  Local files are always compared by their bytes.  What a glob
    or a folder names besides, or no longer, is found too.

    Exit code 0, or that of the worst: 40 something is gone, 42 other bytes, 46 something that was not locked.

    \b
    Examples:
      spark-staging verify
      spark-staging verify --full --lock etl.lock.json -o json
    """  # noqa: D301 - \b is click's mark for text that keeps its lines
    from submission.commands.lock_views import print_verdicts
    from submission.locks.lockfile import read_lock
    from submission.locks.present import Digests, present
    from submission.locks.verdicts import verdicts
    from submission.problems import worst
    from submission.progress.style import shown

    path = lock_of(parameters)
    lock = read_lock(path)
    with shown(parameters["progress"]) as progress:
        now = present(
            lock.dependencies(by=path.name),
            digests=Digests.ALL if parameters["full"] else Digests.STATED,
            old=lock,
            settings=settings_of(parameters),
            progress=progress,
        )
    found = verdicts(lock, now, name=path.name, full=parameters["full"])
    print_verdicts(found, output=parameters["output"])
    errors = [one.error for one in found if one.error is not None]
    click.get_current_context().exit(int(worst(errors).exit_code) if errors else 0)
