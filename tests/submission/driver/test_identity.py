"""Who the driver is: to the API server, to Hadoop, to Kerberos."""

from base64 import b64decode

import pytest

from staging_protocol.errors import InvalidRequest
from tests.submission.driver.jobs import made, mounts, owned, told, variables, volumes

_KEYTAB = {"spark.kerberos.keytab": "/home/ada/ada.keytab", "spark.kerberos.principal": "ada@REALM"}
_TOKENS = {
    "spark.kubernetes.kerberos.tokenSecret.name": "tokens",
    "spark.kubernetes.kerberos.tokenSecret.itemKey": "t",
}
_SECURE = {"core-site.xml": "<name>hadoop.security.authentication</name>\n  <value>kerberos</value>"}


def test_credentials_are_a_secret_and_the_driver_knows_where() -> None:
    properties = {
        "spark.kubernetes.authenticate.driver.caCertFile": "ca.pem",
        "spark.kubernetes.authenticate.driver.serviceAccountName": "spark",
    }
    objects = made(properties, credentials={"ca-cert": b"authority"})
    secret = owned(objects, "Secret")
    assert secret["immutable"] is True
    assert b64decode(secret["data"]["ca-cert"]) == b"authority"
    folder = "/mnt/secrets/spark-kubernetes-credentials"
    assert mounts(objects)["kubernetes-credentials"] == folder
    assert told(objects)["spark.kubernetes.authenticate.driver.mounted.caCertFile"] == f"{folder}/ca-cert"
    assert "serviceAccountName" not in objects.pod["spec"]


def test_credentials_that_are_mounted_elsewhere_are_read_there() -> None:
    key = "spark.kubernetes.authenticate.driver.mounted.caCertFile"
    assert told(made({key: "/in/ca.pem"}, credentials={"ca-cert": b"x"}))[key] == "/in/ca.pem"


def test_a_token_among_the_properties_never_reaches_a_config_map() -> None:
    objects = made({"spark.kubernetes.authenticate.submission.oauthToken": "very-secret"})
    assert "very-secret" not in str(objects)
    assert told(objects)["spark.kubernetes.authenticate.submission.oauthToken"] == "<present_but_redacted>"


def test_hadoops_configuration_is_mounted_and_executors_are_told_its_name() -> None:
    objects = made(hadoop_conf_files={"hdfs-site.xml": "<h/>", "core-site.xml": "<c/>"})
    config = owned(objects, "ConfigMap", name="demo-abc-hadoop-config")
    assert config["data"] == {"hdfs-site.xml": "<h/>", "core-site.xml": "<c/>"}
    assert [item["key"] for item in volumes(objects)["hadoop-properties"]["configMap"]["items"]] == [
        "core-site.xml",
        "hdfs-site.xml",
    ]
    assert variables(objects)["HADOOP_CONF_DIR"] == mounts(objects)["hadoop-properties"] == "/opt/hadoop/conf"
    assert told(objects)["spark.kubernetes.executor.hadoopConfigMapName"] == "demo-abc-hadoop-config"


def test_a_config_map_of_the_users_is_mounted_whole() -> None:
    objects = made({"spark.kubernetes.hadoop.configMapName": "theirs"})
    assert volumes(objects)["hadoop-properties"]["configMap"] == {"name": "theirs"}
    assert told(objects)["spark.kubernetes.executor.hadoopConfigMapName"] == "theirs"


@pytest.mark.parametrize(("spark", "name"), [("3.4.4", None), ("3.5.0", "theirs")])
def test_executors_are_told_hadoops_configuration_since_spark_3_5(spark: str, name: str | None) -> None:
    objects = made({"spark.kubernetes.hadoop.configMapName": "theirs"}, spark=spark)
    assert told(objects).get("spark.kubernetes.executor.hadoopConfigMapName") == name


def test_a_keytab_is_a_secret_and_its_path_is_told() -> None:
    objects = made(_KEYTAB, keytab=b"keys")
    assert b64decode(owned(objects, "Secret")["data"]["ada.keytab"]) == b"keys"
    assert told(objects)["spark.kerberos.keytab"] == "/mnt/secrets/kerberos-keytab/ada.keytab"
    assert mounts(objects)["kerberos-keytab"] == "/mnt/secrets/kerberos-keytab"


def test_a_keytab_in_the_image_stays_there() -> None:
    objects = made({**_KEYTAB, "spark.kerberos.keytab": "local:///etc/ada.keytab"})
    assert "Secret" not in {one["kind"] for one in objects.owned}
    assert told(objects)["spark.kerberos.keytab"] == "local:///etc/ada.keytab"


def test_delegation_tokens_of_a_secret_are_mounted() -> None:
    objects = made(_TOKENS, hadoop_conf_files=_SECURE)
    assert volumes(objects)["hadoop-secret"]["secret"] == {"secretName": "tokens"}
    assert variables(objects)["HADOOP_TOKEN_FILE_LOCATION"] == "/mnt/secrets/hadoop-credentials/t"


def test_a_driver_that_brings_its_own_tokens_or_ticket_needs_none_of_ours() -> None:
    for name in ("HADOOP_TOKEN_FILE_LOCATION", "KRB5CCNAME"):
        objects = made({f"spark.kubernetes.driverEnv.{name}": "/in/tokens"}, hadoop_conf_files=_SECURE)
        assert variables(objects)[name] == "/in/tokens"


def test_krb5_conf_comes_from_a_file_or_a_config_map() -> None:
    objects = made({"spark.kubernetes.kerberos.krb5.path": "/etc/krb5.conf"}, krb5_conf="[libdefaults]")
    config = owned(objects, "ConfigMap", name="demo-abc-krb5-file")
    assert config["data"] == {"krb5.conf": "[libdefaults]"}
    assert mounts(objects)["krb5-file"] == "/etc/krb5.conf"
    existing = made({"spark.kubernetes.kerberos.krb5.configMapName": "theirs"})
    assert volumes(existing)["krb5-file"]["configMap"] == {"name": "theirs"}


@pytest.mark.parametrize(
    ("properties", "files", "said"),
    [
        ({"spark.kubernetes.hadoop.configMapName": "a"}, {"core-site.xml": "x"}, "unset one of them"),
        ({"spark.kerberos.principal": "ada@REALM"}, {}, r"spark\.kerberos\.keytab is not; set both"),
        ({"spark.kerberos.keytab": "a.keytab"}, {}, r"spark\.kerberos\.principal is not; set both"),
        ({"spark.kubernetes.kerberos.tokenSecret.name": "a"}, {}, "itemKey is not"),
        (
            {"spark.kubernetes.kerberos.krb5.configMapName": "a", "spark.kubernetes.kerberos.krb5.path": "b"},
            {},
            "set one of them",
        ),
        ({}, _SECURE, "--principal and --keytab"),
        ({"spark.hadoop.hadoop.security.authentication": "kerberos"}, {}, "--principal and --keytab"),
    ],
)
def test_half_an_identity_and_two_identities_are_refused(
    properties: dict[str, str], files: dict[str, str], said: str
) -> None:
    with pytest.raises(InvalidRequest, match=said):
        made(properties, hadoop_conf_files=files)
