"""A sound set-up, to be broken in one place by each test."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from tests.services.kube_programs import write_kubeconfig
from tests.staging_server.auth.cluster import Cluster
from tests.submission.access.test_login import settings_of, with_tls
from tests.submission.conftest import PROGRAMS, Command, Server, serve

RELEASE: Final = version("spark-staging")
ACCOUNT: Final = "spark.kubernetes.authenticate.driver.serviceAccountName"
IMAGE: Final = "registry.example/spark:4.3.0"


EVERYTHING: Final[dict[str, Any]] = {
    "apiGroups": ["", "authorization.k8s.io"],
    "resources": [
        "pods", "pods/log", "configmaps", "secrets", "namespaces", "serviceaccounts", "resourcequotas",
        "localsubjectaccessreviews",
    ],
    "verbs": ["*"],
}  # fmt: skip
"""What a submitter needs, but for Services."""
SERVICES: Final[dict[str, Any]] = {"apiGroups": [""], "resources": ["services"], "verbs": ["*"]}


@dataclass(frozen=True, kw_only=True)
class Report:
    """What doctor said: a row by the name of its check."""

    rows: Mapping[str, Mapping[str, Any]]
    code: int

    def not_ok(self) -> set[str]:
        """Return the names of checks that looked, and are not content."""
        return {name for name, row in self.rows.items() if row["status"] not in {"ok", "skipped"}}

    def skipped(self) -> set[str]:
        return {name for name, row in self.rows.items() if row["status"] == "skipped"}

    def only(self, name: str, *, status: str = "fail") -> Mapping[str, Any]:
        """Return the row of the one check that is not content; what was skipped was so because of it."""
        rows = {key: f"{row['status']}: {row['found']}" for key, row in self.rows.items()}
        assert self.not_ok() == {name}, rows
        row = self.rows[name]
        assert row["status"] == status, row
        assert row["fix"], row
        assert {self.rows[one]["found"] for one in self.skipped()} <= {f"because of: {name}"}
        assert self.code == int(status == "fail")
        return row


@dataclass(frozen=True, kw_only=True)
class Site:
    """A namespace of a cluster, a staging server, and the command set up for both."""

    town: Cluster
    name: str
    command: Command

    def doctor(self, *arguments: str, image: str | None = IMAGE, account: str = "spark", **changes: str) -> Report:
        """Run it for a job, with options for `doctor` and variables that are other than in a sound set-up."""
        job = [
            *("--master", self.town.kube.url.replace("https://", "k8s://https://"), "--deploy-mode", "cluster"),
            *("--conf", f"{ACCOUNT}={account}"),
            *(() if image is None else ("--conf", f"spark.kubernetes.container.image={image}")),
        ]
        return self.run(*arguments, "--", *job, "local:///opt/app.jar", **changes)

    def run(self, *arguments: str, **changes: str) -> Report:
        """Run it with these arguments."""
        done = self.plainly("-o", "json", *arguments, **changes)
        assert done.stdout, done.stderr
        told = json.loads(done.stdout)
        assert told["ok"] == (done.returncode == 0)
        return Report(rows={row["check"]: row for row in told["checks"]}, code=done.returncode)

    def plainly(self, *arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
        """Run it, and return what it printed."""
        merged = {**self.command.environment, **changes}
        environment = {name: value for name, value in merged.items() if value}
        return Command(folder=self.command.folder, environment=environment).inside("doctor", *arguments)

    def kubeconfig(self, user: dict[str, Any], *, url: str | None = None, authority: str | None = None) -> str:
        """Write a kubeconfig of the cluster, with this user."""
        kube = self.town.kube
        path = self.command.folder / f"kubeconfig-{uuid4().hex[:8]}"
        trusted = authority or str(kube.kubeconfig.parent / "ca.pem")
        write_kubeconfig(path, url or kube.url, trusted, user)
        return str(path)

    def person(self, *rules: dict[str, Any]) -> str:
        """Return the kubeconfig of somebody who may only what these rules say, in the namespace."""
        name = f"person-{uuid4().hex[:8]}"
        role = {"metadata": {"name": name}, "rules": list(rules)}
        self.town.rbac.create_namespaced_role(self.name, role)
        self.town.account(self.name, name)
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "namespace": self.name, "name": name}],
        }
        self.town.rbac.create_namespaced_role_binding(self.name, binding)
        return self.kubeconfig({"token": self.town.token(self.name, name, audiences=())})


@pytest.fixture(scope="module")
def place(town: Cluster) -> Iterator[str]:
    """A namespace in which the account `spark` may what drivers do, and `submitter` may stage."""
    with town.kube.namespace() as name:
        # The API server of tests has no controller that fills the role `edit`.
        town.account(name, "spark", role="cluster-admin")
        town.account(name, "submitter", role="spark-staging-submitter")
        yield name


@pytest.fixture
def site(town: Cluster, place: str, server: Server, tmp_path: Path) -> Site:
    """A sound set-up with a server that asks nobody who they are."""
    return site_of(town, place, tmp_path, SPARK_STAGING_URL=server.url)


@pytest.fixture
def own_place(town: Cluster, server: Server, tmp_path: Path) -> Iterator[Site]:
    """The same in a namespace that the test may change."""
    with town.kube.namespace() as name:
        town.account(name, "spark", role="cluster-admin")
        yield site_of(town, name, tmp_path, SPARK_STAGING_URL=server.url)


def site_of(town: Cluster, namespace: str, folder: Path, **more: str) -> Site:
    """Return a set-up in a namespace."""
    (folder / "work").mkdir()
    environment = {
        "PATH": os.defpath,
        "HOME": str(folder / "home"),
        "KUBECONFIG": str(town.kube.kubeconfig),
        "SPARK_STAGING_NAMESPACE": namespace,
        "SPARK_STAGING_INIT_IMAGE": f"registry.example/spark-staging/init:{RELEASE}",
        "SPARK_STAGING_POD_URL": "https://spark-staging.spark-staging.svc:8443",
        **more,
    }
    return Site(town=town, name=namespace, command=Command(folder=folder / "work", environment=environment))


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """A server that asks who comes, over TLS, and the file of its authority."""

    url: str
    authority: str


@pytest.fixture(scope="module")
def guarded(town: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A server that knows callers by the cluster."""
    folder = tmp_path_factory.mktemp("guarded")
    settings = settings_of(town, SPARK_STAGING_SERVER_AUTH__REFUSALS_PER_SECOND="1000", **with_tls(folder))
    for server in serve(folder, folder / "ca.pem", **settings):
        yield Guarded(url=server.url, authority=str(folder / "ca.pem"))


