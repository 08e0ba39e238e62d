"""A job as its objects are made from it: everything is decided, nothing is looked up any more.  Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from submission.spark.conf import SparkVersion

KubeObject = dict[str, Any]
"""A Kubernetes object as JSON has it."""


class Language(StrEnum):
    """What the main resource is written in."""

    JAVA = "java"
    PYTHON = "python"
    R = "r"


@dataclass(frozen=True, slots=True, kw_only=True)
class MainResource:
    """The application itself.

    Attributes:
        language: decides the main class of Python and R.
        uri: as the driver is told it; `spark-internal` when the class is on the class path already.
        main_class: of a jar; for Python and R it is Spark's own runner, whatever is given.
        arguments: of the application, kept as a list.
    """

    language: Language
    uri: str
    main_class: str | None
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverJob:
    """One submission.

    Attributes:
        spark: version in the image; decides which objects there are and what they look like.
        application: name as the person gave it.
        application_id: `spark-` and 32 hex digits (label `spark-app-selector`), or `spark.app.id`.
        unique_id: what names of objects end with: hex digits of time and chance (`KubernetesUtils.uniqueID`).
        namespace: of all objects.
        properties: in force, options and ours included; what is not acted upon here reaches the driver with the rest.
        main: the application.
        driver_template: pod template, the user's with ours merged in; None: there is none.
        executor_template: text of the executors' template, which the driver reads from a ConfigMap; None: none.
        proxy_user: of `--proxy-user`.
        user: who submits (`SPARK_USER`).
        environment: variables of the submitter that Spark reads: SPARK_LOCAL_DIRS, PYSPARK_PYTHON,
            PYSPARK_DRIVER_PYTHON, and what `${env:…}` in properties names.
        spark_conf_files: text files of SPARK_CONF_DIR by name, which go into the driver's ConfigMap.
        hadoop_conf_files: files of HADOOP_CONF_DIR by name.
        krb5_conf: text of `spark.kubernetes.kerberos.krb5.path`.
        keytab: bytes of `spark.kerberos.keytab`, when that is on this machine.
        pod_group: content of `spark.kubernetes.scheduler.volcano.podGroupTemplateFile`.
        credentials: bytes of the files that `spark.kubernetes.authenticate.driver.*` names, by key of the Secret.
    """

    spark: SparkVersion
    application: str
    application_id: str
    unique_id: str
    namespace: str
    properties: Mapping[str, str]
    main: MainResource
    driver_template: KubeObject | None = None
    executor_template: str | None = None
    proxy_user: str | None = None
    user: str
    environment: Mapping[str, str] = field(default_factory=dict)
    spark_conf_files: Mapping[str, str] = field(default_factory=dict)
    hadoop_conf_files: Mapping[str, str] = field(default_factory=dict)
    krb5_conf: str | None = None
    keytab: bytes | None = None
    pod_group: KubeObject | None = None
    credentials: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverObjects:
    """What is created, in this order.

    Attributes:
        before: without an owner yet, as Volcano's PodGroup; owned by the pod once it is there.
        pod: the driver.
        owned: by the pod, in the order in which stock Spark creates them.
    """

    before: tuple[KubeObject, ...] = ()
    pod: KubeObject
    owned: tuple[KubeObject, ...] = ()
