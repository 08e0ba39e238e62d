"""The command line of stock `spark-submit`, read as it reads it itself.

The options are those of `SparkSubmitOptionParser` of Spark 3.4 to 4.3.  An option takes its value from the next
argument or after `=`; the first argument that is no option is the main resource, and the rest belongs to the
application.  An option that is not known is an error with a suggestion, never passed on blindly.  Pure.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from staging_protocol.errors import InvalidRequest
from staging_protocol.manifest import Kind

WITH_VALUE: Final = frozenset(
    {
        "--archives", "--class", "--conf", "--deploy-mode", "--driver-class-path", "--driver-cores",
        "--driver-default-class-path", "--driver-java-options", "--driver-library-path", "--driver-memory",
        "--exclude-packages", "--executor-cores", "--executor-memory", "--extra-properties-file", "--files", "--jars",
        "--keytab", "--kill", "--master", "--name", "--num-executors", "--packages", "--principal",
        "--properties-file", "--proxy-user", "--py-files", "--queue", "--remote", "--repositories", "--status",
        "--total-executor-cores",
    }
)  # fmt: skip
SWITCHES: Final = frozenset(
    {"--help", "--load-spark-defaults", "--supervise", "--usage-error", "--verbose", "--version"}
)
SHORT: Final = {"-c": "--conf", "-h": "--help", "-v": "--verbose"}
_WITH_EQUALS: Final = re.compile(r"(--[^=]+)=(.+)", re.DOTALL)  # SparkSubmitOptionParser.eqSeparatedOpt
_SAYS_SOMETHING: Final = frozenset({"--help", "--version", "--usage-error"})
_PROGRAM: Final = "spark-submit"

PROPERTIES: Final = {
    Kind.JAR: "spark.jars",
    Kind.FILE: "spark.files",
    Kind.PYFILE: "spark.submit.pyFiles",
    Kind.ARCHIVE: "spark.archives",
}
"""Spark's property for each kind of dependency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option as it was given; `value` is None for a switch."""

    name: str
    value: str | None

    def written(self) -> list[str]:
        """Return the arguments that give it to spark-submit."""
        return [self.name] if self.value is None else [self.name, self.value]

    @property
    def conf(self) -> tuple[str, str] | None:
        """Key and value of a `--conf`."""
        if self.name != "--conf" or self.value is None:
            return None
        key, _, value = self.value.partition("=")
        return key.strip(), value


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What stands before the main resource, in order."""

    options: tuple[Option, ...]

    def last(self, name: str) -> str | None:
        """Return the value of an option; the last one given counts."""
        return next((option.value for option in reversed(self.options) if option.name == name), None)

    def has(self, name: str) -> bool:
        """Whether an option or switch was given."""
        return any(option.name == name for option in self.options)

    @property
    def conf(self) -> dict[str, str]:
        """All `--conf` properties."""
        return dict(option.conf for option in self.options if option.conf is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitCommand(Options):
    """A parsed command: program, options in order, main resource and the application's own arguments."""

    program: str
    main: str
    arguments: tuple[str, ...]

    def written(self) -> list[str]:
        """Return the command as an argument list."""
        options = [argument for option in self.options for argument in option.written()]
        return [self.program, *options, self.main, *self.arguments]


class Action(StrEnum):
    """What is done to jobs that run already."""

    KILL = "kill"
    STATUS = "status"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCommand(Options):
    """`--kill` or `--status`: nothing is submitted.

    Attributes:
        action: which of them.
        selector: `[NAMESPACE:]NAME`, where the name of the driver's pod may be a pattern.
    """

    action: Action
    selector: str


def parse(arguments: Sequence[str]) -> SubmitCommand:
    """Read a whole command line, the program included.

    Raises:
        InvalidRequest: it is no submission that spark-submit would take.
    """
    if not arguments:
        raise InvalidRequest("no command is given; write: spark-staging run -- spark-submit … APP")
    command = _parsed(arguments[1:], program=arguments[0])
    if isinstance(command, JobCommand):
        msg = f"--{command.action} submits nothing; call spark-submit without `spark-staging run`"
        raise InvalidRequest(msg)
    return command


def parse_arguments(arguments: Sequence[str]) -> SubmitCommand | JobCommand:
    """Read what follows `spark-submit` on its command line.

    Raises:
        InvalidRequest: spark-submit would not take it.
    """
    return _parsed(arguments, program=_PROGRAM)


def _parsed(arguments: Sequence[str], *, program: str) -> SubmitCommand | JobCommand:
    rest, options = list(arguments), list[Option]()
    while rest:
        argument = rest.pop(0)
        option = _option(argument, rest)
        if option is None:
            break
        options.append(option)
    else:
        argument = ""
    _check_conf(options)
    job = _job_command(tuple(options))
    if job is not None:
        return job
    if not argument:
        msg = f"{program} has no main resource (a jar, or a Python or R file) after its options"
        raise InvalidRequest(msg)
    if argument == "run-example":
        raise InvalidRequest("run-example has no dependencies to stage; call spark-submit without `spark-staging`")
    return SubmitCommand(program=program, options=tuple(options), main=argument, arguments=tuple(rest))


def _job_command(options: tuple[Option, ...]) -> JobCommand | None:
    asked = [option for option in options if option.name in {"--kill", "--status"}]
    if len(asked) > 1:
        msg = f"{asked[0].name} and {asked[1].name} cannot be done in one command"
        raise InvalidRequest(msg)
    if not asked:
        return None
    action = Action(asked[0].name.removeprefix("--"))
    return JobCommand(action=action, selector=asked[0].value or "", options=options)


def _option(argument: str, rest: list[str]) -> Option | None:
    """Return the option that `argument` begins, taking its value from `rest`; None for the main resource."""
    match = _WITH_EQUALS.fullmatch(argument)
    name, value = (match[1], match[2]) if match else (argument, None)
    name = SHORT.get(name, name)
    if name in _SAYS_SOMETHING:
        msg = f"{name} submits nothing; see spark-staging --version, and spark-staging submit --help"
        raise InvalidRequest(msg)
    if name in SWITCHES:
        return Option(name=name, value=None)
    if name in WITH_VALUE:
        if value is None and not rest:
            msg = f"{name} needs a value"
            raise InvalidRequest(msg)
        return Option(name=name, value=value if value is not None else rest.pop(0))
    if argument.startswith("-"):
        raise InvalidRequest(_unknown(name))
    return None


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, sorted(WITH_VALUE | SWITCHES), n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"{name} is not an option of spark-submit{hint}"


def _check_conf(options: Sequence[Option]) -> None:
    for option in options:
        if option.name == "--conf" and "=" not in (option.value or ""):
            msg = f"--conf {option.value} is not of the form KEY=VALUE"
            raise InvalidRequest(msg)
