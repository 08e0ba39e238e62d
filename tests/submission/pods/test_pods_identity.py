"""From `template` to the init container without a Secret: pods show their own tokens, which a real API server made.

Nobody runs these pods: their tokens come from TokenRequest, as the kubelet asks for them, and the init container is
started here with what the template gives it.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from resolver.sources.staged import StagedSource
from staging_io.bearers import TokenFile
from staging_io.staging import StagingClient
from staging_protocol import pod_contract
from staging_protocol.errors import ExitCode, StagingError
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind
from staging_protocol.tokens import BundleId
from staging_protocol.uris import DependencyUri
from staging_server.auth.base import BoundPod
from tests.staging_server.auth.cluster import Cluster
from tests.submission.access.test_login import settings_of, with_tls
from tests.submission.conftest import PROGRAMS, STAGE, Command, Server, serve, until
from tests.submission.fake_kubernetes import fake_kubernetes

pytestmark = pytest.mark.services

TEMPLATE = ("template", "--into", "pods", "--spark-version", "4.3", "--init-image", "init:1", *STAGE[1:])


@pytest.fixture(scope="module")
def guarded(town: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with an authority of its own, which believes what Kubernetes said of pods for half a second only."""
    folder = tmp_path_factory.mktemp("guarded")
    settings = settings_of(
        town, SPARK_STAGING_SERVER_AUTH__YES_KEEP="0.5", SPARK_STAGING_SERVER_AUTH__NO_KEEP="0.5",
        SPARK_STAGING_SERVER_AUTH__REFUSALS_PER_SECOND="1000", **with_tls(folder),
    )  # fmt: skip
    yield from serve(folder, folder / "ca.pem", **settings)


