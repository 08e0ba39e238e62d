"""Since when Spark can do what earlier versions could not: the table by which all versions are served.

`job.spark >= abilities.NETWORK_POLICY` is whether the driver of this job gets a NetworkPolicy.  Pure.
"""

from typing import Final

from submission.spark.conf import SparkVersion

HADOOP_FOR_EXECUTORS: Final = SparkVersion(3, 5)
"""The driver is told the ConfigMap of Hadoop's configuration, so that executors mount it too."""
LABEL_PLACEHOLDERS: Final = SparkVersion(4, 0)
"""`{{APP_ID}}` in labels of the driver (SPARK-47730); in annotations all supported versions know it."""
MINIMUM_OVERHEAD: Final = SparkVersion(4, 0)
"""`spark.driver.minMemoryOverhead`."""
READ_WRITE_ONCE_POD: Final = SparkVersion(4, 0)
"""Claims on demand are for one pod and not for one node, unless the legacy property says so."""
CLAIM_LABELS: Final = SparkVersion(4, 0)
"""`label.` and `annotation.` of claims on demand (SPARK-49598, SPARK-49833)."""
MOUNT_EXPRESSION: Final = SparkVersion(4, 0)
"""`mount.subPathExpr`, and `options.type` of a host path (SPARK-49731)."""
SIZE_CHECK: Final = SparkVersion(4, 0)
"""A volume of less than 1 KiB is an error (SPARK-47003)."""
CONNECT_PORT: Final = SparkVersion(4, 1)
"""The port of Spark Connect in the container and the Service (SPARK-52193)."""
IMAGE_PLACEHOLDER: Final = SparkVersion(4, 1)
"""`{{SPARK_VERSION}}` in names of images (SPARK-52902)."""
EXCLUDED_STEPS: Final = SparkVersion(4, 1)
"""`spark.kubernetes.driver.pod.excludedFeatureSteps`."""
NETWORK_POLICY: Final = SparkVersion(4, 2)
"""A NetworkPolicy for the executors (SPARK-55653)."""
CONNECT_PROTOCOL: Final = SparkVersion(4, 2)
"""`appProtocol: grpc` on the Service's port of Spark Connect (SPARK-56275)."""
PUBLISH_NOT_READY: Final = SparkVersion(4, 3)
"""`spark.kubernetes.driver.service.publishNotReadyAddresses`."""
NO_ESCALATION: Final = SparkVersion(4, 3)
"""`allowPrivilegeEscalation` of the driver's container (SPARK-57493)."""
