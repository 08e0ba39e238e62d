"""A real staging server on loopback, and the command as its users run it."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from click import ClickException

from staging_io.http import HttpClient, HttpSettings
from staging_io.staging import StagingClient
from staging_protocol.errors import SourceUnavailable
from staging_protocol.tokens import Token
from submission.cli import cli
from tests.conftest import missing
from tests.services.kube_api import KubeApi, KubeApiMissingError, running_kube_api
from tests.staging_server.auth.cluster import Cluster

PROGRAMS: Final = Path(sys.executable).parent
DEADLINE: Final = 30.0
STAGE: Final = ("stage", "--jars", "a.jar", "--files", "data.csv", "app.jar")
"""Stages the files of the fixture `job`."""


def until(condition: Callable[[], Any], *, what: str) -> Any:
    """Wait for a condition; return what made it true."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.02)
    pytest.fail(f"waited {DEADLINE:.0f} s in vain for {what}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server process."""

    url: str
    data: Path
    http: HttpClient

    def client(self, token: Token | None = None) -> StagingClient:
        return StagingClient(url=self.url, token=token, http=self.http)


class ServerProcess:
    """A server over `folder`, on one port, that can be killed and started again."""

    def __init__(self, folder: Path, *, authority: Path | None = None, **settings: str) -> None:
        """Make one; with TLS, `authority` is the file of who issued its certificate."""
        self._folder = folder
        self._settings = settings
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._authority = None if authority is None else str(authority)
        self.url = f"{'http' if authority is None else 'https'}://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SPARK_STAGING")},  # noqa: TID251 - a child's
            "SPARK_STAGING_SERVER_PORT": str(self._port),
            "SPARK_STAGING_SERVER_STORAGE__FOLDER": str(self._folder / "data"),
            **self._settings,
        }
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAMS / "spark-staging-server", "serve"], env=environment, stdout=log, stderr=log
            )
        until(self._is_ready, what="the server")
        assert (self._folder / "data").is_dir(), "the server keeps its data elsewhere: a setting was renamed"

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it as an operator does."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=DEADLINE)

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "server.log").read_text()
        http = HttpClient(HttpSettings(ca_file=self._authority))
        try:
            with http.open("GET", f"{self.url}/readyz") as answer:
                return answer.status == 200
        except SourceUnavailable:
            return False
        finally:
            http.close()


def serve(folder: Path, authority: Path | None = None, /, **settings: str) -> Iterator[Server]:
    """Run a server until the generator is closed."""
    process = ServerProcess(folder, authority=authority, **settings)
    http = HttpClient(HttpSettings(ca_file=None if authority is None else str(authority)))
    try:
        process.start()
        yield Server(url=process.url, data=folder / "data", http=http)
    finally:
        http.close()
        process.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server without authentication for all tests; each test has a namespace of its own."""
    yield from serve(tmp_path_factory.mktemp("server"), SPARK_STAGING_SERVER_AUTH__MODE="none")


@pytest.fixture(scope="session")
def kube() -> Iterator[KubeApi]:
    """One API server for all tests."""
    try:
        with running_kube_api() as api:
            yield api
    except KubeApiMissingError as error:
        missing(str(error))


@pytest.fixture(scope="session")
def town(kube: KubeApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The API server with what `deploy/` gives to the server and to people."""
    with kube.namespace() as home:
        made = Cluster(kube=kube, home=home, folder=tmp_path_factory.mktemp("town"))
        with made.installed():
            yield made


@pytest.fixture
def namespace() -> str:
    return f"test-{uuid4().hex[:12]}"


@dataclass(kw_only=True)
class Command:
    """`spark-staging` in a folder of its own, with an environment of its own."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def line(self, *arguments: str) -> list[str]:
        return [str(PROGRAMS / "spark-staging"), *arguments]

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.line(*arguments),
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.line(*arguments),
            cwd=self.folder,
            env=self.environment,
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
        )

    def inside(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run in this process, which has imported everything already."""
        stdout, stderr = StringIO(), StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(stdout), redirect_stderr(stderr):
            for name in list(os.environ):  # noqa: TID251 - the command gets an environment of its own
                patch.delenv(name)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            patch.chdir(self.folder)
            try:
                code = cli.main(args=list(arguments), prog_name="spark-staging", standalone_mode=False)
            except ClickException as error:
                error.show()
                code = error.exit_code
        return subprocess.CompletedProcess(arguments, int(code or 0), stdout.getvalue(), stderr.getvalue())

    def json(self, *arguments: str) -> Any:
        done = self.inside(*arguments, "--output", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def file(self, name: str, content: bytes | str = b"content") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


@pytest.fixture
def command(tmp_path: Path, server: Server, namespace: str) -> Command:
    """The command, set up for the server and the test's namespace."""
    folder = tmp_path / "work"
    folder.mkdir()
    environment = {
        "PATH": os.defpath,
        "HOME": str(tmp_path / "home"),
        "SPARK_STAGING_URL": server.url,
        "SPARK_STAGING_NAMESPACE": namespace,
        "SPARK_STAGING_RETRY_SECONDS": "3",
    }
    return Command(folder=folder, environment=environment)


@pytest.fixture
def job(command: Command) -> Command:
    """Files to stage, with content that no other test has."""
    for name in ("app.jar", "a.jar", "data.csv"):
        command.file(name, f"{name} {uuid4()}")
    return command
