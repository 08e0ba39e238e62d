"""Objects that stand beside the driver: Service, NetworkPolicy, configuration."""

import pytest

from staging_protocol.errors import InvalidRequest, TooLarge
from tests.submission.driver.jobs import made, mounts, owned, spark_container, told, volumes


def test_all_objects_have_a_namespace_and_no_owner_yet() -> None:
    objects = made(executor_template="kind: Pod", hadoop_conf_files={"core-site.xml": "<configuration/>"})
    for one in (objects.pod, *objects.owned):
        assert one["metadata"]["namespace"] == "team"
        assert "ownerReferences" not in one["metadata"]


def test_objects_come_in_the_order_of_stock_spark_and_the_configuration_last() -> None:
    objects = made(
        executor_template="kind: Pod", hadoop_conf_files={"core-site.xml": "x"}, credentials={"ca-cert": b"x"}
    )
    assert [(one["kind"], one["metadata"]["name"]) for one in objects.owned] == [
        ("Secret", "demo-abc-kubernetes-credentials"),
        ("Service", "demo-abc-driver-svc"),
        ("NetworkPolicy", "demo-abc-policy"),
        ("ConfigMap", "demo-abc-hadoop-config"),
        ("ConfigMap", "demo-abc-driver-podspec-conf-map"),
        ("ConfigMap", "spark-drv-abc-conf-map"),
    ]


@pytest.mark.parametrize(
    ("spark", "names"),
    [
        ("3.4.4", ["driver-rpc-port", "blockmanager", "spark-ui"]),
        ("4.0.0", ["driver-rpc-port", "blockmanager", "spark-ui"]),
        ("4.1.0", ["driver-rpc-port", "blockmanager", "spark-ui", "spark-connect"]),
    ],
)
def test_the_service_leads_to_the_driver_and_its_ports(spark: str, names: list[str]) -> None:
    objects = made(spark=spark)
    service = owned(objects, "Service")
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == objects.pod["metadata"]["labels"]
    assert [port["name"] for port in service["spec"]["ports"]] == names
    assert [port["name"] for port in spark_container(objects)["ports"]] == names
    assert told(objects)["spark.driver.host"] == "demo-abc-driver-svc.team.svc"


@pytest.mark.parametrize(("spark", "protocol"), [("4.1.0", None), ("4.2.0", "grpc")])
def test_the_service_says_what_spark_connect_speaks_since_spark_4_2(spark: str, protocol: str | None) -> None:
    (port,) = (one for one in owned(made(spark=spark), "Service")["spec"]["ports"] if one["name"] == "spark-connect")
    assert port.get("appProtocol") == protocol


def test_ports_are_those_of_the_properties() -> None:
    properties = {
        "spark.driver.port": "1",
        "spark.blockManager.port": "2",
        "spark.ui.port": "3",
        "spark.connect.grpc.binding.port": "4",
    }
    objects = made(properties)
    assert [port["containerPort"] for port in spark_container(objects)["ports"]] == [1, 2, 3, 4]
    # Stock Spark looks at the port of all block managers for the container only.
    assert [port["port"] for port in owned(objects, "Service")["spec"]["ports"]] == [1, 7079, 3, 4]
    assert told(objects)["spark.driver.port"] == "1"
    both = made({**properties, "spark.driver.blockManager.port": "5"})
    assert owned(both, "Service")["spec"]["ports"][1]["port"] == 5


def test_the_service_is_what_properties_make_of_it() -> None:
    prefix = "spark.kubernetes.driver.service"
    properties = {
        f"{prefix}.label.l": "m",
        f"{prefix}.annotation.a": "b",
        f"{prefix}.ipFamilyPolicy": "PreferDualStack",
        f"{prefix}.ipFamilies": "IPv4,IPv6",
        f"{prefix}.publishNotReadyAddresses": "true",
    }
    service = owned(made(properties), "Service")
    assert service["metadata"]["labels"] == {"spark-app-selector": "spark-0123", "l": "m"}
    assert service["metadata"]["annotations"] == {"a": "b"}
    assert service["spec"]["ipFamilyPolicy"] == "PreferDualStack"
    assert service["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert "publishNotReadyAddresses" not in owned(made(properties, spark="4.2.0"), "Service")["spec"]


@pytest.mark.parametrize("key", ["spark.driver.host", "spark.driver.bindAddress"])
def test_the_drivers_address_cannot_be_set(key: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{key} cannot be set"):
        made({key: "10.0.0.1"})


@pytest.mark.parametrize(("spark", "count"), [("4.1.0", 0), ("4.2.0", 1)])
def test_executors_are_closed_to_others_since_spark_4_2(spark: str, count: int) -> None:
    policies = [one for one in made(spark=spark).owned if one["kind"] == "NetworkPolicy"]
    assert len(policies) == count
    for policy in policies:
        assert policy["spec"]["podSelector"]["matchLabels"] == {
            "spark-role": "executor",
            "spark-app-selector": "spark-0123",
        }


def test_the_driver_finds_its_properties_and_the_files_of_its_configuration() -> None:
    objects = made({"spark.a": "b=c"}, spark_conf_files={"log4j2.properties": "x"})
    config = owned(objects, "ConfigMap")
    assert config["immutable"] is True
    assert config["data"]["log4j2.properties"] == "x"
    assert config["data"]["spark.kubernetes.namespace"] == "team"
    assert told(objects)["spark.a"] == "b=c"
    assert told(objects)["spark.kubernetes.driver.pod.name"] == "demo-abc-driver"
    volume = volumes(objects)["spark-conf-volume-driver"]["configMap"]
    assert volume["name"] == config["metadata"]["name"]
    assert [item["key"] for item in volume["items"]] == ["log4j2.properties", "spark.properties"]
    assert mounts(objects)["spark-conf-volume-driver"] == "/opt/spark/conf"


def test_the_same_job_gives_the_same_objects() -> None:
    assert made() == made()


def test_a_configuration_that_kubernetes_would_refuse_is_named_with_its_largest_part() -> None:
    with pytest.raises(TooLarge, match=r"make big\.xml smaller"):
        made(spark_conf_files={"big.xml": "x" * 2**20})


def test_the_executors_template_is_handed_to_the_driver() -> None:
    objects = made({"spark.kubernetes.executor.podTemplateFile": "mine.yaml"}, executor_template="kind: Pod")
    config = owned(objects, "ConfigMap", name="demo-abc-driver-podspec-conf-map")
    assert config["data"] == {"podspec-configmap-key": "kind: Pod"}
    path = f"{mounts(objects)['pod-template-volume']}/pod-spec-template.yml"
    assert told(objects)["spark.kubernetes.executor.podTemplateFile"] == path
