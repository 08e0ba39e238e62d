"""A spark-submit command understood: where it goes, what it names, and which Spark it belongs to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from staging_protocol.errors import InvalidRequest
from staging_protocol.uris import Locality
from submission.classify import OPTIONS, Dependency, main_dependency, named, split_list
from submission.settings import DEFAULT_NAMESPACE, Environment, Settings
from submission.spark_conf import SparkVersion
from submission.spark_installation import installation, known_version
from submission.spark_submit import Submission, SubmitCommand, submission

NAMESPACE_PROPERTY: Final = "spark.kubernetes.namespace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A read command: where it goes, and what it names."""

    submission: Submission
    dependencies: tuple[Dependency, ...]
    namespace: str
    spark: SparkVersion
    spark_files: bool
    program: str
    environment: Mapping[str, str]

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
        command = self.submission.command
        given = command.last("--name") or self.submission.properties.get("spark.app.name")
        return given or main_dependency(command.main).target


def plan(
    command: SubmitCommand,
    *,
    settings: Settings,
    namespace: str | None,
    spark_version: str | None,
    spark_files: bool,
    environment: Environment,
) -> Plan:
    """Read everything that the command and the installation say.

    Args:
        command: what the person wrote.
        settings: of the client.
        namespace: of `-n`, which must not contradict the command.
        spark_version: of `--spark-version`.
        spark_files: whether files are passed as `spark.files`.
        environment: of the process.
    """
    spark = installation(command.program, environment)
    given = submission(
        command,
        from_file=spark.properties(command),
        master=environment.master,
        deploy_mode=environment.deploy_mode,
    )
    variables = dict(environment.variables)
    if spark.home is not None and environment.spark_home is None:
        variables["SPARK_HOME"] = str(spark.home)  # pyspark's scripts do not find it outside an activated environment
    return Plan(
        submission=given,
        dependencies=tuple(_dependencies(given)),
        namespace=_namespace(given, asked=namespace, usual=settings.namespace),
        spark=known_version(spark_version, spark.version),
        spark_files=spark_files,
        program=spark.program,
        environment=variables,
    )


def settings_for(job: Plan, settings: Settings) -> Settings:
    """Return the settings with what the command says about where the job goes."""
    context = settings.context or job.submission.properties.get("spark.kubernetes.context")
    return settings.model_copy(update={"namespace": job.namespace, "context": context})


def _dependencies(given: Submission) -> Iterator[Dependency]:
    for kind, option in OPTIONS.items():
        value, named_by = given.dependencies(kind, option=option)
        yield from named(kind, split_list(value), by=named_by)
    yield main_dependency(given.command.main)


def _namespace(given: Submission, *, asked: str | None, usual: str | None) -> str:
    of_spark = given.properties.get(NAMESPACE_PROPERTY)
    if asked is not None and of_spark is not None and asked != of_spark:
        msg = f"-n says namespace {asked}, but {NAMESPACE_PROPERTY} says {of_spark}; give one of them"
        raise InvalidRequest(msg)
    return of_spark or asked or usual or DEFAULT_NAMESPACE
