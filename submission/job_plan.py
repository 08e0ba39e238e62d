"""A spark-submit command understood: where it goes, what it names, and which Spark it belongs to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import getuid
from pathlib import Path
from pwd import getpwuid
from typing import Final

from staging_protocol.errors import InvalidRequest
from staging_protocol.uris import Locality
from submission.classify import OPTIONS, Dependency, main_dependency, named, split_list
from submission.settings import DEFAULT_NAMESPACE, Environment, Settings
from submission.spark.client_conf import NO_RESOURCE
from submission.spark.command_line import SubmitCommand
from submission.spark.conf import SparkVersion
from submission.spark.contradictions import refuse_contradictions
from submission.spark.effective import NAME, effective, fallbacks, ignored
from submission.spark.installation import (
    Installation,
    any_installation,
    installation,
    known_version,
    version_of_image,
)
from submission.spark.keys import refuse_mistyped, review
from submission.spark.submission import Submission, submission

NAMESPACE_PROPERTY: Final = "spark.kubernetes.namespace"
_IMAGES: Final = ("spark.kubernetes.driver.container.image", "spark.kubernetes.container.image")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A read command: where it goes, and what it names.

    Attributes:
        submission: the command and what belongs to it.
        properties: all that are in force, options included.
        dependencies: what is named, the main resource included.
        namespace: of the job.
        spark: version that decides what is written.
        spark_files: whether files are passed as `spark.files`.
        program: `spark-submit` to be run; None when we submit ourselves.
        conf_folder: folder of `spark-defaults.conf`, whose text files stock Spark puts into the driver's pod.
        user: who submits, as the driver is told by `SPARK_USER`.
        environment: of a child process.
        notes: what the person should know.
    """

    submission: Submission
    properties: Mapping[str, str]
    dependencies: tuple[Dependency, ...]
    namespace: str
    spark: SparkVersion
    spark_files: bool
    program: str | None
    conf_folder: Path | None
    user: str
    environment: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @property
    def staged_dependencies(self) -> list[Dependency]:
        """What goes into the bundle; in client mode everything remote is left to Spark."""
        if self.submission.is_cluster:
            return list(self.dependencies)
        return [item for item in self.dependencies if item.locality is Locality.SUBMITTER_LOCAL]

    def with_dependencies(self, dependencies: Sequence[Dependency]) -> "Plan":
        """Return the plan with these, which are the same ones file by file."""
        return replace(self, dependencies=tuple(dependencies))

    @property
    def application(self) -> str:
        """The application's name, as spark-submit finds it."""
        return self.properties[NAME]


def plan(
    command: SubmitCommand,
    *,
    settings: Settings,
    namespace: str | None,
    spark_version: str | None,
    spark_files: bool,
    environment: Environment,
    runs_spark: bool = True,
) -> Plan:
    """Read everything that the command and the installation say.

    Args:
        command: what the person wrote.
        settings: of the client.
        namespace: of `-n`, which must not contradict the command.
        spark_version: of `--spark-version`.
        spark_files: whether files are passed as `spark.files`.
        environment: of the process.
        runs_spark: whether the command's own program is run, which judges the properties; without, no installation is
            needed.

    Raises:
        InvalidRequest: the command contradicts itself, or stock Spark would refuse it.
    """
    spark = installation(command.program, environment) if runs_spark else any_installation(environment)
    given = _given(command, spark=spark, environment=environment, needs_master=runs_spark)
    properties = effective(given)
    if not runs_spark:
        refuse_mistyped(properties)
        refuse_contradictions(properties, proxy_user=command.last("--proxy-user"))
    version, notes = _version(spark_version, spark, properties=properties)
    variables = dict(environment.variables)
    if spark.home is not None and environment.spark_home is None:
        variables["SPARK_HOME"] = str(spark.home)  # pyspark's scripts do not find it outside an activated environment
    return Plan(
        submission=given,
        properties=properties,
        dependencies=tuple(_dependencies(given)),
        namespace=_namespace(given, asked=namespace, usual=settings.namespace),
        spark=version,
        spark_files=spark_files,
        program=spark.program,
        conf_folder=spark.conf,
        user=_user(command, environment.variables),
        environment=variables,
        notes=(*notes, *ignored(given), *(() if runs_spark else review(properties, spark=version))),
    )


