"""What submitters put into pods and the init container finds there: names, paths and environment.

    /var/spark-data/spark-jars|spark-files|spark-pyfiles   volume `spark-staging`, read-only for Spark
    /var/spark-work                                        volume `spark-work`, working folder of the Spark container
    /var/run/secrets/spark-staging/token, ca.crt           projected token, or Secret; in the init container only
    /etc/spark-staging/sources.json                        only where a source needs settings; an annotation's text
    /var/run/secrets/spark-staging-sources/<secret>/<key>  credentials of sources; in the init container only

Each dependency is in exactly one of these folders.  Archives are unpacked into the working folder.  Files are in the
working folder too, unless Spark itself is given them as `spark.files`: stock Spark deletes a file of that name from the
driver's working folder and then fails to find it, so there they go to `spark-files` (`FilesIn.DATA`).
"""

from enum import StrEnum
from typing import Final

from staging_protocol.manifest import Kind
from staging_protocol.tokens import BundleId

LABEL: Final = "spark-staging.io/bundle"
MANIFEST_ANNOTATION: Final = "spark-staging.io/manifest-digest"
CA_ANNOTATION: Final = "spark-staging.io/ca"
"""PEM text of the server's authority, which becomes `ca.crt` beside a projected token."""
SERVER_ANNOTATION: Final = "spark-staging.io/server"
"""URL for pods of the server whose token a Secret holds."""
SOURCES_ANNOTATION: Final = "spark-staging.io/sources"
"""JSON of `SourceSettings`, which becomes `sources.json`; it holds no secret."""
TOKEN_AUDIENCE: Final = "spark-staging"  # noqa: S105 - the audience of a token, not a token

INIT_CONTAINER: Final = "spark-staging-init"
DATA_VOLUME: Final = "spark-staging"
WORK_VOLUME: Final = "spark-work"
TOKEN_SECONDS: Final = 3600
"""Life of a projected token; the kubelet replaces it after 80 % of it."""
SECRET_VOLUME: Final = "spark-staging-token"  # noqa: S105 - the name of a volume
SOURCES_VOLUME: Final = "spark-staging-sources"
SOURCE_SECRETS_VOLUME: Final = "spark-staging-source-secrets"
NO_API_TOKEN_VOLUME: Final = "spark-staging-no-api-token"  # noqa: S105 - the name of a volume

DATA_FOLDER: Final = "/var/spark-data"
WORK_FOLDER: Final = "/var/spark-work"
SECRET_FOLDER: Final = "/var/run/secrets/spark-staging"  # noqa: S105 - a path
SOURCE_SECRETS_FOLDER: Final = "/var/run/secrets/spark-staging-sources"
API_TOKEN_FOLDER: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
SETTINGS_FOLDER: Final = "/etc/spark-staging"
TERMINATION_MESSAGE: Final = "/dev/termination-log"
MAX_TERMINATION_MESSAGE: Final = 4000
"""Bytes; the kubelet cuts at 4,096 and would break the JSON."""

TOKEN_KEY: Final = "token"  # noqa: S105 - a key of a Secret
CA_KEY: Final = "ca.crt"
SOURCES_KEY: Final = "sources.json"

ENV_URL: Final = "SPARK_STAGING_URL"
ENV_BUNDLE: Final = "SPARK_STAGING_BUNDLE"
ENV_NAMESPACE: Final = "SPARK_STAGING_NAMESPACE"
ENV_ROLE: Final = "SPARK_STAGING_ROLE"
ENV_FILES_IN: Final = "SPARK_STAGING_FILES_IN"
ENV_POD: Final = "SPARK_STAGING_POD"
"""Name of the pod, by the downward API, for reports."""
ENV_ALLOW_PLAIN_HTTP: Final = "SPARK_STAGING_ALLOW_PLAIN_HTTP"
"""`true` lets the bundle token go over plain HTTP to another machine; without it that is refused."""


class Role(StrEnum):
    """Which pod of a job."""

    DRIVER = "driver"
    EXECUTOR = "executor"


class FilesIn(StrEnum):
    """Where dependencies of kind `file` go."""

    WORK = "work"
    DATA = "data"


FOLDERS: Final = {
    Kind.JAR: f"{DATA_FOLDER}/spark-jars",
    Kind.PYFILE: f"{DATA_FOLDER}/spark-pyfiles",
    Kind.FILE: f"{DATA_FOLDER}/spark-files",
    Kind.ARCHIVE: WORK_FOLDER,
}
"""The folder of each kind, with `FilesIn.DATA`."""


def folder_of(kind: Kind, *, files_in: FilesIn) -> str:
    """Return the folder in which a dependency of `kind` appears."""
    if kind is Kind.FILE and files_in is FilesIn.WORK:
        return WORK_FOLDER
    return FOLDERS[kind]


def secret_name(bundle: BundleId) -> str:
    """Return the name of the Secret that holds the bundle's token."""
    return f"spark-staging-{bundle}"
