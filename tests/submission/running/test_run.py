"""`run` with a real staging server, an API server that holds Secrets and pods, and a recording spark-submit."""

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from staging_protocol.errors import BundleExpired
from staging_protocol.tokens import BundleId, Token, TokenKind
from tests.submission.conftest import Command, Server, until
from tests.submission.fake_kubernetes import FakeKubernetes, fake_kubernetes

FAKE = Path(__file__).parent / "fake_spark_submit.py"


@pytest.fixture
def kubernetes() -> Iterator[FakeKubernetes]:
    with fake_kubernetes() as state:
        yield state


@pytest.fixture
def spark(command: Command, kubernetes: FakeKubernetes, tmp_path: Path) -> Command:
    """The command with a kubeconfig, and an installation of Spark whose spark-submit records."""
    home = tmp_path / "spark"
    (home / "bin").mkdir(parents=True)
    (home / "jars").mkdir()
    (home / "jars" / "spark-core_2.13-4.3.0.jar").touch()
    (home / "bin" / "spark-submit").write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, str(FAKE)])} "$@"\n')
    (home / "bin" / "spark-submit").chmod(0o755)
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [{"name": "here", "cluster": {"server": kubernetes.url}}],
        "users": [{"name": "me", "user": {}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    command.environment |= {
        "PATH": f"{home / 'bin'}:{command.environment['PATH']}",
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
        "FAKE_RECORD": str(tmp_path / "record.json"),
        "FAKE_API": kubernetes.url,
    }
    command.file("app.jar", f"the application {uuid4()}")
    command.file("lib/a.jar", "a library")
    command.file("data.csv", "1,2")
    return command


def submit(spark: Command, kubernetes: FakeKubernetes, mode: str, *extra: str) -> "subprocess.CompletedProcess[str]":
    spark.environment["FAKE"] = mode
    return spark.inside("run", *arguments(spark, kubernetes, *extra))


def arguments(spark: Command, kubernetes: FakeKubernetes, *extra: str) -> list[str]:
    return [
        *("--", "spark-submit", "--master", f"k8s://{kubernetes.url}", "--deploy-mode", "cluster"),
        *("--conf", f"spark.kubernetes.namespace={spark.environment['SPARK_STAGING_NAMESPACE']}"),
        *("--jars", "lib/a.jar", "--files", "data.csv", "--class", "demo.Main", *extra, "app.jar", "10"),
    ]


def record(spark: Command) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(spark.environment["FAKE_RECORD"]).read_text())
    return found


def bundle_of(spark: Command) -> BundleId:
    label = next(part for part in record(spark)["argv"] if "executor.label.spark-staging.io/bundle=" in part)
    return BundleId(label.rpartition("=")[2])


def ended(server: Server, spark: Command) -> bool:
    try:
        server.client().bundle(spark.environment["SPARK_STAGING_NAMESPACE"], bundle_of(spark))
    except BundleExpired:
        return True
    return False


def test_the_driver_pod_owns_secret_and_bundle_and_the_exit_code_is_sparks(
    spark: Command, kubernetes: FakeKubernetes, server: Server, namespace: str
) -> None:
    done = submit(spark, kubernetes, "pod")

    assert done.returncode == 5, done.stderr
    bundle = bundle_of(spark)
    secret = kubernetes.secrets[namespace, f"spark-staging-{bundle}"]
    assert secret["metadata"]["labels"] == {"spark-staging.io/bundle": bundle}
    assert secret["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Pod", "name": "demo-driver", "uid": "uid-1"}
    ]
    owner = server.client().bundle(namespace, bundle).owner
    assert owner is not None
    assert (owner.name, owner.uid) == ("demo-driver", "uid-1")
    assert "spark-role%3Ddriver" in kubernetes.selectors[0]


def test_spark_gets_templates_and_properties_in_the_place_of_local_files(
    spark: Command, kubernetes: FakeKubernetes
) -> None:
    submit(spark, kubernetes, "quick")

    argv, files = record(spark)["argv"], record(spark)["files"]
    assert argv[-2:] == ["local:///var/spark-data/spark-jars/app.jar", "10"]
    assert "spark.jars=local:///var/spark-data/spark-jars/a.jar" in argv
    assert not {"--jars", "--files"} & set(argv)
    assert sorted(Path(path).name for path in files) == ["driver.yaml", "executor.yaml"]
    assert all("spark-staging-init" in text for text in files.values())
    assert not any(Path(path).exists() for path in files), "templates were left behind"


def test_a_pod_that_appears_at_the_last_moment_is_still_made_the_owner(
    spark: Command, kubernetes: FakeKubernetes
) -> None:
    done = submit(spark, kubernetes, "quick")

    assert done.returncode == 0, done.stderr
    assert [secret["metadata"]["ownerReferences"][0]["name"] for secret in kubernetes.secrets.values()] == [
        "demo-driver"
    ]


def test_a_failed_submission_leaves_neither_secret_nor_bundle(
    spark: Command, kubernetes: FakeKubernetes, server: Server
) -> None:
    done = submit(spark, kubernetes, "fail")

    assert done.returncode == 3
    assert kubernetes.secrets == {}
    assert kubernetes.deleted == [f"spark-staging-{bundle_of(spark)}"]
    assert ended(server, spark)


