"""The driver's pod is the user's template with all that stock Spark puts into it."""

import pytest

from staging_protocol.errors import InvalidRequest
from tests.submission.driver.jobs import IMAGE, JAVA, PYTHON, R, made, mounts, spark_container, told, variables, volumes

_TEMPLATE = {
    "metadata": {"labels": {"team": "blue", "spark-role": "nothing"}, "annotations": {"note": "mine"}},
    "spec": {
        "priorityClassName": "high",
        "nodeSelector": {"zone": "a"},
        "restartPolicy": "Always",
        "initContainers": [{"name": "first"}],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
        "containers": [
            {"name": "sidecar", "image": "busybox"},
            {
                "name": "spark",
                "image": "theirs",
                "env": [{"name": "MINE", "value": "1"}],
                "ports": [{"containerPort": 9}],
            },
        ],
    },
}
_NAMED = {"spark.kubernetes.driver.podTemplateContainerName": "spark"}


def test_the_entry_point_is_told_what_to_run() -> None:
    assert spark_container(made())["args"] == [
        *("driver", "--properties-file", "/opt/spark/conf/spark.properties"),
        *("--class", "demo.Main", "local:///app.jar", "1", "two words"),
    ]


def test_a_proxy_user_is_told_to_the_driver_and_is_its_user() -> None:
    objects = made(proxy_user="alice")
    assert spark_container(objects)["args"][1:3] == ["--proxy-user", "alice"]
    assert variables(objects)["SPARK_USER"] == "alice"
    assert variables(made())["SPARK_USER"] == "ada"


@pytest.mark.parametrize(
    ("main", "runner", "kind"),
    [
        (PYTHON, "org.apache.spark.deploy.PythonRunner", "python"),
        (R, "org.apache.spark.deploy.RRunner", "r"),
        (JAVA, "demo.Main", "java"),
    ],
)
def test_each_language_has_its_runner(main: object, runner: str, kind: str) -> None:
    objects = made(main=main)
    assert spark_container(objects)["args"][4] == runner
    assert told(objects)["spark.kubernetes.resource.type"] == kind


def test_python_is_chosen_by_properties_before_the_environment() -> None:
    environment = {"PYSPARK_PYTHON": "/p", "PYSPARK_DRIVER_PYTHON": "/d"}
    chosen = variables(made(main=PYTHON, environment=environment))
    assert (chosen["PYSPARK_PYTHON"], chosen["PYSPARK_DRIVER_PYTHON"]) == ("/p", "/d")
    chosen = variables(made({"spark.pyspark.python": "/q"}, main=PYTHON, environment=environment))
    assert (chosen["PYSPARK_PYTHON"], chosen["PYSPARK_DRIVER_PYTHON"]) == ("/q", "/q")
    assert "PYSPARK_PYTHON" not in variables(made(main=PYTHON))


def test_the_template_is_kept_and_its_container_becomes_sparks() -> None:
    objects = made(_NAMED, driver_template=_TEMPLATE)
    spec, container = objects.pod["spec"], spark_container(objects)
    assert spec["priorityClassName"] == "high"
    assert spec["initContainers"] == [{"name": "first"}]
    assert spec["restartPolicy"] == "Never"
    assert [one["name"] for one in spec["containers"]] == ["sidecar", "spark"]
    assert container["image"] == "spark:x"
    assert container["ports"][0] == {"containerPort": 9}
    assert variables(objects)["MINE"] == "1"
    assert "scratch" in volumes(objects)


def test_without_a_name_the_first_container_of_the_template_becomes_sparks() -> None:
    objects = made(driver_template=_TEMPLATE)
    assert [one["name"] for one in objects.pod["spec"]["containers"]] == ["spark", "sidecar"]


def test_a_template_is_never_changed() -> None:
    before = str(_TEMPLATE)
    made(_NAMED, driver_template=_TEMPLATE)
    assert str(_TEMPLATE) == before


def test_labels_of_spark_win_over_the_template_and_stand_beside_the_users() -> None:
    objects = made({"spark.kubernetes.driver.label.team": "green"}, driver_template=_TEMPLATE)
    assert objects.pod["metadata"]["labels"] == {
        "team": "green",
        "spark-version": "4.3.0",
        "spark-app-selector": "spark-0123",
        "spark-app-name": "demo",
        "spark-role": "driver",
    }


def test_the_application_id_stands_in_annotations_and_since_spark_4_in_labels() -> None:
    properties = {
        "spark.kubernetes.driver.annotation.a": "{{APP_ID}}/{{EXECUTOR_ID}}",
        "spark.kubernetes.driver.label.l": "{{APP_ID}}",
    }
    for spark, label in (("3.5.9", "{{APP_ID}}"), ("4.0.0", "spark-0123")):
        metadata = made(properties, spark=spark).pod["metadata"]
        assert metadata["annotations"] == {"a": "spark-0123/"}
        assert metadata["labels"]["l"] == label


def test_a_label_of_sparks_own_cannot_be_set() -> None:
    with pytest.raises(InvalidRequest, match=r"label\.spark-role cannot be set"):
        made({"spark.kubernetes.driver.label.spark-role": "mine"})


