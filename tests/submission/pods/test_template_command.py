"""`template` writes what a stock spark-submit needs, and says what else is needed."""

import stat
from typing import Any

import yaml

from staging_protocol.errors import ExitCode
from staging_protocol.tokens import Token
from tests.submission.conftest import STAGE, Command

TEMPLATE = ("template", "--into", "pods", "--spark-version", "4.3", *STAGE[1:])


def test_template_writes_pods_properties_and_lines(job: Command) -> None:
    done = job.inside(*TEMPLATE, "--secret", "secret.yaml")

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "local:///var/spark-data/spark-jars/app.jar"
    assert f"--conf spark.kubernetes.driver.podTemplateFile={job.folder}/pods/driver.yaml" in lines
    properties = (job.folder / "pods" / "spark.properties").read_text().splitlines()
    assert [f"--conf {line}" for line in properties] == lines[:-1]
    driver = yaml.safe_load((job.folder / "pods" / "driver.yaml").read_text())
    bundle = driver["metadata"]["labels"]["spark-staging.io/bundle"]
    secret = yaml.safe_load((job.folder / "secret.yaml").read_text())
    assert secret["metadata"]["name"] == f"spark-staging-{bundle}"
    assert Token.parse(secret["stringData"]["token"]).id == bundle
    assert stat.S_IMODE((job.folder / "secret.yaml").stat().st_mode) == 0o600


def test_template_says_what_else_is_needed(job: Command) -> None:
    done = job.inside(*TEMPLATE)

    size = (job.folder / "data.csv").stat().st_size
    assert f"each executor fetches {size} bytes from the driver" in done.stderr
    assert "--secret FILE" in done.stderr
    assert "this machine; set SPARK_STAGING_POD_URL" in done.stderr


def test_template_merges_the_users_own_templates_and_properties(job: Command) -> None:
    own: dict[str, Any] = {"kind": "Pod", "spec": {"containers": [{"name": "mine", "image": "x"}]}}
    job.file("own.yaml", yaml.safe_dump(own))
    job.file("m.py")

    done = job.inside(
        *TEMPLATE, "--py-files", "m.py", "--driver-template", "own.yaml", "-c", "spark.executorEnv.PYTHONPATH=/mine",
        "--pod-url", "https://staging.example:8480",
    )  # fmt: skip

    driver = yaml.safe_load((job.folder / "pods" / "driver.yaml").read_text())
    assert driver["spec"]["containers"][0]["image"] == "x"
    assert driver["spec"]["initContainers"][0]["env"][0]["value"] == "https://staging.example:8480"
    assert "--conf spark.executorEnv.PYTHONPATH=/var/spark-data/spark-pyfiles:/mine" in done.stdout


def test_pods_are_not_told_to_send_their_token_in_clear_text(job: Command) -> None:
    done = job.inside(*TEMPLATE, "--pod-url", "http://staging:8480")

    assert done.returncode == ExitCode.REFUSED_BY_POLICY
    assert "SPARK_STAGING_ALLOW_PLAIN_HTTP" in done.stderr


def test_template_as_json_has_the_same(job: Command) -> None:
    result = job.json(*TEMPLATE)

    assert result["main"] == "local:///var/spark-data/spark-jars/app.jar"
    assert result["bytes_from_driver"] == (job.folder / "data.csv").stat().st_size
    assert "spark.jars" in result["properties"]
