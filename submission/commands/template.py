"""`spark-staging template`."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from staging_protocol.errors import InvalidRequest
from submission.commands.naming import checking_options
from submission.commands.options import (
    Output,
    StagingCommand,
    connection_options,
    dependency_options,
    namespace_option,
    output_option,
    pod_options,
    progress_option,
    settings_of,
    sources_option,
    write_private,
)

if TYPE_CHECKING:
    from submission.pods.patch import PodBundle
    from submission.settings import Settings
    from submission.spark.conf import Delivery, SparkVersion
    from submission.staging.stage import Staged


@click.command("template", cls=StagingCommand)
@dependency_options
@click.option(
    "--into",
    "folder",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder for driver.yaml, executor.yaml, and spark.properties.",
)
@click.option("--driver-template", type=click.Path(), help="Your own driver template, to be merged.")
@click.option("--executor-template", type=click.Path(), help="Your own executor template, to be merged.")
@click.option("-c", "--conf", "conf", multiple=True, metavar="KEY=VALUE", help="Your own properties, to be merged.")
@click.option(
    "--secret",
    type=click.Path(path_type=Path),
    help="Write the Secret with the token as YAML (0600); pods then need it.",
)
@checking_options
@sources_option
@pod_options
@namespace_option
@connection_options
@output_option
@progress_option
def COMMAND(**parameters: Any) -> None:  # noqa: N802 - the name by which the group finds it
    """Stage, and write pod templates and --conf lines for a stock spark-submit in cluster mode.

    \b
    Example:
      spark-staging template --jars lib.jar app.jar --into pods --secret secret.yaml > lines
      kubectl apply -f secret.yaml
      eval "spark-submit --master k8s://... --deploy-mode cluster --class demo.Main $(tr '\\n' ' ' < lines)"

    The last line is the main resource.  pods/spark.properties holds the same properties as the lines.
    """  # noqa: D301 - \b is click's mark for text that keeps its lines
    from submission.commands.stage import stage_named
    from submission.progress.style import shown

    # Who asks for the Secret wants it to be used.
    settings = settings_of({**parameters, "pod_secret": parameters["secret"] is not None or parameters["pod_secret"]})
    properties = _own_properties(parameters)
    spark = _spark_version(parameters)
    with shown(parameters["progress"]) as progress:
        staged = stage_named(parameters, settings=settings, progress=progress)
    told = _Templates(parameters, properties=properties, spark=spark, staged=staged, settings=settings).write()
    _print(told, staged=staged, parameters=parameters)


def _own_properties(parameters: dict[str, Any]) -> dict[str, str]:
    properties: dict[str, str] = {}
    for text in parameters["conf"]:
        key, separator, value = text.partition("=")
        if not separator:
            msg = f"--conf {text} is not of the form KEY=VALUE"
            raise InvalidRequest(msg)
        properties[key.strip()] = value
    for role in ("driver", "executor"):
        if parameters[f"{role}_template"]:
            properties[f"spark.kubernetes.{role}.podTemplateFile"] = parameters[f"{role}_template"]
    return properties


def _spark_version(parameters: dict[str, Any]) -> "SparkVersion":
    from submission.settings import Environment
    from submission.spark.installation import installation, known_version

    if parameters["spark_version"] is not None:
        return known_version(parameters["spark_version"], None)
    try:
        return known_version(None, installation("spark-submit", Environment.read()).version)
    except InvalidRequest as error:
        raise InvalidRequest("the version of Spark is not known here; give --spark-version") from error


class _Templates:
    """Everything that is written for one staged bundle."""

    def __init__(
        self,
        parameters: dict[str, Any],
        *,
        properties: dict[str, str],
        spark: "SparkVersion",
        staged: "Staged",
        settings: "Settings",
    ) -> None:
        self._parameters = parameters
        self._properties = properties
        self._spark = spark
        self._staged = staged
        self._settings = settings

    def write(self) -> dict[str, Any]:
        """Write templates, properties and the Secret; return what is to be printed."""
        from staging_protocol.pod_contract import Role
        from submission.pods.templates import arranged, pods_of, written
        from submission.spark import conf
        from submission.spark.properties import format_properties

        staged, folder = self._staged, self._parameters["folder"]
        pods = pods_of(staged, settings=self._settings)
        made = arranged(Role, properties=self._properties, pods=pods, deliver=self._delivery)
        delivery = made.delivery
        _make_folder(folder)
        paths = written(made.templates, into=folder)
        told = {
            **delivery.properties,
            **conf.bundle_properties(
                staged.id, driver_template=paths[Role.DRIVER], executor_template=paths[Role.EXECUTOR]
            ),
        }
        (folder / "spark.properties").write_text(format_properties(told), encoding="utf-8")
        self._write_secret()
        return {
            "bundle": str(staged.id),
            "namespace": staged.namespace,
            "properties": told,
            "main": delivery.main,
            "bytes_from_driver": delivery.from_driver,
            "notes": [*delivery.notes, *self._notes(pods)],
        }

    def _delivery(self, properties: Mapping[str, str]) -> "Delivery":
        from submission.spark import conf

        return conf.deliver(
            self._staged.classified,
            size_of=self._staged.sizes.get,
            properties=properties,
            spark=self._spark,
            spark_files=self._parameters["spark_files"],
        )

    def _write_secret(self) -> None:
        import yaml

        from submission.bundle_secret import bundle_secret

        staged, path = self._staged, self._parameters["secret"]
        if path is not None:
            secret = bundle_secret(staged.id, namespace=staged.namespace, token=staged.token, pods=staged.pods)
            write_private(path, yaml.safe_dump(secret, sort_keys=False))

    def _notes(self, pods: "PodBundle") -> list[str]:
        from staging_protocol.pod_contract import TOKEN_KEY, secret_name
        from submission.pods.templates import is_loopback

        staged, path, url = self._staged, self._parameters["secret"], pods.url
        notes = (
            [f"pods cannot reach {url}, which is this machine; set SPARK_STAGING_POD_URL"] if is_loopback(url) else []
        )
        notes += [
            f"pods read credentials from the Secret {secret} ({', '.join(keys)}) in namespace {pods.namespace}"
            for secret, keys in pods.sources.secrets.items()
        ]
        if pods.token_audience is not None:
            return [*notes, "pods read with their own tokens, which the server knows: no Secret is needed"]
        if path is not None:
            return [*notes, f"create the Secret before the job: kubectl apply -f {shlex.quote(str(path))}"]
        name = secret_name(staged.id)
        return [
            *notes,
            f"pods need the Secret {name} with the bundle token as {TOKEN_KEY}; see --secret FILE",
        ]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{folder} cannot be made: {error.strerror}"
        raise InvalidRequest(msg) from error


def _print(told: dict[str, Any], *, staged: "Staged", parameters: dict[str, Any]) -> None:
    if parameters["output"] is Output.JSON:
        from submission.commands.stage import staged_fields

        click.echo(json.dumps({**staged_fields(staged, show_token=False), **told}, indent=2))
        return
    for key, value in told["properties"].items():
        click.echo(f"--conf {shlex.quote(f'{key}={value}')}")
    if told["main"] is not None:
        click.echo(shlex.quote(told["main"]))
    for note in told["notes"]:
        click.echo(f"note: {note}", err=True)
