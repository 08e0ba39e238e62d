"""Who a submission is: ids that its objects carry, and by which it is found again.

Without a submission id of the person's all of them are chance.  With one, the unique part of the objects' names follows
from it, so that of two submissions with one id at the same moment the API server lets one pass.  Pure, but for chance.
"""

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from uuid import uuid4

from staging_protocol.errors import InvalidRequest
from staging_protocol.pod_contract import LABEL
from staging_protocol.tokens import BundleId
from submission.driver.job import KubeObject
from submission.job_labels import INPUTS, RUN, SUBMISSION

_LABEL_VALUE: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_UNIQUE_DIGITS: Final = 16
"""As many as `KubernetesUtils.uniqueID` has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The ids of one submission.

    Attributes:
        submission: label value; the person's, or made up.
        is_given: whether the person gave it.
        run: of this run of the command only.
        application: id of the application, as Spark has it.
        unique: what names of objects end with.
        inputs: digest of what is submitted; None without an id of the person's.
    """

    submission: str
    is_given: bool
    run: str
    application: str
    unique: str
    inputs: str | None = None

    @property
    def labels(self) -> dict[str, str]:
        """What every object of the job has."""
        return {SUBMISSION: self.submission}

    def properties(self) -> dict[str, str]:
        """Return what labels driver and executors."""
        return {f"spark.kubernetes.{role}.label.{SUBMISSION}": self.submission for role in ("driver", "executor")}

    def marked(self, obj: KubeObject, *, bundle: BundleId | None) -> KubeObject:
        """Return the object as one of this run."""
        metadata = obj.get("metadata") or {}
        annotations = {**(metadata.get("annotations") or {}), RUN: self.run}
        labels = {**(metadata.get("labels") or {}), **self.labels}
        if bundle is not None:
            labels[LABEL] = str(bundle)
        if self.inputs is not None and obj["kind"] == "Pod":
            annotations[INPUTS] = self.inputs
        return {**obj, "metadata": {**metadata, "labels": labels, "annotations": annotations}}

    def made(self, obj: Mapping[str, Any]) -> bool:
        """Whether an object that is there was created by this run."""
        return bool(((obj.get("metadata") or {}).get("annotations") or {}).get(RUN) == self.run)


def identity(given: str | None, *, namespace: str) -> Identity:
    """Return the ids of a submission; `given` is the person's submission id.

    Raises:
        InvalidRequest: it cannot be the value of a label.
    """
    run = secrets.token_hex(8)
    if given is not None and not _LABEL_VALUE.fullmatch(given):
        msg = (
            f"a submission id becomes a label: 1 to 63 letters, digits, '-', '_' and '.', with a letter or digit at "
            f"both ends, not {given[:80]!r}"
        )
        raise InvalidRequest(msg)
    unique = _unique() if given is None else sha256(f"{namespace}\0{given}".encode()).hexdigest()[:_UNIQUE_DIGITS]
    return Identity(
        submission=given or unique,
        is_given=given is not None,
        run=run,
        application=f"spark-{uuid4().hex}",  # whatever spark.app.id says, as with stock Spark
        unique=unique,
    )


def _unique() -> str:
    """Return six digits of chance and ten of the time in milliseconds."""
    return f"{secrets.token_hex(3)}{time.time_ns() // 1_000_000 & 0xFFFFFFFFFF:x}"
