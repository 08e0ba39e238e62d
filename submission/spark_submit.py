"""The command line of stock `spark-submit`, read as it reads it itself.

The options are those of `SparkSubmitOptionParser` of Spark 3.4 to 4.3.  An option takes its value from the next
argument or after `=`; the first argument that is no option is the main resource, and the rest belongs to the
application.  An option that is not known is an error with a suggestion, never passed on blindly.

Precedence of what is named twice (`SparkSubmitArguments`): an option, then `--conf`, then the properties file or
`spark-defaults.conf`.  Pure.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
_SHORT: Final = {"-c": "--conf", "-h": "--help", "-v": "--verbose"}
_WITH_EQUALS: Final = re.compile(r"(--[^=]+)=(.+)", re.DOTALL)  # SparkSubmitOptionParser.eqSeparatedOpt
_NOT_A_SUBMISSION: Final = frozenset({"--kill", "--status", "--help", "--version", "--usage-error"})

PROPERTIES: Final = {
    Kind.JAR: "spark.jars",
    Kind.FILE: "spark.files",
    Kind.PYFILE: "spark.submit.pyFiles",
    Kind.ARCHIVE: "spark.archives",
}
"""Spark's property for each kind of dependency."""

_PACKAGES: Final = "spark.jars.packages"


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
class SubmitCommand:
    """A parsed command: program, options in order, main resource and the application's own arguments."""

    program: str
    options: tuple[Option, ...]
    main: str
    arguments: tuple[str, ...]

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

    def written(self) -> list[str]:
        """Return the command as an argument list."""
        options = [argument for option in self.options for argument in option.written()]
        return [self.program, *options, self.main, *self.arguments]


def parse(arguments: Sequence[str]) -> SubmitCommand:
    """Read a whole command line, the program included.

    Raises:
        InvalidRequest: it is no submission that spark-submit would take.
    """
    if not arguments:
        raise InvalidRequest("no command is given; write: spark-staging run -- spark-submit … APP")
    program, rest = arguments[0], list(arguments[1:])
    options: list[Option] = []
    while rest:
        argument = rest.pop(0)
        option = _option(argument, rest)
        if option is None:
            command = SubmitCommand(program=program, options=tuple(options), main=argument, arguments=tuple(rest))
            return _submission(command)
        options.append(option)
    msg = f"{program} has no main resource (a jar, or a Python or R file) after its options"
    raise InvalidRequest(msg)


def _option(argument: str, rest: list[str]) -> Option | None:
    """Return the option that `argument` begins, taking its value from `rest`; None for the main resource."""
    match = _WITH_EQUALS.fullmatch(argument)
    name, value = (match[1], match[2]) if match else (argument, None)
    name = _SHORT.get(name, name)
    if name in _NOT_A_SUBMISSION:
        msg = f"{name} submits nothing; call spark-submit without `spark-staging run`"
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


def _submission(command: SubmitCommand) -> SubmitCommand:
    for option in command.options:
        if option.name == "--conf" and "=" not in (option.value or ""):
            msg = f"--conf {option.value} is not of the form KEY=VALUE"
            raise InvalidRequest(msg)
    if command.main == "run-example":
        raise InvalidRequest("run-example has no dependencies to stage; call spark-submit without `spark-staging run`")
    return command


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A command together with the properties that are in force for it.

    Attributes:
        command: what was typed.
        from_file: properties of `--properties-file` or `spark-defaults.conf`.
        master: in force, `k8s://…`.
        is_cluster: whether the driver runs in the cluster.
    """

    command: SubmitCommand
    from_file: Mapping[str, str]
    master: str
    is_cluster: bool

    @property
    def properties(self) -> dict[str, str]:
        """All properties, `--conf` over the file."""
        return {**self.from_file, **self.command.conf}

    def dependencies(self, kind: Kind, *, option: str) -> tuple[str, str]:
        """Return the list of a kind that is in force, and what names it."""
        value = self.command.last(option)
        if value is not None:
            return value, option
        key = PROPERTIES[kind]
        return self.properties.get(key, ""), key


def submission(
    command: SubmitCommand, *, from_file: Mapping[str, str], master: str | None, deploy_mode: str | None
) -> Submission:
    """Return `command` with its properties.

    Args:
        command: what was typed.
        from_file: properties of the file in force.
        master: Spark's fallback, of the environment.
        deploy_mode: Spark's fallback, of the environment.

    Raises:
        InvalidRequest: it does not go to Kubernetes, or asks for Maven packages.
    """
    properties = {**from_file, **command.conf}
    master = command.last("--master") or properties.get("spark.master") or master
    if master is None or not master.startswith("k8s://"):
        msg = (
            f"the master is {master or 'not given'}; spark-staging serves Kubernetes: --master k8s://https://HOST:PORT"
        )
        raise InvalidRequest(msg)
    if command.has("--packages") or properties.get(_PACKAGES):
        named_by = "--packages" if command.has("--packages") else _PACKAGES
        msg = (
            f"{named_by} would be resolved anew in every driver and served from there to every executor; download the "
            "jars once (mvn dependency:copy-dependencies, or coursier fetch) and name them with --jars"
        )
        raise InvalidRequest(msg)
    if command.has("--extra-properties-file"):
        raise InvalidRequest("--extra-properties-file is not supported; put its lines into the --properties-file")
    mode = command.last("--deploy-mode") or properties.get("spark.submit.deployMode") or deploy_mode or "client"
    if mode not in {"client", "cluster"}:
        msg = f"--deploy-mode is client or cluster, not {mode!r}"
        raise InvalidRequest(msg)
    return Submission(command=command, from_file=from_file, master=master, is_cluster=mode == "cluster")
