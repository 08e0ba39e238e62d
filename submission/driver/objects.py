"""All objects of a driver: the feature steps of stock Spark, one after the other (`KubernetesDriverBuilder`).

Each step is known by the class that does it in Spark, since properties name those.  A class of the user's own is Java
code, which cannot run here: it is an error that says so.  Pure.
"""

from collections.abc import Callable, Iterator
from typing import Final

from staging_protocol.errors import InvalidRequest
from submission.driver import abilities
from submission.driver.basic import basic
from submission.driver.building import Building
from submission.driver.command import command
from submission.driver.conf import Conf
from submission.driver.conf_map import conf_map
from submission.driver.credentials import credentials
from submission.driver.executor_template import executor_template
from submission.driver.hadoop import hadoop
from submission.driver.job import DriverJob, DriverObjects
from submission.driver.kerberos import kerberos
from submission.driver.local_dirs import local_dirs
from submission.driver.names import names_of
from submission.driver.network_policy import network_policy
from submission.driver.secrets import mounted_secrets, secret_variables
from submission.driver.service import service
from submission.driver.template import CONTAINER_NAME, taken_apart
from submission.driver.volcano import volcano
from submission.driver.volumes import volumes

Step = Callable[[Building], Building]

_STEPS: Final[dict[str, Step]] = {
    "BasicDriverFeatureStep": basic,
    "DriverKubernetesCredentialsFeatureStep": credentials,
    "DriverServiceFeatureStep": service,
    "NetworkPolicyFeatureStep": network_policy,
    "MountSecretsFeatureStep": mounted_secrets,
    "EnvSecretsFeatureStep": secret_variables,
    "MountVolumesFeatureStep": volumes,
    "DriverCommandFeatureStep": command,
    "HadoopConfDriverFeatureStep": hadoop,
    "KerberosConfDriverFeatureStep": kerberos,
    "PodTemplateConfigMapStep": executor_template,
    "LocalDirsFeatureStep": local_dirs,
}
"""In Spark's order, which is the order of variables, volumes and objects."""

_OPTIONAL: Final[dict[str, Step]] = {"VolcanoFeatureStep": volcano}
_PACKAGE: Final = "org.apache.spark.deploy.k8s.features."
_ADDED: Final = "spark.kubernetes.driver.pod.featureSteps"
_EXCLUDED: Final = "spark.kubernetes.driver.pod.excludedFeatureSteps"
_NEEDED: Final = "BasicDriverFeatureStep"


def driver_objects(job: DriverJob) -> DriverObjects:
    """Return what is created for `job`; objects have a namespace, and no owner yet.

    Raises:
        InvalidRequest: a setting cannot be obeyed; it is named together with what to do.
        TooLarge: a ConfigMap would be larger than Kubernetes takes.
    """
    building = _begun(job)
    for step in _steps(building):
        building = step(building)
    building = conf_map(building)
    # Spark puts its own container behind those of the template.
    building = building.with_spec(containers=[*building.spec_list("containers"), building.container])
    return DriverObjects(before=building.before, pod=building.pod, owned=building.owned)


def _begun(job: DriverJob) -> Building:
    conf = Conf(job.properties, job.environment)
    pod, container = taken_apart(job.driver_template, container=conf.optional(CONTAINER_NAME))
    name = conf.optional("spark.kubernetes.driver.pod.name")
    return Building(
        job=job,
        conf=conf,
        names=names_of(job.application, unique_id=job.unique_id, pod=name),
        pod=pod,
        container=container,
        properties=dict(job.properties),
    )


def _steps(building: Building) -> Iterator[Step]:
    excluded = set(building.conf.items(_EXCLUDED)) if building.since(abilities.EXCLUDED_STEPS) else set()
    if f"{_PACKAGE}{_NEEDED}" in excluded:
        msg = f"{_EXCLUDED} has {_NEEDED}, without which there is no driver; remove it"
        raise InvalidRequest(msg)
    optional = {f"{_PACKAGE}{name}": step for name, step in _OPTIONAL.items()}
    added = building.conf.items(_ADDED)
    for name in added:
        if name not in optional:
            msg = (
                f"{_ADDED} names {name}, which is Java code and cannot run here; put what it does into the driver's "
                "pod template, or submit with: spark-staging run -- spark-submit …"
            )
            raise InvalidRequest(msg)
    steps = {f"{_PACKAGE}{name}": step for name, step in _STEPS.items()} | {name: optional[name] for name in added}
    yield from (step for name, step in steps.items() if name not in excluded)