@dataclass(frozen=True, kw_only=True)
class WithTokens:
    """A server that knows access tokens; `folder` has files with some."""

    url: str
    folder: Path

    def make(self, name: str, *options: str) -> Path:
        """Make an access token, and return the file that holds it."""
        words = ("tokens", "create", "--name", name, *options, "--file", str(self.folder / "tokens.json"))
        made = subprocess.run(
            [str(PROGRAMS / "spark-staging-server"), *words],
            env={"PATH": os.defpath, "SPARK_STAGING_SERVER_STORAGE__FOLDER": str(self.folder / "data")},
            text=True,
            capture_output=True,
            check=True,
        )
        path = self.folder / name
        path.write_text(next(word for word in made.stdout.split() if word.startswith("ssa_")))
        return path


@pytest.fixture(scope="module")
def with_tokens(place: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WithTokens]:
    """A server with the tokens `good`, `reader` and `expired`."""
    folder = tmp_path_factory.mktemp("tokens")
    made = WithTokens(url="", folder=folder)
    made.make("good", "--namespace", place, "--verb", "create")
    made.make("reader", "--namespace", place, "--verb", "get")
    made.make("expired", "--namespace", place, "--verb", "create", "--days", "1")
    file = folder / "tokens.json"
    entries = json.loads(file.read_text())
    for entry in entries["tokens"]:
        if entry["name"] == "expired":
            entry["expires"] = entry["created"]
    file.write_text(json.dumps(entries))
    settings = {"AUTH__MODE": "tokens", "AUTH__TOKENS_FILE": str(file)}
    for server in serve(folder, **{f"SPARK_STAGING_SERVER_{name}": value for name, value in settings.items()}):
        yield WithTokens(url=server.url, folder=folder)
