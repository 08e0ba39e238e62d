"""A command is understood without any Spark on the machine: its version, its files, its user."""

from pathlib import Path

import pytest

from staging_protocol.errors import InvalidRequest
from submission.job_plan import Plan, plan
from submission.settings import Environment, Settings
from submission.spark.command_line import Action, JobCommand, SubmitCommand, parse_arguments
from submission.spark.conf import SparkVersion

IMAGE = ("--conf", "spark.kubernetes.container.image=apache/spark:3.5.9-java17")


def read(
    *arguments: str,
    variables: dict[str, str] | None = None,
    home: Path | None = None,
    conf: Path | None = None,
    path: Path | str = "/nowhere",
    version: str | None = None,
) -> Plan:
    command = parse_arguments(["--deploy-mode", "cluster", *arguments])
    assert isinstance(command, SubmitCommand)
    return plan(
        command,
        settings=Settings(),
        namespace=None,
        spark_version=version,
        spark_files=True,
        environment=Environment(
            spark_home=home, spark_conf=conf, master=None, deploy_mode=None, path=str(path), variables=variables or {}
        ),
        runs_spark=False,
    )


def installed(folder: Path, version: str) -> Path:
    """As much of an installation as is looked at."""
    (folder / "jars").mkdir(parents=True)
    (folder / "jars" / f"spark-core_2.13-{version}.jar").touch()
    (folder / "bin").mkdir()
    (folder / "bin" / "spark-submit").write_text("#!/bin/sh\n")
    (folder / "bin" / "spark-submit").chmod(0o755)
    (folder / "conf").mkdir()
    (folder / "conf" / "spark-defaults.conf").write_text("spark.executor.memory 3g\n")
    return folder


def test_nothing_of_spark_is_needed() -> None:
    found = read(*IMAGE, "local:///app.jar")

    assert (found.program, found.conf_folder) == (None, None)
    assert found.submission.master is None


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("apache/spark:4.3.0-scala2.13-java21-ubuntu", "4.3.0"),
        ("registry.example:5000/team/spark-py:v3.5.9", "3.5.9"),
        ("registry.example/etl:17-spark-3.4.2", "3.4.2"),
        ("spark:4.1", "4.1"),
    ],
)
def test_the_images_tag_tells_the_version_and_that_is_said(image: str, version: str) -> None:
    found = read("--conf", f"spark.kubernetes.container.image={image}", "local:///app.jar")

    assert found.spark.release == version
    assert any(f"by the name of the image {image}" in note for note in found.notes)


@pytest.mark.parametrize("image", ["team/app:4.3.0", "spark:latest", "spark", "spark@sha256:aa", "spark:2.4.8"])
def test_an_image_that_does_not_tell_it_is_an_error_that_says_what_to_give(image: str) -> None:
    with pytest.raises(InvalidRequest, match="--spark-version"):
        read("--conf", f"spark.kubernetes.container.image={image}", "local:///app.jar")


def test_the_given_version_wins_and_an_image_of_another_is_told() -> None:
    found = read(*IMAGE, "local:///app.jar", version="4.3.0")

    assert found.spark == SparkVersion(4, 3)
    assert any("seems to have Spark 3.5" in note for note in found.notes)


def test_an_installation_wins_over_the_images_tag(tmp_path: Path) -> None:
    by_home = read(*IMAGE, "local:///app.jar", home=installed(tmp_path / "home", "4.3.0"))
    by_path = read(*IMAGE, "local:///app.jar", path=installed(tmp_path / "path", "4.2.1") / "bin")

    assert by_home.spark.release == "4.3.0"
    assert by_path.spark.release == "4.2.1"
    assert by_path.program is None
    assert by_path.properties["spark.executor.memory"] == "3g"


def test_a_folder_of_configuration_counts_without_an_installation(tmp_path: Path) -> None:
    (tmp_path / "spark-defaults.conf").write_text("spark.executor.memory 7g\nspark.app.name nightly\n")

    found = read(*IMAGE, "local:///app.jar", conf=tmp_path)

    assert found.properties["spark.executor.memory"] == "7g"
    assert found.application == "nightly"
    assert found.conf_folder == tmp_path


@pytest.mark.parametrize(
    ("arguments", "variables", "user"),
    [
        ([], {"SPARK_USER": "said", "HADOOP_USER_NAME": "hadoop"}, "said"),
        (["--proxy-user", "alice"], {"HADOOP_USER_NAME": "hadoop"}, "alice"),
        ([], {"HADOOP_USER_NAME": "hadoop"}, "hadoop"),
    ],
)
def test_the_user_is_the_one_that_spark_finds(arguments: list[str], variables: dict[str, str], user: str) -> None:
    assert read(*IMAGE, *arguments, "local:///app.jar", variables=variables).user == user


def test_a_main_resource_that_is_none_names_no_dependency() -> None:
    assert read(*IMAGE, "--class", "demo.Main", "spark-internal").dependencies == ()


def test_options_that_have_no_effect_are_told() -> None:
    found = read(*IMAGE, "--queue", "q", "--conf", "spark.app.id=mine", "local:///app.jar")

    assert [note.partition(":")[0] for note in found.notes if "no effect" in note] == [
        "--queue has no effect on Kubernetes",
        "spark.app.id has no effect in cluster mode",
    ]


def test_a_job_without_an_image_is_an_error_that_says_what_to_give() -> None:
    with pytest.raises(InvalidRequest, match=r"no image is named.*spark\.kubernetes\.container\.image=IMAGE"):
        read("local:///app.jar")


def test_a_mistyped_key_is_told_before_what_is_missing_because_of_it() -> None:
    with pytest.raises(InvalidRequest, match=r"did you mean spark\.kubernetes\.container\.image"):
        read("--conf", "spark.kubernetes.container.imag=spark:4.3.0", "local:///app.jar")


def test_contradictions_are_refused_and_keys_without_effect_are_told() -> None:
    with pytest.raises(InvalidRequest, match="is more than"):
        read(
            *IMAGE, "--conf", "spark.kubernetes.driver.request.cores=2", "--conf",
            "spark.kubernetes.driver.limit.cores=1", "local:///app.jar",
        )  # fmt: skip

    found = read(*IMAGE, "--conf", "spark.kubernetes.file.upload.path=s3a://b", "local:///app.jar")

    assert any("local dependencies are staged" in note for note in found.notes)


def test_kill_and_status_are_commands_of_their_own() -> None:
    kill = parse_arguments(["--master", "k8s://https://h:1", "--kill", "team:etl-*"])
    status = parse_arguments(["--status=team:etl-1-driver", "--conf", "spark.kubernetes.namespace=x"])

    assert isinstance(kill, JobCommand)
    assert (kill.action, kill.selector, kill.last("--master")) == (Action.KILL, "team:etl-*", "k8s://https://h:1")
    assert isinstance(status, JobCommand)
    assert (status.action, status.selector) == (Action.STATUS, "team:etl-1-driver")
    assert status.conf == {"spark.kubernetes.namespace": "x"}


def test_kill_and_status_at_once_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="one command"):
        parse_arguments(["--kill", "a", "--status", "a"])


def test_a_submission_without_a_main_resource_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no main resource"):
        parse_arguments(["--class", "demo.Main"])
