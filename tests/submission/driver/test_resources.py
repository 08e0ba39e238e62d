"""The driver asks for the cores, the memory and the devices that stock Spark would ask for."""

import pytest

from staging_protocol.errors import InvalidRequest
from tests.submission.driver.jobs import JAVA, PYTHON, R, made, spark_container, told


@pytest.mark.parametrize(
    ("main", "properties", "memory"),
    [
        (JAVA, {}, "1408Mi"),  # 1 GiB and the least overhead
        (JAVA, {"spark.driver.memory": "10g"}, "11264Mi"),
        (PYTHON, {"spark.driver.memory": "10g"}, "14336Mi"),
        (R, {"spark.driver.memory": "10g"}, "14336Mi"),
        (PYTHON, {"spark.driver.memory": "10g", "spark.kubernetes.memoryOverheadFactor": "0.1"}, "11264Mi"),
        (JAVA, {"spark.driver.memory": "10g", "spark.kubernetes.memoryOverheadFactor": "0.3"}, "13312Mi"),
        (PYTHON, {"spark.driver.memory": "10g", "spark.driver.memoryOverheadFactor": "0.25"}, "12800Mi"),
        (JAVA, {"spark.driver.memory": "2g", "spark.driver.memoryOverhead": "100m"}, "2148Mi"),
        (JAVA, {"spark.driver.memory": "1000000k"}, "1360Mi"),
        (JAVA, {"spark.driver.memory": "${spark.mine}", "spark.mine": "3g"}, "3456Mi"),
    ],
)
def test_memory_is_the_heap_and_its_overhead(main: object, properties: dict[str, str], memory: str) -> None:
    resources = spark_container(made(properties, main=main))["resources"]
    assert resources["requests"]["memory"] == resources["limits"]["memory"] == memory


@pytest.mark.parametrize(("spark", "memory"), [("3.5.9", "1408Mi"), ("4.0.0", "1536Mi")])
def test_the_least_overhead_can_be_set_since_spark_4(spark: str, memory: str) -> None:
    objects = made({"spark.driver.minMemoryOverhead": "512m"}, spark=spark)
    assert spark_container(objects)["resources"]["limits"]["memory"] == memory


def test_executors_are_told_the_factor_of_their_language() -> None:
    assert told(made())["spark.kubernetes.memoryOverheadFactor"] == "0.1"
    assert told(made(main=PYTHON))["spark.kubernetes.memoryOverheadFactor"] == "0.4"
    assert told(made({"spark.kubernetes.memoryOverheadFactor": "1"}))["spark.kubernetes.memoryOverheadFactor"] == "1.0"


def test_cores_are_requested_and_limited_as_they_are_written() -> None:
    assert spark_container(made())["resources"]["requests"]["cpu"] == "1"
    properties = {
        "spark.driver.cores": "2",
        "spark.kubernetes.driver.request.cores": "500m",
        "spark.kubernetes.driver.limit.cores": "3",
    }
    resources = spark_container(made(properties))["resources"]
    assert (resources["requests"]["cpu"], resources["limits"]["cpu"]) == ("500m", "3")


def test_devices_are_limits_in_the_name_of_their_vendor() -> None:
    gpu = "spark.driver.resource.gpu"
    limits = spark_container(made({f"{gpu}.amount": "2", f"{gpu}.vendor": "nvidia.com"}))["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == "2"
    assert "gpu" not in str(spark_container(made({f"{gpu}.amount": "0"}))["resources"])


def test_what_the_template_asks_for_besides_is_kept() -> None:
    own = {"requests": {"cpu": "9", "ephemeral-storage": "1Gi"}, "limits": {"ephemeral-storage": "2Gi"}}
    template = {"spec": {"containers": [{"name": "spark", "resources": own}]}}
    resources = spark_container(made(driver_template=template))["resources"]
    assert resources["requests"] == {"cpu": "1", "memory": "1408Mi", "ephemeral-storage": "1Gi"}
    assert resources["limits"] == {"memory": "1408Mi", "ephemeral-storage": "2Gi"}


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"spark.driver.memory": "1.5g"}, "spark.driver.memory=1.5g is no size"),
        ({"spark.driver.memory": "2gigs"}, "2gigs is no size"),
        ({"spark.driver.cores": "two"}, "spark.driver.cores=two is no whole number"),
        ({"spark.driver.memoryOverheadFactor": "-1"}, "negative"),
        ({"spark.kubernetes.memoryOverheadFactor": "much"}, "no number"),
        ({"spark.driver.resource.gpu.vendor": "nvidia.com"}, "gpu.amount is missing"),
        ({"spark.driver.resource.gpu.amount": "1"}, "gpu.vendor is missing"),
        ({"spark.driver.memory": "${spark.driver.memory}"}, "refers to itself"),
    ],
)
def test_a_size_that_spark_cannot_read_is_named(properties: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        made(properties)
