"""How commands read what a person names: lists of dependencies, a lock, and how closely they are looked at."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from submission.classify import Dependency
    from submission.locks.lockfile import Lock
    from submission.readiness.looks import Looks

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_LOCK: Final = "deps.lock.json"


def lock_option(command: F) -> F:
    """Add `--lock`."""
    return click.option(
        "--lock", type=click.Path(path_type=Path), metavar="FILE", help=f"The lock file. Default: {DEFAULT_LOCK}."
    )(command)


def lock_of(parameters: dict[str, Any]) -> Path:
    """Return the lock file that is meant."""
    return Path(parameters["lock"] or DEFAULT_LOCK)


def frozen_options(command: F) -> F:
    """Add `--frozen` and `--lock`."""
    frozen = click.option("--frozen", is_flag=True, help="Use nothing but what the lock has, byte for byte.")
    return frozen(lock_option(command))


def frozen_by(parameters: dict[str, Any]) -> Path | None:
    """Return the lock that `--frozen` goes by; None without it.

    Raises:
        UsageError: a lock was named that would not be looked at.
    """
    if parameters["lock"] is not None and not parameters["frozen"]:
        msg = "--lock is looked at with --frozen only; give both"
        raise click.UsageError(msg)
    return lock_of(parameters) if parameters["frozen"] else None


def checking_options(command: F) -> F:
    """Add how dependencies are looked at before anything is created."""
    no_check = click.option(
        "--no-check", is_flag=True, help="Do not look at remote dependencies: for machines that cannot reach them."
    )
    return no_check(frozen_options(command))


def looks_of(parameters: dict[str, Any], *, remote_is_sparks: bool = False) -> "Looks":
    """Return how dependencies are looked at."""
    from submission.readiness.looks import Looks

    return Looks(remote=not parameters["no_check"], lock=frozen_by(parameters), remote_is_sparks=remote_is_sparks)


def dependencies_of(parameters: dict[str, Any]) -> list["Dependency"]:
    """Return what the options and the main resource name.

    Raises:
        UsageError: nothing is named.
        InvalidRequest: an entry is no dependency.
    """
    from submission.classify import main_dependency

    found = listed_dependencies(parameters)
    if parameters["main"]:
        found.append(main_dependency(parameters["main"]))
    if not found:
        msg = "nothing is named; give a main resource, --jars, --files, --py-files or --archives"
        raise click.UsageError(msg)
    return found


def named_dependencies(parameters: dict[str, Any], *, lock: "Lock | None", name: str) -> list["Dependency"]:
    """Return what the options and the main resource name, or without any what `lock`, the file `name`, names."""
    if lock is None or parameters["main"] or listed_dependencies(parameters):
        return dependencies_of(parameters)
    return lock.dependencies(by=name)


def listed_dependencies(parameters: dict[str, Any]) -> list["Dependency"]:
    """Return what the four lists name.

    Raises:
        InvalidRequest: an entry is no dependency.
    """
    from staging_protocol.manifest import Kind
    from submission.classify import OPTIONS, named, split_list

    lists = {
        Kind.JAR: parameters["jars"],
        Kind.FILE: parameters["files"],
        Kind.PYFILE: parameters["py_files"],
        Kind.ARCHIVE: parameters["archives"],
    }
    return [
        item
        for kind, values in lists.items()
        for value in values
        for item in named(kind, split_list(value), by=OPTIONS[kind])
    ]
