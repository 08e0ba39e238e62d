"""The command that is run instead: templates and properties written, and the arguments that use them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from staging_protocol.pod_contract import Role
from submission.classify import PYTHON_MODULE, Classified, Dependency
from submission.job_plan import NAMESPACE_PROPERTY, Plan
from submission.pods.patch import PodBundle
from submission.pods.templates import arranged, written
from submission.running.rewrite import replaced_properties, rewritten
from submission.spark import client_conf, conf
from submission.spark.command_line import SubmitCommand
from submission.spark.conf import Delivery
from submission.spark.main_class import main_class_of
from submission.spark.properties import format_properties
from submission.spark.submission import Submission


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The rewritten command, and what was told to Spark."""

    command: SubmitCommand
    delivery: Delivery
    environment: Mapping[str, str]


def prepare(
    job: Plan, *, classified: Classified, sizes: Mapping[Dependency, int], pods: PodBundle, folder: Path
) -> Prepared:
    """Write templates and properties into `folder` and return the command that uses them."""
    given = job.submission
    roles = (Role.DRIVER, Role.EXECUTOR) if given.is_cluster else (Role.EXECUTOR,)
    made = arranged(
        roles,
        properties=given.properties,
        pods=pods,
        deliver=lambda properties: _delivery(job, classified=classified, sizes=sizes, properties=properties),
    )
    delivery = made.delivery
    paths = written(made.templates, into=folder)
    told = {
        **delivery.properties,
        **conf.bundle_properties(
            pods.id, driver_template=paths.get(Role.DRIVER), executor_template=paths[Role.EXECUTOR]
        ),
    }
    if given.properties.get(NAMESPACE_PROPERTY) != job.namespace:
        told[NAMESPACE_PROPERTY] = job.namespace
    outside = delivery.main == client_conf.NO_RESOURCE
    command = rewritten(
        given,
        told=told,
        main=delivery.main or given.command.main,
        properties_file=_written_properties(given, folder),
        main_class=_main_class(given, classified.main) if outside else None,
        name=job.application if outside else None,
    )
    environment = _with_python(job.environment, delivery.driver_python, folder=folder)
    return Prepared(command=command, delivery=delivery, environment=environment)


def _delivery(
    job: Plan, *, classified: Classified, sizes: Mapping[Dependency, int], properties: Mapping[str, str]
) -> Delivery:
    if job.submission.is_cluster:
        return conf.deliver(
            classified, size_of=sizes.get, properties=properties, spark=job.spark, spark_files=job.spark_files
        )
    return client_conf.deliver_client(
        classified,
        size_of=sizes.get,
        properties=properties,
        driver_class_path=job.submission.command.last("--driver-class-path"),
        spark_files=job.spark_files,
    )


def _written_properties(given: Submission, folder: Path) -> str | None:
    properties = replaced_properties(given)
    if properties is None:
        return None
    path = folder / "spark.properties"
    path.write_text(format_properties(properties), encoding="utf-8")  # the folder is private, as mkdtemp makes it
    return str(path)


def _main_class(given: Submission, main: Dependency | None) -> str | None:
    return None if main is None or given.command.has("--class") else main_class_of(main)


def _with_python(variables: Mapping[str, str], files: tuple[Dependency, ...], *, folder: Path) -> dict[str, str]:
    """Return the environment in which a driver outside the cluster finds the submitter's own Python files."""
    if not files:
        return dict(variables)
    modules = folder / "python"
    modules.mkdir()
    entries = [str(modules)]
    for item in files:
        path = Path(item.uri.local_path).absolute()
        if item.uri.path.endswith(PYTHON_MODULE):
            (modules / item.target).symlink_to(path)
        else:
            entries.append(str(path))
    entries += filter(None, [variables.get("PYTHONPATH")])
    return {**variables, "PYTHONPATH": ":".join(entries)}
