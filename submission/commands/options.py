"""What the commands share: options, how settings are read from them, and how errors leave."""

import json
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from staging_protocol.errors import InvalidRequest, StagingError, Terminated
from staging_protocol.printable import printable
from submission.progress.style import ProgressStyle

if TYPE_CHECKING:
    from submission.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

_SETTINGS = (
    "url", "token_file", "service_account", "context", "namespace", "ca_file", "allow_plain_http", "init_image",
    "pod_url", "pod_secret", "sources", "sources_config_map", "init_env_from",
)  # fmt: skip


class Output(StrEnum):
    """Values of `--output`."""

    TEXT = "text"
    JSON = "json"


class ValueOf(click.Choice[str]):
    """The values of an enumeration; click's own choice of one shows its names."""

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__([item.value for item in kind])
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the member."""
        return self._kind(super().convert(value, param, ctx))


class StagingCommand(click.Command):
    """A command whose errors are printed as text or JSON and end it with their exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; the errors of the product become click's."""
        try:
            return super().invoke(ctx)
        except Terminated:
            raise
        except StagingError as error:
            as_json = ctx.params.get("output") == Output.JSON or ctx.params.get("progress") is ProgressStyle.JSON
            raise Failed(error, as_json=as_json) from error


class Failed(click.ClickException):
    """An error of the product, as a person or a program reads it."""

    def __init__(self, error: StagingError, *, as_json: bool) -> None:
        super().__init__(error.detail)
        self.exit_code = int(error.exit_code)  # type: ignore[misc] # click documents it as per instance, and annotates it so too late
        self._error = error
        self._as_json = as_json

    def show(self, file: Any = None) -> None:
        """Print to standard error: one line, or one JSON object in the shape of the API's problems."""
        error = self._error
        if not self._as_json:
            click.echo(f"spark-staging: {printable(error.detail, lines=True)}", file=file or sys.stderr)
            return
        problem = {
            "title": error.title,
            "status": error.status,
            "detail": error.detail,
            "code": error.code,
            "retryable": error.retryable,
            "exit_code": self.exit_code,
        }
        click.echo(json.dumps(problem), file=file or sys.stderr)


def way_options(command: F) -> F:
    """Add what counts for all that is reached over a network."""
    for option in (
        click.option("--allow-plain-http", is_flag=True, default=None, help="Send tokens over plain HTTP."),
        click.option("--ca-file", type=click.Path(path_type=Path), help="PEM file of authorities to trust besides."),
    ):
        command = option(command)
    return command


def connection_options(command: F) -> F:
    """Add what is needed to reach the server."""
    for option in (
        way_options,
        context_option,
        click.option(
            "--service-account",
            metavar="[NS/]NAME",
            help="Be this service account to a server with Kubernetes' identity.",
        ),
        click.option("--token-file", type=click.Path(path_type=Path), help="File that holds the access token."),
        click.option("--url", metavar="URL", help="URL of the staging server."),
    ):
        command = option(command)
    return command


def context_option(command: F) -> F:
    """Add `--context`."""
    return click.option("--context", metavar="NAME", help="Context of the kubeconfig. Default: its current one.")(
        command
    )


def namespace_option(command: F) -> F:
    """Add `-n`."""
    return click.option("-n", "--namespace", metavar="NAME", help="Kubernetes namespace of the job.")(command)


def all_namespaces_option(command: F) -> F:
    """Add `-A`."""
    return click.option("-A", "--all-namespaces", is_flag=True, help="Of all namespaces (for operators).")(command)


def scope_of(parameters: dict[str, Any], *, namespace: str) -> str | None:
    """Return `namespace`, or None with `-A`.

    Raises:
        UsageError: both were given.
    """
    if parameters["all_namespaces"] and parameters["namespace"]:
        msg = "--all-namespaces and --namespace exclude each other"
        raise click.UsageError(msg)
    return None if parameters["all_namespaces"] else namespace


def sources_option(command: F) -> F:
    """Add `--sources`."""
    return click.option(
        "--sources",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="sources.json: how the places of remote dependencies are reached.",
    )(command)


def output_option(command: F) -> F:
    """Add `-o`."""
    return click.option("-o", "--output", type=ValueOf(Output), default=Output.TEXT.value, help="Form of the result.")(
        command
    )


def progress_option(command: F) -> F:
    """Add `--progress`."""
    return click.option(
        "--progress",
        type=ValueOf(ProgressStyle),
        default=ProgressStyle.AUTO.value,
        help="How progress is told on standard error; auto: a bar on a terminal.",
    )(command)


def pod_options(command: F) -> F:
    """Add what decides about templates and properties."""
    for option in (
        click.option(
            "--pod-secret",
            is_flag=True,
            default=None,
            help="Give pods a Secret with the bundle token, though the server knows pods: for another cluster's.",
        ),
        click.option("--pod-url", metavar="URL", help="URL at which pods reach the server."),
        click.option(
            "--sources-config-map",
            metavar="NAME",
            help="Pods take sources.json from this ConfigMap; --sources counts here, and names their Secrets.",
        ),
        click.option(
            "--init-env-from",
            metavar="SECRETS",
            help="Secrets whose keys become variables of the init container, with commas between them.",
        ),
        click.option("--init-image", metavar="IMAGE", help="Image of the init container."),
        click.option(
            "--spark-files/--no-spark-files",
            "spark_files",
            default=True,
            help="Whether files are also passed as spark.files, for SparkFiles.get in the driver.",
        ),
        click.option("--spark-version", metavar="X.Y", help="Version of Spark. Default: that of the installation."),
    ):
        command = option(command)
    return command


def dependency_options(command: F) -> F:
    """Add the four lists of dependencies, as spark-submit has them, the main resource, and what they are for."""
    for option in (
        click.option(
            "--owner",
            metavar="[API_VERSION/]KIND/NAME",
            help="Object whose life keeps the bundle, which may not exist yet: Pod, Job, SparkApplication, "
            "ScheduledSparkApplication.",
        ),
        click.option("--name", "application", metavar="APP", help="Name of the application."),
        list_options,
        click.argument("main", metavar="[MAIN]", required=False),
    ):
        command = option(command)
    return command


def list_options(command: F) -> F:
    """Add the four lists of dependencies, as spark-submit has them."""
    for option in (
        click.option("--archives", metavar="LIST", multiple=True, help="Archives, each with #FOLDER as it is wanted."),
        click.option("--py-files", metavar="LIST", multiple=True, help="Python files: .py, .zip, .egg, .whl."),
        click.option("--files", metavar="LIST", multiple=True, help="Files for the working folder."),
        click.option(
            "--jars", metavar="LIST", multiple=True, help="Jars, separated by commas; globs and folders are expanded."
        ),
    ):
        command = option(command)
    return command


def settings_of(parameters: dict[str, Any]) -> "Settings":
    """Return the settings with the command's flags on top."""
    from submission.settings import read_settings

    return read_settings({name: parameters.get(name) for name in _SETTINGS})


def bundle_id(text: str) -> Any:
    """Return a bundle id given as argument."""
    from staging_protocol.tokens import BundleId

    return BundleId(text)


def write_private(path: Path, text: str) -> None:
    """Write a secret to a file that only its owner can read, whatever was there before."""
    import os

    try:
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as target:
            target.write(text)
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}"
        raise InvalidRequest(msg) from error
