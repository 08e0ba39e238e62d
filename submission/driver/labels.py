"""Labels and annotations of the driver: the user's, with Spark's own, by which Spark finds its pods.  Pure."""

from typing import Final

from staging_protocol.errors import InvalidRequest
from submission.driver import abilities
from submission.driver.building import Building
from submission.driver.names import application_label

SELECTOR: Final = "spark-app-selector"
ROLE: Final = "spark-role"

_LABELS: Final = "spark.kubernetes.driver.label."
_ANNOTATIONS: Final = "spark.kubernetes.driver.annotation."


def labels(building: Building) -> dict[str, str]:
    """Return the labels of the pod, which are the selector of its Service too.

    Raises:
        InvalidRequest: the user sets one of Spark's own.
    """
    job = building.job
    own = {
        "spark-version": job.spark.release or str(job.spark),
        SELECTOR: job.application_id,
        "spark-app-name": application_label(job.application),
        ROLE: "driver",
    }
    given = building.conf.prefixed(_LABELS)
    for key in own.keys() & given.keys():
        msg = f"{_LABELS}{key} cannot be set: Spark finds its own pods by that label; choose another name"
        raise InvalidRequest(msg)
    if building.since(abilities.LABEL_PLACEHOLDERS):
        given = _filled(given, application_id=job.application_id)
    return {**given, **own}


def annotations(building: Building) -> dict[str, str]:
    """Return the annotations of the pod."""
    return _filled(building.conf.prefixed(_ANNOTATIONS), application_id=building.job.application_id)


def _filled(given: dict[str, str], *, application_id: str) -> dict[str, str]:
    # A driver has no executor's id: Spark puts nothing in its place.
    values = {"{{APP_ID}}": application_id, "{{EXECUTOR_ID}}": ""}
    for placeholder, value in values.items():
        given = {key: text.replace(placeholder, value) for key, text in given.items()}
    return given
