"""What can be wrong with this machine, the command, Spark, and what pods get: each is told alone, with its fix."""

import resource
from pathlib import Path

import pytest

from tests.submission.doctor.conftest import EVERYTHING, IMAGE, RELEASE, SERVICES, Site

pytestmark = pytest.mark.services


def test_a_setting_that_is_none(site: Site) -> None:
    row = site.doctor(SPARK_STAGING_UPLOADS="many").only("settings")

    assert "uploads" in row["found"]


def test_a_library_that_is_too_old(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "site" / "msgspec-0.5.0.dist-info"
    old.mkdir(parents=True)
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: msgspec\nVersion: 0.5.0\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    row = site.doctor().only("libraries")

    assert row["found"].startswith("msgspec is 0.5.0, and has to be ")
    assert "pip install" in row["fix"]


def test_a_cache_folder_that_cannot_be_made(site: Site) -> None:
    file = site.command.file("a-file")

    row = site.doctor(SPARK_STAGING_CACHE_FOLDER=str(file / "cache")).only("cache folder", status="warn")

    assert "SPARK_STAGING_CACHE_FOLDER" in row["fix"]


def test_a_cache_folder_on_a_full_disk(site: Site) -> None:
    kubeconfig = site.person(EVERYTHING, SERVICES)  # its token needs no file, as a client certificate does
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))  # as a disk that has no more room
    try:
        row = site.doctor(KUBECONFIG=kubeconfig).only("cache folder", status="warn")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert "nothing can be written" in row["found"]


def test_a_spark_conf_dir_that_is_missing(site: Site) -> None:
    row = site.doctor(SPARK_CONF_DIR="/nowhere/conf").only("Spark configuration")

    assert "/nowhere/conf, which is not a folder" in row["found"]
    assert "correct SPARK_CONF_DIR" in row["fix"]


def test_an_option_that_nobody_has(site: Site) -> None:
    row = site.run("--", "--jarz", "x").only("command")

    assert "--jarz" in row["found"]


def test_packages_that_are_not_resolved(site: Site) -> None:
    row = site.run("--", "--packages", "a:b:1", "local:///opt/app.jar").only("command")

    assert "download the jars once" in row["found"]


def test_a_spark_that_is_too_old(site: Site) -> None:
    row = site.doctor(image="apache/spark:3.3.2").only("Spark version")

    assert row["found"] == "Spark 3.3.2 is too old; spark-staging supports 3.4 to 4.x"
    assert "3.4 or newer" in row["fix"]


def test_a_spark_whose_version_nobody_tells(site: Site) -> None:
    row = site.doctor(image="registry.example/etl:nightly").only("Spark version", status="unknown")

    assert "--spark-version" in row["fix"]


def test_client_mode_without_a_spark_submit(site: Site) -> None:
    row = site.run(
        "--", "--deploy-mode", "client", "--conf", f"spark.kubernetes.container.image={IMAGE}", "app.py",
    ).only("Spark version")  # fmt: skip

    assert "spark-submit is not a program that can be run" in row["found"]


def test_a_command_without_an_image(site: Site) -> None:
    row = site.doctor("--spark-version", "4.3", image=None).only("Spark image")

    assert "spark.kubernetes.container.image" in row["fix"]


def test_an_init_image_that_is_not_set(site: Site) -> None:
    row = site.doctor(SPARK_STAGING_INIT_IMAGE="").only("init image", status="warn")

    assert f"spark-staging/init:{RELEASE}" in row["found"]
    assert "SPARK_STAGING_INIT_IMAGE" in row["fix"]


@pytest.mark.parametrize(
    ("image", "status", "fix"),
    [
        ("registry.example/init:7.1.0", "fail", f"name an image of {RELEASE}"),
        ("registry.example:5000/init", "warn", f"registry.example:5000/init:{RELEASE}"),
        ("registry.example/init:nightly", "unknown", f"made from spark-staging {RELEASE}"),
    ],
)
def test_an_init_image_that_does_not_fit(site: Site, image: str, status: str, fix: str) -> None:
    row = site.doctor(SPARK_STAGING_INIT_IMAGE=image).only("init image", status=status)

    assert fix in row["fix"]


@pytest.mark.parametrize(
    ("url", "said", "fix"),
    [
        ("", "is the pod itself", "SPARK_STAGING_POD_URL"),  # what the server on loopback says
        ("http://localhost:8480", "is the pod itself", "SPARK_STAGING_POD_URL"),
        ("http://staging.jobs.svc:8480", "in clear text", "SPARK_STAGING_ALLOW_PLAIN_HTTP"),
        ("staging.jobs.svc:8480", "is not the URL of a server", "SPARK_STAGING_POD_URL"),
    ],
    ids=["of-the-server", "loopback", "clear-text", "none"],
)
def test_a_url_that_is_of_no_use_to_pods(site: Site, url: str, said: str, fix: str) -> None:
    row = site.doctor(SPARK_STAGING_POD_URL=url).only("pod URL")

    assert said in row["found"]
    assert fix in row["fix"]


def test_a_pod_url_whose_name_is_not_known_here(site: Site) -> None:
    row = site.doctor(SPARK_STAGING_POD_URL="https://staging.invalid").only("pod URL", status="warn")

    assert "nslookup staging.invalid" in row["fix"]


def test_one_failure_does_not_hide_others(site: Site) -> None:
    report = site.doctor(
        "--timeout", "5",
        image="apache/spark:3.3.2",
        SPARK_STAGING_URL="https://staging.invalid",
        KUBECONFIG="/nowhere/kubeconfig",
        SPARK_STAGING_INIT_IMAGE="registry.example/init:7.1.0",
    )  # fmt: skip

    assert report.not_ok() == {"Spark version", "server DNS", "kubeconfig", "init image"}
    assert report.rows["server rights"]["found"] == "because of: server DNS"
    assert report.rows["quotas"]["found"] == "because of: kubeconfig"
    assert report.rows["cache folder"]["status"] == "ok"
    assert IMAGE not in report.rows["Spark image"]["found"]
