"""What a person gave: flags, settings, and perhaps a submission, read as `submit` reads it.

What cannot be read is kept as an error, for the check that is about it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from staging_protocol.errors import InvalidRequest, StagingError
from submission.settings import Environment, Settings, read_settings

if TYPE_CHECKING:
    from submission.job_plan import Plan

_ANY_VERSION: Final = "4.0"
"""Of Spark, to read a command by; which one it is has a check of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a person gave to the command.

    Attributes:
        flags: of settings, by their names; None: not given.
        command: as for `submit`; empty: none.
        image: of Spark.
        spark_version: of Spark in the image.
        seconds: for which a check may wait.
    """

    flags: Mapping[str, object]
    command: tuple[str, ...] = ()
    image: str | None = None
    spark_version: str | None = None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The same, read.

    Attributes:
        image: of Spark, where no command names one.
        spark_version: of Spark in the image; None: nobody said.
        pod_security: profile that all containers of the job shall pass.
        settings: None: they are not good.
        settings_error: why.
        job: the submission; None: none was given, or it cannot be understood.
        command_error: why.
    """

    image: str | None
    spark_version: str | None
    pod_security: str | None = None
    settings: Settings | None = None
    settings_error: StagingError | None = None
    job: "Plan | None" = None
    command_error: StagingError | None = None


def read_given(wanted: Wanted, *, environment: Environment) -> Given:
    """Read what was given."""
    given = Given(image=wanted.image, spark_version=wanted.spark_version)
    options: Mapping[str, Any] = {}
    try:
        options = _submit_options(wanted.command)
    except InvalidRequest as error:
        given = replace(given, command_error=error)
    given = replace(
        given,
        spark_version=wanted.spark_version or options.get("spark_version"),
        pod_security=options.get("pod_security"),
    )
    flags = {name: options.get(name) for name in Settings.model_fields}
    flags |= {name: value for name, value in wanted.flags.items() if value is not None}
    try:
        settings = read_settings(flags)
    except StagingError as error:
        return replace(given, settings_error=error)
    given = replace(given, settings=settings)
    if not options:
        return given
    try:
        return replace(given, job=_plan(options, flags, settings=settings, environment=environment))
    except StagingError as error:
        return replace(given, command_error=error)


def _submit_options(command: tuple[str, ...]) -> Mapping[str, Any]:
    """Return what the command says, as click reads the options of `submit`."""
    if not command:
        return {}
    import click

    from submission.commands.submit import COMMAND

    try:
        return COMMAND.make_context("submit", list(command)).params
    except click.ClickException as error:
        raise InvalidRequest(error.format_message()) from error


def _plan(
    options: Mapping[str, Any], flags: Mapping[str, Any], *, settings: Settings, environment: Environment
) -> "Plan":
    from submission.job_plan import plan
    from submission.spark.command_line import SubmitCommand, parse_arguments

    command = parse_arguments(options["command"])
    if not isinstance(command, SubmitCommand):
        msg = "--kill and --status submit nothing; give the arguments of a submission"
        raise InvalidRequest(msg)
    return plan(
        command,
        settings=settings,
        namespace=flags["namespace"],
        spark_version=_ANY_VERSION,
        spark_files=True,
        environment=environment,
        runs_spark=False,
    )