class Place:
    """A namespace in which `submitter` may stage, and the command set up as that account."""

    def __init__(self, town: Cluster, job: Command, *, name: str) -> None:
        self.town = town
        self.job = job
        self.name = name

    def template(self, role: str = "driver") -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load((self.job.folder / "pods" / f"{role}.yaml").read_text())
        return found

    def start(self, name: str, role: str = "driver") -> BoundPod:
        """Create a pod from a template, as Spark would: with an image of its own."""
        pod = self.template(role)
        pod["metadata"]["name"] = name
        pod["spec"] |= {"schedulerName": "nobody", "serviceAccountName": "default"}
        pod["spec"]["automountServiceAccountToken"] = False
        pod["spec"]["containers"][0]["image"] = "spark:1"
        made = self.town.kube.core.create_namespaced_pod(self.name, pod)
        return BoundPod(namespace=self.name, name=name, uid=made.metadata.uid)

    def token(self, pod: BoundPod) -> str:
        """Make a token as the kubelet does, for the audience that the pod's volume names."""
        (volume,) = (one for one in self.template()["spec"]["volumes"] if "projected" in one)
        wanted = volume["projected"]["sources"][0]["serviceAccountToken"]
        return self.town.token(self.name, "default", pod=pod, audiences=(wanted["audience"],))

    def resolve(self, pod: BoundPod, *, root: Path) -> "subprocess.CompletedProcess[str]":
        """Run the init container of a pod, with all paths below `root`."""
        secrets = root / pod_contract.SECRET_FOLDER.lstrip("/")
        secrets.mkdir(parents=True, exist_ok=True)
        (secrets / "token").write_text(self.token(pod))
        (secrets / "ca.crt").write_text(self.template()["metadata"]["annotations"][pod_contract.CA_ANNOTATION])
        (init,) = self.template()["spec"]["initContainers"]
        values = {item["name"]: item.get("value", pod.name) for item in init["env"]}
        return subprocess.run(
            [PROGRAMS / "spark-staging-init"],
            env={"PATH": os.defpath, **values, "SPARK_STAGING_ROOT": str(root)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip


@pytest.fixture
def place(town: Cluster, guarded: Server, job: Command) -> Iterator[Place]:
    with town.kube.namespace() as name:
        town.account(name, "submitter", role="spark-staging-submitter")
        town.account(name, "default")
        job.environment |= {
            "SPARK_STAGING_URL": guarded.url,
            "SPARK_STAGING_CA_FILE": str(guarded.data.parent / "ca.pem"),
            "SPARK_STAGING_NAMESPACE": name,
            "SPARK_STAGING_SERVICE_ACCOUNT": "submitter",
            "KUBECONFIG": str(town.kube.kubeconfig),
        }
        yield Place(town, job, name=name)


def test_from_a_template_to_resolved_files_without_secret_and_config_map(place: Place, tmp_path: Path) -> None:
    done = place.job.inside(*TEMPLATE)
    assert done.returncode == 0, done.stderr
    assert "no Secret is needed" in done.stderr

    for name, role in (("driver", "driver"), ("executor-1", "executor")):
        root = tmp_path / name
        resolved = place.resolve(place.start(name, role), root=root)
        assert resolved.returncode == 0, resolved.stderr
        jars = {path.name for path in (root / "var/spark-data/spark-jars").iterdir()}
        assert jars == {"a.jar", "app.jar"}

    core = place.town.kube.core
    assert core.list_namespaced_secret(place.name).items == []
    assert core.list_namespaced_config_map(place.name).items == []
    bundle = place.template()["metadata"]["labels"][pod_contract.LABEL]
    reports = place.job.json("bundles", "explain", bundle)["reports"]
    assert {item["report"]["pod"] for item in reports} == {"driver", "executor-1"}


def test_a_pod_that_is_over_or_not_of_the_bundle_reads_nothing(place: Place, tmp_path: Path) -> None:
    assert place.job.inside(*TEMPLATE).returncode == 0
    driver = place.start("driver")
    stranger = place.town.pod(place.name, "stranger")
    assert place.resolve(stranger, root=tmp_path / "stranger").returncode == ExitCode.NOT_FOUND

    place.town.finish(driver)

    # What was known of the pod is believed for a while.
    root = tmp_path / "again"
    until(lambda: place.resolve(driver, root=root).returncode == ExitCode.NOT_FOUND, what="the refusal of the pod")


def test_tokens_are_replaced_while_many_read(place: Place, guarded: Server, tmp_path: Path) -> None:
    assert place.job.inside(*TEMPLATE).returncode == 0
    pod = place.start("executor")
    bundle = BundleId(place.template()["metadata"]["labels"][pod_contract.LABEL])
    path = tmp_path / "token"
    path.write_text(place.token(pod))
    client = StagingClient(url=guarded.url, token=TokenFile(path), http=guarded.http)
    source = StagedSource(client, namespace=place.name, bundle=bundle)
    uri = DependencyUri.staged(Kind.JAR, FileName("app.jar"))
    tokens = {path.read_text()}

    def replaced() -> None:
        for _ in range(5):
            text = place.token(pod)
            tokens.add(text)
            (tmp_path / "new").write_text(text)
            (tmp_path / "new").replace(path)

    with ThreadPoolExecutor(9) as threads:
        replacing = threads.submit(replaced)
        found = [one for _ in range(20) for one in threads.map(lambda _: source.stat(uri).digest, range(8))]
        replacing.result()

    assert len(tokens) == 6
    assert len(found) == 160
    assert len(set(found)) == 1


def test_a_secret_is_made_where_it_is_asked_for(place: Place) -> None:
    assert place.job.inside(*TEMPLATE, "--secret", "secret.yaml").returncode == 0
    volumes = {item["name"]: item for item in place.template()["spec"]["volumes"]}
    secret = yaml.safe_load((place.job.folder / "secret.yaml").read_text())
    assert volumes["spark-staging-token"]["secret"]["secretName"] == secret["metadata"]["name"]

    done = place.job.inside(*TEMPLATE, "--pod-secret")

    assert "--secret FILE" in done.stderr
    assert "secret" in {key for item in place.template()["spec"]["volumes"] for key in item}


@pytest.mark.parametrize(("pod_secret", "secrets"), [("false", 0), ("true", 1)])
def test_run_makes_a_secret_only_where_it_is_asked_for(pod_secret: str, secrets: int, place: Place) -> None:
    job = place.job
    home = job.folder / "spark"
    (home / "bin").mkdir(parents=True)
    (home / "jars").mkdir()
    (home / "jars" / "spark-core_2.13-4.3.0.jar").touch()
    program = Path(__file__).parents[1] / "running" / "fake_spark_submit.py"
    (home / "bin" / "spark-submit").write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, str(program)])} "$@"\n')
    (home / "bin" / "spark-submit").chmod(0o755)
    with fake_kubernetes() as kubernetes:
        job.environment |= {
            "PATH": f"{home / 'bin'}:{job.environment['PATH']}",
            "FAKE": "quick", "FAKE_RECORD": str(job.folder / "record.json"), "FAKE_API": kubernetes.url,
            "SPARK_STAGING_POD_SECRET": pod_secret,
        }  # fmt: skip
        done = job.inside(
            *("run", "--", "spark-submit", "--master", f"k8s://{kubernetes.url}", "--deploy-mode", "cluster"),
            *("--conf", f"spark.kubernetes.namespace={place.name}", "--class", "demo.Main", "app.jar"),
        )

        assert done.returncode == 0, done.stderr
        assert len(kubernetes.secrets) == secrets
    templates = json.loads((job.folder / "record.json").read_text())["files"].values()
    assert all(("projected:" in text) is (secrets == 0) for text in templates)
    (bundle,) = job.json("bundles", "list")
    assert bundle["owner"]["name"] == "demo-driver"


def test_a_reader_without_a_pod_cannot_read_with_the_pods_audience_alone(place: Place, guarded: Server) -> None:
    assert place.job.inside(*TEMPLATE).returncode == 0
    bundle = BundleId(place.template()["metadata"]["labels"][pod_contract.LABEL])
    path = place.job.folder / "token"
    path.write_text(place.town.token(place.name, "default"))
    client = StagingClient(url=guarded.url, token=TokenFile(path), http=guarded.http)

    with pytest.raises(StagingError) as refused:
        client.manifest(place.name, bundle)

    assert refused.value.exit_code == ExitCode.DENIED