def test_the_token_is_in_the_secret_and_in_nothing_that_others_see(spark: Command, kubernetes: FakeKubernetes) -> None:
    access = Token.generate(TokenKind.ACCESS)
    spark.environment |= {"FAKE": "quick", "SPARK_STAGING_TOKEN": access.text}
    done = spark.run("run", *arguments(spark, kubernetes))

    (secret,) = kubernetes.secrets.values()
    token = secret["stringData"]["token"]
    assert token.startswith("sst_")
    seen = json.dumps(record(spark)) + done.stdout + done.stderr
    assert token not in seen
    assert token.split("_")[2] not in seen
    assert access.secret not in seen


def test_a_signal_is_passed_on_and_everything_is_cleared(
    spark: Command, kubernetes: FakeKubernetes, server: Server
) -> None:
    spark.environment["FAKE"] = "wait"
    process = spark.start("run", *arguments(spark, kubernetes))
    until(Path(spark.environment["FAKE_RECORD"]).exists, what="spark-submit")

    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=30)

    assert process.returncode == 7, stderr
    assert kubernetes.secrets == {}
    assert ended(server, spark)


def test_a_refused_secret_ends_everything_before_spark_starts(
    spark: Command, kubernetes: FakeKubernetes, server: Server, namespace: str
) -> None:
    kubernetes.refused = True

    done = submit(spark, kubernetes, "quick")

    assert done.returncode == 41
    assert "secrets is forbidden" in done.stderr
    assert not Path(spark.environment["FAKE_RECORD"]).exists()
    assert server.client().bundles(namespace).bundles == ()


def test_client_mode_leases_the_bundle_and_clears_everything_at_the_end(
    spark: Command, kubernetes: FakeKubernetes, server: Server
) -> None:
    done = submit(spark, kubernetes, "quick", "--deploy-mode", "client")

    assert done.returncode == 0, done.stderr
    argv = record(spark)["argv"]
    assert argv[-2:] == ["spark-internal", "10"]
    assert "spark.driver.extraClassPath=app.jar:lib/a.jar" in argv
    assert kubernetes.secrets == {}
    assert ended(server, spark)


def test_the_bundle_of_a_driver_in_client_mode_is_leased_while_it_runs(
    spark: Command, kubernetes: FakeKubernetes, server: Server, namespace: str
) -> None:
    def is_leased() -> bool:
        claims = server.client().explain(namespace, bundle_of(spark)).claims
        return any(claim.kind == "lease" and claim.holds for claim in claims)

    spark.environment["FAKE"] = "wait"
    program = spark.start("run", *arguments(spark, kubernetes, "--deploy-mode", "client"))
    try:
        until(lambda: Path(spark.environment["FAKE_RECORD"]).exists(), what="spark-submit")
        until(is_leased, what="the lease of the bundle")
    finally:
        program.send_signal(signal.SIGTERM)
        program.communicate(timeout=30)

    assert ended(server, spark)


@pytest.mark.parametrize("option", [("--context", "here"), ("--", "--conf", "spark.kubernetes.context=here")])
def test_the_context_is_the_one_that_is_named_for_spark_or_for_us(
    option: tuple[str, ...], spark: Command, kubernetes: FakeKubernetes
) -> None:
    path = Path(spark.environment["KUBECONFIG"])
    path.write_text(path.read_text().replace('"current-context": "here"', '"current-context": "gone"'))
    before, inside = (option, ()) if option[0] != "--" else ((), option[1:])
    spark.environment["FAKE"] = "quick"

    assert submit(spark, kubernetes, "quick").returncode == 2
    done = spark.inside("run", *before, *arguments(spark, kubernetes, *inside))

    assert done.returncode == 0, done.stderr
    assert len(kubernetes.secrets) == 1


def test_a_dry_run_prints_the_command_and_asks_no_server(spark: Command, kubernetes: FakeKubernetes) -> None:
    spark.environment["SPARK_STAGING_URL"] = "http://127.0.0.1:1"

    done = spark.inside("run", "--dry-run", *arguments(spark, kubernetes))

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("spark-submit --master")
    assert "local:///var/spark-data/spark-jars/app.jar" in done.stdout
    assert "would stage lib/a.jar" in done.stderr
    assert kubernetes.secrets == {}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--", "spark-submit", "--jar", "x", "app.jar"], "did you mean --jars?"),
        (["--", "absent-submit", "app.jar"], "absent-submit is not a program"),
        (["--", "spark-submit", "--master", "k8s://x", "--packages", "g:a:1", "app.jar"], "download the jars once"),
        (["--", "spark-submit", "--master", "local[2]", "app.jar"], "serves Kubernetes"),
        ([], "no command is given"),
    ],
)
def test_what_cannot_be_run_is_a_plain_error(arguments: list[str], why: str, spark: Command) -> None:
    done = spark.inside("run", *arguments)

    assert done.returncode == 2
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1