def is_for_cluster(command: SubmitCommand, *, environment: Environment) -> bool:
    """Return whether the command's driver runs in the cluster.

    Raises:
        InvalidRequest: it does not go to Kubernetes, or is not supported.
    """
    spark = any_installation(environment)
    return _given(command, spark=spark, environment=environment, needs_master=False).is_cluster


def dependencies_of(command: SubmitCommand, *, environment: Environment) -> tuple[Dependency, ...]:
    """Return what the command names, wherever its driver runs; its cluster, image and Spark need not be known.

    Raises:
        InvalidRequest: the command contradicts itself, or stock Spark would refuse it.
    """
    spark = any_installation(environment)
    return tuple(_dependencies(_given(command, spark=spark, environment=environment, needs_master=False)))


def _given(command: SubmitCommand, *, spark: Installation, environment: Environment, needs_master: bool) -> Submission:
    return submission(
        command,
        from_file=spark.properties(command),
        from_environment=fallbacks(environment.variables),
        master=environment.master,
        deploy_mode=environment.deploy_mode,
        needs_master=needs_master,
    )


def settings_for(job: Plan, settings: Settings) -> Settings:
    """Return the settings with what the command says about where the job goes."""
    context = settings.context or job.submission.properties.get("spark.kubernetes.context")
    return settings.model_copy(update={"namespace": job.namespace, "context": context})


def _version(
    given: str | None, spark: Installation, *, properties: Mapping[str, str]
) -> tuple[SparkVersion, tuple[str, ...]]:
    """Return the version that counts, and what there is to say about it."""
    image = next((properties[key] for key in _IMAGES if key in properties), "")
    of_image, found = version_of_image(image), spark.version
    if not image and given is None and found is None:
        msg = (
            f"no image is named, and so the version of Spark is not known; give --conf {_IMAGES[-1]}=IMAGE, and "
            "--spark-version X.Y if its tag does not tell"
        )
        raise InvalidRequest(msg)
    version = known_version(given, found or of_image)
    if given is None and found is None:
        return version, (f"taken as Spark {version}, by the name of the image {image}; --spark-version says otherwise",)
    if of_image is not None and of_image != version:
        note = f"the image {image} seems to have Spark {of_image}, but the job is made as Spark {version} makes it"
        return version, (f"{note}; --spark-version decides",)
    return version, ()


def _user(command: SubmitCommand, variables: Mapping[str, str]) -> str:
    """Return the name that `Utils.getCurrentUserName` finds."""
    given = variables.get("SPARK_USER") or command.last("--proxy-user") or variables.get("HADOOP_USER_NAME")
    if given:
        return given
    try:
        return getpwuid(getuid()).pw_name
    except KeyError:  # a container run as a number that has no name there
        return str(getuid())


def _dependencies(given: Submission) -> Iterator[Dependency]:
    for kind, option in OPTIONS.items():
        value, named_by = given.dependencies(kind, option=option)
        yield from named(kind, split_list(value), by=named_by)
    if given.command.main != NO_RESOURCE:
        yield main_dependency(given.command.main)


def _namespace(given: Submission, *, asked: str | None, usual: str | None) -> str:
    of_spark = given.properties.get(NAMESPACE_PROPERTY)
    if asked is not None and of_spark is not None and asked != of_spark:
        msg = f"-n says namespace {asked}, but {NAMESPACE_PROPERTY} says {of_spark}; give one of them"
        raise InvalidRequest(msg)
    return of_spark or asked or usual or DEFAULT_NAMESPACE
