"""How the driver is known to the API server: a service account, or credentials in a Secret of its own.

With credentials the service account is not set, as in stock Spark (`DriverKubernetesCredentialsFeatureStep`).  Pure.
"""

from base64 import b64encode
from typing import Final

from submission.driver.building import Building, mount, secret_volume

CA, CLIENT_KEY, CLIENT_CERT, TOKEN = "ca-cert", "client-key", "client-cert", "oauth-token"
"""Keys of the Secret."""

_MOUNTED: Final = "spark.kubernetes.authenticate.driver.mounted."
_PROPERTIES: Final = {
    CA: "caCertFile",
    CLIENT_KEY: "clientKeyFile",
    CLIENT_CERT: "clientCertFile",
    TOKEN: "oauthTokenFile",
}
_VOLUME: Final = "kubernetes-credentials"
_FOLDER: Final = "/mnt/secrets/spark-kubernetes-credentials"
_REDACTED: Final = "<present_but_redacted>"


def credentials(building: Building) -> Building:
    """Give the driver its account or credentials; tokens among the properties never reach a ConfigMap."""
    given = building.job.credentials
    hidden = {key: _REDACTED for key in building.properties if key.endswith("oauthToken")}
    told = {f"{_MOUNTED}{name}": f"{_FOLDER}/{key}" for key, name in _PROPERTIES.items() if key in given}
    own = {key: value for key, value in building.properties.items() if key in told}  # where the user mounts them
    building = building.with_properties({**hidden, **told, **own})
    return _with_secret(building) if given else _with_account(building)


def _with_account(building: Building) -> Building:
    account = building.conf.optional("spark.kubernetes.authenticate.driver.serviceAccountName")
    if account is None:
        return building
    return building.with_spec(serviceAccount=account, serviceAccountName=account)


def _with_secret(building: Building) -> Building:
    name = building.names.of("kubernetes-credentials")
    data = {key: b64encode(content).decode("ascii") for key, content in building.job.credentials.items()}
    return (
        building.with_volumes(secret_volume(_VOLUME, secret=name))
        .with_mounts(mount(_VOLUME, _FOLDER))
        .with_owned(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name, "namespace": building.job.namespace},
                "immutable": True,
                "data": data,
            }
        )
    )
