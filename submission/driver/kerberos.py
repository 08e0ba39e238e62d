"""Kerberos in the driver: `krb5.conf`, and a keytab or delegation tokens (`KerberosConfDriverFeatureStep`).

What stock Spark does with a ticket of the submitter's (it asks each service for delegation tokens, with Hadoop's own
classes) is refused with what to do instead.  Pure.
"""

import re
from base64 import b64encode
from posixpath import basename
from typing import Final

from staging_protocol.errors import InvalidRequest
from submission.driver.building import Building, config_map_volume, mount, secret_volume, variable
from submission.driver.config_maps import config_map

KEYTAB: Final = "spark.kerberos.keytab"
PRINCIPAL: Final = "spark.kerberos.principal"
KRB5_FILE: Final = "spark.kubernetes.kerberos.krb5.path"

_KRB5_MAP: Final = "spark.kubernetes.kerberos.krb5.configMapName"
_TOKEN_SECRET: Final = "spark.kubernetes.kerberos.tokenSecret.name"  # noqa: S105 - the name of a property
_TOKEN_KEY: Final = "spark.kubernetes.kerberos.tokenSecret.itemKey"  # noqa: S105 - the name of a property
_AUTHENTICATION: Final = "hadoop.security.authentication"
_IS_KERBEROS: Final = re.compile(
    rf"<name>\s*{_AUTHENTICATION}\s*</name>\s*<value>\s*kerberos\s*</value>", re.IGNORECASE
)

_OWN_WAYS: Final = (
    "spark.kubernetes.driverEnv.HADOOP_TOKEN_FILE_LOCATION",
    "spark.kubernetes.driverEnv.KRB5CCNAME",
)
"""By these the driver signs in with something that the user brings into the pod."""

_KRB5_VOLUME: Final = "krb5-file"
_KEYTAB_VOLUME: Final = "kerberos-keytab"
_KEYTAB_FOLDER: Final = "/mnt/secrets/kerberos-keytab"
_TOKEN_VOLUME: Final = "hadoop-secret"  # noqa: S105 - the name of a volume
_TOKEN_FOLDER: Final = "/mnt/secrets/hadoop-credentials"  # noqa: S105 - a folder


def kerberos(building: Building) -> Building:
    """Give the driver what it signs in with.

    Raises:
        InvalidRequest: half of a pair is missing, both of an alternative are there, or only a ticket could help.
    """
    conf = building.conf
    _both_or_none(building, KEYTAB, PRINCIPAL)
    _both_or_none(building, _TOKEN_SECRET, _TOKEN_KEY)
    keytab, tokens = conf.optional(KEYTAB), conf.optional(_TOKEN_SECRET)
    if keytab is None and tokens is None and _needs_tokens(building):
        msg = (
            "Hadoop asks for Kerberos, and a ticket of yours cannot be turned into delegation tokens here; "
            f"give --principal and --keytab, or {_TOKEN_SECRET} and {_TOKEN_KEY} of a Secret that has them, "
            f"or {_OWN_WAYS[0]} of a file that the driver finds"
        )
        raise InvalidRequest(msg)
    building = _with_krb5(building)
    if keytab is not None and not keytab.startswith("local:"):
        return _with_keytab(building, name=basename(keytab))
    return building if tokens is None else _with_tokens(building, secret=tokens, key=conf.text(_TOKEN_KEY, ""))


def _both_or_none(building: Building, one: str, other: str) -> None:
    for key, missing in ((one, other), (other, one)):
        if key in building.job.properties and missing not in building.job.properties:
            msg = f"{key} is set, but {missing} is not; set both"
            raise InvalidRequest(msg)


def _needs_tokens(building: Building) -> bool:
    if any(key in building.job.properties for key in _OWN_WAYS):
        return False
    said = building.conf.optional(f"spark.hadoop.{_AUTHENTICATION}")
    if said is not None:
        return said.strip().lower() == "kerberos"
    return any(_IS_KERBEROS.search(text) for text in building.job.hadoop_conf_files.values())


def _with_krb5(building: Building) -> Building:
    path, existing = building.conf.optional(KRB5_FILE), building.conf.optional(_KRB5_MAP)
    if path is not None and existing is not None:
        msg = f"{KRB5_FILE} and {_KRB5_MAP} are both set; set one of them"
        raise InvalidRequest(msg)
    file = mount(_KRB5_VOLUME, "/etc/krb5.conf", subPath="krb5.conf")
    if existing is not None:
        return building.with_volumes(config_map_volume(_KRB5_VOLUME, config_map=existing)).with_mounts(file)
    if path is None or building.job.krb5_conf is None:
        return building
    name, key = building.names.of("krb5-file"), basename(path)
    volume = config_map_volume(_KRB5_VOLUME, config_map=name, items=[{"key": key, "path": key}])
    made = config_map(building, name=name, data={key: building.job.krb5_conf}, what=KRB5_FILE)
    return building.with_volumes(volume).with_mounts(file).with_owned(made)


def _with_keytab(building: Building, *, name: str) -> Building:
    secret = building.names.of("kerberos-keytab")
    content = b64encode(building.job.keytab or b"").decode("ascii")
    return (
        building.with_volumes(secret_volume(_KEYTAB_VOLUME, secret=secret))
        .with_mounts(mount(_KEYTAB_VOLUME, _KEYTAB_FOLDER))
        .with_properties({KEYTAB: f"{_KEYTAB_FOLDER}/{name}"})
        .with_owned(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": secret, "namespace": building.job.namespace},
                "immutable": True,
                "data": {name: content},
            }
        )
    )


def _with_tokens(building: Building, *, secret: str, key: str) -> Building:
    return (
        building.with_volumes(secret_volume(_TOKEN_VOLUME, secret=secret))
        .with_mounts(mount(_TOKEN_VOLUME, _TOKEN_FOLDER))
        .with_env(variable("HADOOP_TOKEN_FILE_LOCATION", f"{_TOKEN_FOLDER}/{key}"))
    )