def test_the_image_is_the_drivers_own_before_that_of_all() -> None:
    assert spark_container(made({"spark.kubernetes.driver.container.image": "d"}))["image"] == "d"
    placeholder = {IMAGE: "spark:{{SPARK_VERSION}}"}
    assert spark_container(made(placeholder, spark="4.1.2"))["image"] == "spark:4.1.2"
    assert spark_container(made(placeholder, spark="4.0.1"))["image"] == "spark:{{SPARK_VERSION}}"


def test_a_job_without_an_image_is_refused_with_what_to_give() -> None:
    with pytest.raises(InvalidRequest, match=r"--conf spark\.kubernetes\.container\.image="):
        made({IMAGE: ""})


def test_where_the_pod_goes() -> None:
    properties = {
        "spark.kubernetes.node.selector.zone": "b",
        "spark.kubernetes.driver.node.selector.disk": "ssd",
        "spark.kubernetes.scheduler.name": "all",
        "spark.kubernetes.container.image.pullPolicy": "Always",
        "spark.kubernetes.container.image.pullSecrets": "one, two",
        "spark.kubernetes.authenticate.driver.serviceAccountName": "spark",
    }
    objects = made(properties, driver_template=_TEMPLATE)
    spec = objects.pod["spec"]
    assert spec["nodeSelector"] == {"zone": "b", "disk": "ssd"}
    assert spec["schedulerName"] == "all"
    assert spec["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]
    assert spec["serviceAccountName"] == spec["serviceAccount"] == "spark"
    assert spark_container(objects)["imagePullPolicy"] == "Always"


def test_a_pull_policy_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="Always, IfNotPresent, Never"):
        made({"spark.kubernetes.container.image.pullPolicy": "Sometimes"})


@pytest.mark.parametrize(("spark", "expected"), [("4.2.0", None), ("4.3.0", {"allowPrivilegeEscalation": False})])
def test_since_spark_4_3_the_container_may_not_gain_privileges(spark: str, expected: object) -> None:
    assert spark_container(made(spark=spark)).get("securityContext") == expected


def test_privileges_can_be_allowed() -> None:
    everywhere = "spark.kubernetes.securityContext.allowPrivilegeEscalation"
    driver = "spark.kubernetes.driver.securityContext.allowPrivilegeEscalation"
    assert spark_container(made({everywhere: "true"}))["securityContext"] == {"allowPrivilegeEscalation": True}
    both = made({everywhere: "true", driver: "false"})
    assert spark_container(both)["securityContext"] == {"allowPrivilegeEscalation": False}


def test_secrets_are_folders_and_variables() -> None:
    properties = {
        "spark.kubernetes.driver.secrets.db": "/etc/db",
        "spark.kubernetes.driver.secretKeyRef.PASSWORD": "db:password",
    }
    objects = made(properties)
    assert volumes(objects)["db-volume"] == {"name": "db-volume", "secret": {"secretName": "db"}}
    assert mounts(objects)["db-volume"] == "/etc/db"
    reference = {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}
    assert reference in spark_container(objects)["env"]
    with pytest.raises(InvalidRequest, match="NAME:KEY"):
        made({"spark.kubernetes.driver.secretKeyRef.PASSWORD": "db"})


def test_variables_of_the_users_stand_beside_sparks() -> None:
    found = variables(made({"spark.kubernetes.driverEnv.A": "1"}))
    assert found["A"] == "1"
    assert found["SPARK_APPLICATION_ID"] == "spark-0123"
    assert found["SPARK_CONF_DIR"] == "/opt/spark/conf"


def test_a_container_that_the_template_lacks_is_an_error_and_not_the_first_one() -> None:
    with pytest.raises(InvalidRequest, match="sidecar, spark"):
        made({"spark.kubernetes.driver.podTemplateContainerName": "nobody"}, driver_template=_TEMPLATE)


def test_a_template_that_is_no_pod_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="Deployment"):
        made(driver_template={"kind": "Deployment"})


def test_a_jar_without_a_main_class_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="--class"):
        made(main=PYTHON.__class__(language=JAVA.language, uri="local:///a.jar", main_class=None))


def test_scratch_space_is_a_volume_for_each_folder() -> None:
    objects = made({"spark.local.dir": "/a,/b", "spark.kubernetes.local.dirs.tmpfs": "true"})
    assert variables(objects)["SPARK_LOCAL_DIRS"] == "/a,/b"
    assert mounts(objects)["spark-local-dir-2"] == "/b"
    assert volumes(objects)["spark-local-dir-1"]["emptyDir"] == {"medium": "Memory"}
    assert variables(made(environment={"SPARK_LOCAL_DIRS": "/c"}))["SPARK_LOCAL_DIRS"] == "/c"


def test_scratch_space_of_the_users_own_is_used_instead() -> None:
    key = "spark.kubernetes.driver.volumes.emptyDir.spark-local-dir-1.mount.path"
    objects = made({key: "/fast", "spark.local.dir": "/slow"})
    assert variables(objects)["SPARK_LOCAL_DIRS"] == "/fast"
    assert "/slow" not in mounts(objects).values()


def test_two_jobs_have_different_scratch_folders_and_the_same_job_has_one() -> None:
    one = variables(made())["SPARK_LOCAL_DIRS"]
    assert one.startswith("/var/data/spark-")
    assert variables(made())["SPARK_LOCAL_DIRS"] == one
    assert variables(made(unique_id="other"))["SPARK_LOCAL_DIRS"] != one
