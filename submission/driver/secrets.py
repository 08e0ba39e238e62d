"""Secrets of the user's in the driver, as folders (`MountSecretsFeatureStep`) and variables (`EnvSecretsFeatureStep`).

Pure.
"""

from typing import Final

from staging_protocol.errors import InvalidRequest
from submission.driver.building import Building, mount, secret_volume
from submission.driver.job import KubeObject

_KEY_REFERENCES: Final = "spark.kubernetes.driver.secretKeyRef."


def mounted_secrets(building: Building) -> Building:
    """Mount each `spark.kubernetes.driver.secrets.NAME=PATH`."""
    paths = building.conf.prefixed("spark.kubernetes.driver.secrets.")
    volumes = [secret_volume(f"{name}-volume", secret=name) for name in paths]
    return building.with_volumes(*volumes).with_mounts(*(mount(f"{name}-volume", path) for name, path in paths.items()))


def secret_variables(building: Building) -> Building:
    """Set each `spark.kubernetes.driver.secretKeyRef.VARIABLE=NAME:KEY`."""
    return building.with_env(*(_variable(*one) for one in building.conf.prefixed(_KEY_REFERENCES).items()))


def _variable(name: str, reference: str) -> KubeObject:
    parts = reference.split(":")
    if len(parts) != 2 or not all(parts):  # noqa: PLR2004 - name and key
        msg = f"{_KEY_REFERENCES}{name}={reference} is not of the form NAME:KEY, as in my-secret:password"
        raise InvalidRequest(msg)
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": parts[0], "key": parts[1]}}}
