"""`sources.json` on its way into pods: a real API server takes what we write, and the init container uses it."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from staging_protocol.errors import ExitCode
from staging_protocol.pod_contract import Role
from staging_protocol.source_files import read_sources
from submission.pods.merge import Template
from submission.pods.sources import MAX_ANNOTATIONS, PodSources, pod_sources
from tests.resolver.faulty_server import FaultyServer
from tests.services.kube_api import KubeApi
from tests.submission import kubelet
from tests.submission.conftest import PROGRAMS, STAGE, Command
from tests.submission.pods.test_patch import OWN, patch, with_

EXAMPLES = sorted((Path(__file__).parents[3] / "deploy" / "examples" / "sources").glob("*.json"))
TEMPLATE = ("template", "--into", "pods", "--spark-version", "4.3", "--sources", "conf/sources.json")
TOKEN = "repository-token-of-the-test"


@pytest.fixture(scope="module")
def place(kube: KubeApi) -> Iterator["Place"]:
    with kube.namespace() as name:
        # An API server without controllers makes no accounts by itself.
        kube.core.create_namespaced_service_account(name, {"metadata": {"name": "default"}})
        yield Place(kube, name)


class Place:
    """A namespace of a real API server, which looks at pods and keeps none."""

    def __init__(self, kube: KubeApi, name: str) -> None:
        self._kube = kube
        self._name = name

    def takes(self, pod: Template) -> dict[str, Any]:
        """Return the pod as the API server would keep it."""
        pod["metadata"]["name"] = "dry"
        pod["spec"]["automountServiceAccountToken"] = False
        for container in pod["spec"]["containers"]:
            container.setdefault("image", "spark:1")
        made = self._kube.core.create_namespaced_pod(self._name, pod, dry_run="All")
        return dict(self._kube.core.api_client.sanitize_for_serialization(made))


def holds(kept: Any, written: Any) -> bool:
    """Whether everything that we wrote was kept; an API server adds what is usual."""
    if isinstance(written, dict):
        return all(name in kept and holds(kept[name], value) for name, value in written.items())
    if isinstance(written, list):
        return len(kept) == len(written) and all(map(holds, kept, written))
    return bool(kept == written)


@pytest.mark.services
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_pods_of_every_example_are_taken_by_an_api_server(place: Place, example: Path, role: Role) -> None:
    sources = pod_sources(read_sources(example.read_bytes()), env_from=("more",))
    pod = patch(OWN, role=role, container="spark", sources=sources)

    kept = place.takes(pod)

    for volume, written in zip(kept["spec"]["volumes"], pod["spec"]["volumes"], strict=True):
        assert holds(volume, written)
    init, written = kubelet.init_container(kept), kubelet.init_container(pod)
    assert (init["volumeMounts"], init["envFrom"]) == (written["volumeMounts"], written["envFrom"])
    text = pod["metadata"]["annotations"]["spark-staging.io/sources"]
    assert read_sources(text.encode()) == read_sources(example.read_bytes())


@pytest.mark.services
def test_a_config_map_and_additions_of_the_user_are_taken_by_an_api_server(place: Place) -> None:
    added = {"name": "spark-staging-init", "volumeMounts": [{"name": "scratch", "mountPath": "/etc/pki"}]}
    own = with_(["spec", "initContainers"], [added])

    assert place.takes(patch(own, container="spark", sources=PodSources(config_map="site")))


@pytest.mark.services
def test_the_largest_annotation_that_we_write_is_taken(place: Place) -> None:
    room = MAX_ANNOTATIONS - sum(
        len(part) for item in patch(sources=PodSources(text=""))["metadata"]["annotations"].items() for part in item
    )

    assert place.takes(patch(sources=PodSources(text="x" * room)))


@pytest.fixture
def repository() -> Iterator[FaultyServer]:
    """A web server that wants a token; nobody else is shown it."""
    with FaultyServer() as server:
        yield server


class Job:
    """A job with a remote dependency, and what reaches it."""

    def __init__(self, job: Command, repository: FaultyServer) -> None:
        self.job = job
        self.uri = repository.put("lib.jar", b"library")
        host = repository.url.removeprefix("http://")
        self.sources = {
            "egress": {"networks": {"allow": ["127.0.0.0/8"]}},
            "http": {"hosts": {host: {"bearer": "repository/token"}}},
        }
        job.file("conf/sources.json", json.dumps(self.sources))
        job.file("conf/repository/token", TOKEN)

    def template(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return self.job.inside(
            *TEMPLATE, "--secret", "secret.yaml", "--jars", self.uri, *arguments, "app.jar",
        )  # fmt: skip

    def pod(self, role: Role) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load((self.job.folder / "pods" / f"{role}.yaml").read_text())
        return found

    def resolve(self, role: Role, *, root: Path, **objects: Any) -> "subprocess.CompletedProcess[str]":
        """Run the init container of a pod, with all paths below `root`."""
        pod = self.pod(role)
        secret = yaml.safe_load((self.job.folder / "secret.yaml").read_text())
        secrets = {secret["metadata"]["name"]: secret["stringData"], **objects.pop("secrets", {})}
        kubelet.mount(pod, root=root, secrets=secrets, **objects)
        return subprocess.run(
            [PROGRAMS / "spark-staging-init"], env=kubelet.environment(pod, root=root, secrets=secrets),
            capture_output=True, text=True, check=False,
        )  # fmt: skip


@pytest.fixture
def remote(job: Command, repository: FaultyServer) -> Job:
    return Job(job, repository)


@pytest.mark.parametrize("role", Role)
def test_from_a_template_to_a_file_behind_a_credential(
    remote: Job, repository: FaultyServer, role: Role, tmp_path: Path
) -> None:
    done = remote.template()
    assert done.returncode == 0, done.stderr
    assert "Secret repository" in done.stderr

    resolved = remote.resolve(role, root=tmp_path / "pod", secrets={"repository": {"token": TOKEN, "other": "no"}})

    assert resolved.returncode == 0, resolved.stderr
    assert (tmp_path / "pod/var/spark-data/spark-jars/lib.jar").read_bytes() == b"library"
    assert {headers.get("Authorization") for headers in repository.headers} == {f"Bearer {TOKEN}"}
    written = "".join(path.read_text() for path in (remote.job.folder / "pods").iterdir())
    assert TOKEN not in f"{written}{done.stdout}{done.stderr}{resolved.stderr}"


def test_a_pod_without_its_secret_says_so_at_once(remote: Job, tmp_path: Path) -> None:
    assert remote.template().returncode == 0

    resolved = remote.resolve(Role.DRIVER, root=tmp_path / "pod")

    assert resolved.returncode == ExitCode.USAGE
    assert "/var/run/secrets/spark-staging-sources/repository/token" in resolved.stderr


def test_settings_of_the_operators_come_from_their_config_map(remote: Job, tmp_path: Path) -> None:
    assert remote.template("--sources-config-map", "site").returncode == 0

    resolved = remote.resolve(
        Role.EXECUTOR,
        root=tmp_path / "pod",
        secrets={"repository": {"token": TOKEN}},
        config_maps={"site": {"sources.json": json.dumps(remote.sources)}},
    )

    assert resolved.returncode == 0, resolved.stderr


def test_pods_that_fetch_nothing_from_elsewhere_get_nothing_of_it(job: Command) -> None:
    job.file("conf/sources.json", '{"gcs": {"credentials": "gcs-key/key.json"}}')

    done = job.inside(*TEMPLATE, "--init-env-from", "aws-env", *STAGE[1:])

    assert done.returncode == 0, done.stderr
    written = (job.folder / "pods" / "driver.yaml").read_text()
    for name in ("spark-staging.io/sources", "spark-staging-source", "gcs-key", "aws-env"):
        assert name not in written


def test_secrets_become_variables_as_flag_and_as_setting(remote: Job) -> None:
    remote.job.environment["SPARK_STAGING_INIT_ENV_FROM"] = "first, second"
    assert remote.template().returncode == 0
    both = kubelet.init_container(remote.pod(Role.DRIVER))["envFrom"]
    assert remote.template("--init-env-from", "only").returncode == 0
    (only,) = kubelet.init_container(remote.pod(Role.DRIVER))["envFrom"]

    assert [one["secretRef"]["name"] for one in both] == ["first", "second"]
    assert only["secretRef"]["name"] == "only"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--init-env-from", "Not_A_Name"), "init_env_from"),
        (("--sources-config-map", "a/b"), "sources_config_map"),
        (("--sources", "conf/absent.json"), "absent.json does not exist"),
        (("--sources", "conf"), "conf cannot be used"),
        (("--sources", "conf/wrong.json"), "<secret>/<key>"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_staged(
    remote: Job, arguments: tuple[str, ...], said: str
) -> None:
    remote.job.file("conf/wrong.json", '{"gcs": {"credentials": "key.json"}}')

    done = remote.template(*arguments)

    assert done.returncode in {ExitCode.USAGE, ExitCode.NOT_FOUND}
    assert said in done.stderr
    assert remote.job.json("bundles", "list") == []
