"""A command together with the properties that are in force for it, and the cluster that it goes to.

Precedence of what is named twice (`SparkSubmitArguments`): an option, then `--conf`, then the properties file or
`spark-defaults.conf`.  Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from staging_protocol.errors import InvalidRequest
from staging_protocol.manifest import Kind
from submission.spark.command_line import PROPERTIES, SubmitCommand

_PACKAGES: Final = "spark.jars.packages"
_KUBERNETES: Final = "k8s://"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A command together with the properties that are in force for it.

    Attributes:
        command: what was typed.
        from_file: properties of `--properties-file` or `spark-defaults.conf`.
        from_environment: what counts where nothing else is said (`SPARK_DRIVER_MEMORY`), by property.
        master: in force, `k8s://…`; None: the cluster of the kubeconfig.
        is_cluster: whether the driver runs in the cluster.
    """

    command: SubmitCommand
    from_file: Mapping[str, str]
    from_environment: Mapping[str, str] = field(default_factory=dict)
    master: str | None
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
    command: SubmitCommand,
    *,
    from_file: Mapping[str, str],
    master: str | None,
    deploy_mode: str | None,
    from_environment: Mapping[str, str] = MappingProxyType({}),
    needs_master: bool = True,
) -> Submission:
    """Return `command` with its properties.

    Args:
        command: what was typed.
        from_file: properties of the file in force.
        master: Spark's fallback, of the environment.
        deploy_mode: Spark's fallback, of the environment.
        from_environment: Spark's other fallbacks, by property.
        needs_master: whether no master is an error; else the kubeconfig says which cluster it is.

    Raises:
        InvalidRequest: it does not go to Kubernetes, or asks for Maven packages.
    """
    properties = {**from_file, **command.conf}
    master = command.last("--master") or properties.get("spark.master") or master
    if (master is None and needs_master) or (master is not None and not master.startswith(_KUBERNETES)):
        msg = (
            f"the master is {master or 'not given'}; spark-staging serves Kubernetes: --master k8s://https://HOST:PORT"
        )
        raise InvalidRequest(msg)
    _refuse_unsupported(command, properties)
    mode = command.last("--deploy-mode") or properties.get("spark.submit.deployMode") or deploy_mode or "client"
    if mode not in {"client", "cluster"}:
        msg = f"--deploy-mode is client or cluster, not {mode!r}"
        raise InvalidRequest(msg)
    return Submission(
        command=command,
        from_file=from_file,
        from_environment=from_environment,
        master=master,
        is_cluster=mode == "cluster",
    )


def _refuse_unsupported(command: SubmitCommand, properties: Mapping[str, str]) -> None:
    if command.has("--packages") or properties.get(_PACKAGES):
        named_by = "--packages" if command.has("--packages") else _PACKAGES
        msg = (
            f"{named_by} would be resolved anew in every driver and served from there to every executor; download the "
            "jars once (mvn dependency:copy-dependencies, or coursier fetch) and name them with --jars"
        )
        raise InvalidRequest(msg)
    if command.has("--extra-properties-file"):
        raise InvalidRequest("--extra-properties-file is not supported; put its lines into the --properties-file")
    if command.has("--remote"):
        raise InvalidRequest("--remote is for Spark Connect, which sends files itself (addArtifacts); leave it out")
