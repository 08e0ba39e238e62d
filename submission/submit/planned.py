"""From the plan of a command to the objects of its driver: templates, properties, the main resource, files.

Called twice: for the preflight with a bundle that stands for the one to come, and then with the real one.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from staging_protocol.errors import InvalidRequest
from staging_protocol.manifest import Kind
from staging_protocol.pod_contract import Role
from staging_protocol.tokens import BundleId
from submission.classify import Classified, Dependency
from submission.driver.job import DriverJob, DriverObjects, KubeObject, Language, MainResource
from submission.driver.objects import driver_objects
from submission.job_plan import Plan
from submission.pods.merge import Template
from submission.pods.patch import PodBundle
from submission.pods.templates import arranged, own_template
from submission.spark import conf
from submission.spark.client_conf import NO_RESOURCE
from submission.spark.command_line import PROPERTIES
from submission.spark.conf import Delivery
from submission.spark.effective import MASTER, for_driver
from submission.submit.conf_files import credentials, file_bytes, file_text, in_image, text_files, yaml_object
from submission.submit.identity import Identity
from submission.submit.options import PodSecurity
from submission.submit.pod_security import SPARK_USER, check_executors, check_restricted, restricted

_IMAGE: Final = "spark.kubernetes.container.image"
_KRB5: Final = "spark.kubernetes.kerberos.krb5.path"
_HADOOP_CONF: Final = "HADOOP_CONF_DIR"
_LANGUAGES: Final = {Kind.PYFILE: Language.PYTHON, Kind.FILE: Language.R}
_KEYTAB: Final = "spark.kerberos.keytab"
_POD_GROUP: Final = "spark.kubernetes.scheduler.volcano.podGroupTemplateFile"
_MOUNTED: Final = frozenset({"ConfigMap", "Secret", "PersistentVolumeClaim"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """All objects of a job, in the order of their creation.

    Attributes:
        early: there before the pod, because it mounts them or cannot be scheduled without; owned by it afterwards.
        pod: the driver.
        late: created with the pod as their owner.
        notes: what the person should know.
    """

    early: tuple[KubeObject, ...]
    pod: KubeObject
    late: tuple[KubeObject, ...]
    notes: tuple[str, ...]

    @property
    def objects(self) -> tuple[KubeObject, ...]:
        """All of them."""
        return (*self.early, self.pod, *self.late)

    def with_early(self, obj: KubeObject) -> "Planned":
        """Return the same with another object that the pod mounts."""
        return replace(self, early=(obj, *self.early))


@dataclass(frozen=True, kw_only=True)
class Job:
    """One submission, before it is known which bundle it has.

    Attributes:
        plan: what the person wrote, understood.
        identity: the ids.
        classified: all dependencies, globs expanded.
        master: the API server, as the driver is told.
        pod_security: profile that all containers shall pass.
        user: of Spark's container with that profile, where nobody names one; None: the cluster gives it one.
    """

    plan: Plan
    identity: Identity
    classified: Classified
    master: str
    pod_security: PodSecurity | None
    user: int | None = SPARK_USER

    @property
    def needs_bundle(self) -> bool:
        """Whether there is anything that is not in the image already."""
        return bool(self.classified.staged or self.classified.remote)

    def planned(self, pods: PodBundle | None, *, sizes: Mapping[Dependency, int]) -> Planned:
        """Return the objects; `pods` is what they have to know of the bundle.

        Raises:
            InvalidRequest, NotFound: a setting cannot be obeyed.
            RefusedByPolicy: a pod does not pass the profile that was asked for.
        """
        delivery, templates = self._arranged(pods, sizes=sizes)
        if self.pod_security is not None:
            check_executors(self.plan.properties)
            templates = {role: self._restricted(role, template) for role, template in templates.items()}
        made = driver_objects(self._driver_job(delivery, templates))
        if self.pod_security is not None:
            check_restricted(made.pod, what="driver")
        return self._marked(made, bundle=None if pods is None else pods.id, notes=delivery.notes)

    def _arranged(
        self, pods: PodBundle | None, *, sizes: Mapping[Dependency, int]
    ) -> tuple[Delivery, Mapping[Role, Template | None]]:
        if pods is None:
            properties = self.plan.properties
            lists = {key: properties[key] for key in PROPERTIES.values() if properties.get(key)}
            return Delivery(properties=lists, main=None), {
                role: own_template(role, properties=properties).content for role in Role
            }
        made = arranged(
            Role,
            properties=self.plan.properties,
            pods=pods,
            deliver=lambda properties: conf.deliver(
                self.classified,
                size_of=sizes.get,
                properties=properties,
                spark=self.plan.spark,
                spark_files=self.plan.spark_files,
            ),
        )
        return made.delivery, made.templates

    def _restricted(self, role: Role, template: Template | None) -> Template:
        container = self.plan.properties.get(f"spark.kubernetes.{role}.podTemplateContainerName")
        pod = restricted(template, role=role, container=container, user=self.user)
        check_restricted(pod, what=str(role))
        return pod

    def _driver_job(self, delivery: Delivery, templates: Mapping[Role, Template | None]) -> DriverJob:
        plan, identity = self.plan, self.identity
        main = self._main(delivery)
        properties = for_driver(
            {**plan.properties, MASTER: self.master},
            told={**delivery.properties, **identity.properties()},
            main=main.uri if main.language is Language.JAVA and main.uri != NO_RESOURCE else None,
            submitted=time.time_ns() // 1_000_000,
        )
        krb5, keytab, pod_group = (properties.get(key) for key in (_KRB5, _KEYTAB, _POD_GROUP))
        executor = templates[Role.EXECUTOR]
        return DriverJob(
            spark=plan.spark,
            application=plan.application,
            application_id=identity.application,
            unique_id=identity.unique,
            namespace=plan.namespace,
            properties=properties,
            main=main,
            driver_template=templates[Role.DRIVER],
            # JSON is YAML, and is written in a hundredth of the time.
            executor_template=None if executor is None else json.dumps(executor, indent=2, default=str),
            proxy_user=plan.submission.command.last("--proxy-user"),
            user=plan.user,
            spark_conf_files=text_files(plan.conf_folder, properties=properties),
            hadoop_conf_files=text_files(self._hadoop_conf, properties=properties),
            krb5_conf=None if krb5 is None else file_text(krb5, by=_KRB5),
            credentials=credentials(properties),
            keytab=None if keytab is None or in_image(keytab) else file_bytes(keytab, by=_KEYTAB),
            pod_group=None if pod_group is None else yaml_object(pod_group, by=_POD_GROUP),
            environment=plan.environment,
        )

    @property
    def _hadoop_conf(self) -> Path | None:
        folder = self.plan.environment.get(_HADOOP_CONF)
        return Path(folder) if folder else None

    def _main(self, delivery: Delivery) -> MainResource:
        command = self.plan.submission.command
        main = self.classified.main
        language = Language.JAVA if main is None else _LANGUAGES.get(main.kind, Language.JAVA)
        return MainResource(
            language=language,
            uri=delivery.main or command.main,
            main_class=self._main_class if language is Language.JAVA else None,
            arguments=command.arguments,
        )

    @cached_property
    def _main_class(self) -> str:
        given = self.plan.submission.command.last("--class")
        if given is not None:
            return given
        if self.classified.main is None:
            msg = f"the main resource {self.plan.submission.command.main} needs --class"
            raise InvalidRequest(msg)
        from submission.spark.main_class import main_class_of  # which brings zipfile

        return main_class_of(self.classified.main)

    def _marked(self, made: DriverObjects, *, bundle: BundleId | None, notes: tuple[str, ...]) -> Planned:
        def marked(objects: Iterable[KubeObject]) -> tuple[KubeObject, ...]:
            return tuple(self.identity.marked(obj, bundle=bundle) for obj in objects)

        return Planned(
            early=marked([*made.before, *(obj for obj in made.owned if obj["kind"] in _MOUNTED)]),
            pod=self.identity.marked(made.pod, bundle=bundle),
            late=marked(obj for obj in made.owned if obj["kind"] not in _MOUNTED),
            notes=notes,
        )


def check_image(properties: Mapping[str, str]) -> None:
    """Refuse a job without images.

    Raises:
        InvalidRequest: driver or executors have none.
    """
    if properties.get(_IMAGE):
        return
    missing = [role for role in Role if not properties.get(f"spark.kubernetes.{role}.container.image")]
    if missing:
        msg = f"no image is named for {' and '.join(missing)}; give --conf {_IMAGE}=IMAGE, an image with Spark in it"
        raise InvalidRequest(msg)
