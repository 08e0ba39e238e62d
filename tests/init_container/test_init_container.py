"""`spark-staging-init` as a process, against a server that can also do wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from staging_io.files import HIDDEN_PREFIX
from staging_protocol import pod_contract
from staging_protocol.api.problem import Problem
from staging_protocol.api.reports import Outcome, Report
from staging_protocol.digests import Digest
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, Manifest, ManifestEntry
from staging_protocol.tokens import BundleId, Token, TokenKind
from staging_protocol.uris import DependencyUri
from staging_protocol.wire import decode, encode
from tests.resolver import faulty_server as faults
from tests.resolver.faulty_server import FaultyServer
from tests.resolver.test_archives import file as tar_file
from tests.resolver.test_archives import tar

COMMAND = [sys.executable, "-c", "import sys; from init_container.cli import main; sys.exit(main())"]


@dataclass
class Pod:
    """A pod's folders and environment, and the server of its bundle."""

    root: Path
    server: FaultyServer
    bundle: BundleId = field(default_factory=BundleId.generate)
    entries: list[ManifestEntry] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.token = Token.generate(TokenKind.BUNDLE, identifier=self.bundle)
        secrets = self.root / pod_contract.SECRET_FOLDER.lstrip("/")
        secrets.mkdir(parents=True)
        (secrets / "token").write_text(f"{self.token.text}\n")
        (self.root / "dev").mkdir()

    @property
    def path(self) -> str:
        return f"/v1/namespaces/spark/bundles/{self.bundle}"

    def stage(self, kind: Kind, name: str, content: bytes, *, target: str | None = None) -> str:
        uri = DependencyUri.staged(kind, FileName(name))
        path = f"{self.path}/files/{kind}/{quote(name, safe='')}"
        self.server.files[path] = content
        self.add(uri.text, kind, target or name, content)
        return path

    def add(self, uri: str, kind: Kind, target: str, content: bytes) -> None:
        self.entries.append(
            ManifestEntry(uri=uri, kind=kind, target=FileName(target), size=len(content), digest=Digest.of(content))
        )

    def start(self) -> subprocess.Popen[bytes]:
        self.server.files[f"{self.path}/manifest"] = encode(Manifest(entries=tuple(self.entries)))
        environment = {
            "PATH": os.defpath, "PYTHONPATH": str(Path(__file__).parents[2]),
            "SPARK_STAGING_URL": self.server.url, "SPARK_STAGING_NAMESPACE": "spark",
            "SPARK_STAGING_BUNDLE": self.bundle, "SPARK_STAGING_ROLE": "driver", "SPARK_STAGING_POD": "pi-driver",
            "SPARK_STAGING_ROOT": str(self.root), **self.environment,
        }  # fmt: skip
        return subprocess.Popen(COMMAND, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self) -> tuple[int, list[dict[str, Any]]]:
        """Return the exit code and the log."""
        process = self.start()
        out, err = process.communicate(timeout=60)
        assert out == b""
        assert self.token.secret not in err.decode()
        return process.returncode, [json.loads(line) for line in err.splitlines()]

    def message(self) -> Report:
        line = (self.root / "dev/termination-log").read_bytes()
        assert len(line) <= pod_contract.MAX_TERMINATION_MESSAGE
        assert b"\n" not in line
        assert self.token.secret.encode() not in line
        return decode(line, into=Report)

    def reports(self) -> list[Report]:
        return [decode(body, into=Report) for path, body in self.server.posted if path == f"{self.path}/reports"]

    def tree(self) -> set[str]:
        return {
            str(path.relative_to(self.root))
            for path in (self.root / "var").rglob("*")
            if path.is_file() and "run" not in path.parts and not path.name.startswith(HIDDEN_PREFIX)
        }


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    (tmp_path / "dev").rmdir() if (tmp_path / "dev").exists() else None
    with FaultyServer() as server:
        yield Pod(tmp_path, server)


def refuse(code: str, status: int, detail: str) -> faults.Fault:
    body = encode(
        Problem(type="about:blank", title="t", status=status, detail=detail, code=code, retryable=False, request_id="1")
    )
    return lambda handler: handler.answer(status, body, Content_Type="application/problem+json")


def test_every_kind_is_where_spark_finds_it(pod: Pod) -> None:
    archive = tar(tar_file("bin/tool", b"#!", mode=0o755), mode="w:gz")
    pod.stage(Kind.JAR, "a.jar", b"jar")
    pod.stage(Kind.FILE, "größe.csv", b"file", target="data.csv")
    pod.stage(Kind.PYFILE, "m.zip", b"zip")
    pod.stage(Kind.ARCHIVE, "env.tar.gz", archive, target="env")
    code, log = pod.run()
    assert code == 0, log
    assert pod.tree() == {
        "var/spark-data/spark-jars/a.jar",
        "var/spark-data/spark-pyfiles/m.zip",
        "var/spark-work/data.csv",
        "var/spark-work/env/bin/tool",
    }
    assert (pod.root / "var/spark-work/env/bin/tool").stat().st_mode & 0o777 == 0o755
    assert [line["event"] for line in log] == ["resolved"]


def test_files_can_go_to_the_data_volume(pod: Pod) -> None:
    pod.environment = {"SPARK_STAGING_FILES_IN": "data"}
    pod.stage(Kind.FILE, "a.csv", b"file")
    assert pod.run()[0] == 0
    assert pod.tree() == {"var/spark-data/spark-files/a.csv"}


def test_modes_do_not_depend_on_the_umask(pod: Pod) -> None:
    pod.stage(Kind.JAR, "a.jar", b"jar")
    before = os.umask(0o077)
    try:
        assert pod.run()[0] == 0
    finally:
        os.umask(before)
    modes = [
        (pod.root / path).stat().st_mode & 0o777
        for path in ("var/spark-data", "var/spark-data/spark-jars", "var/spark-data/spark-jars/a.jar")
    ]
    assert modes == [0o755, 0o755, 0o644]


def test_success_is_reported_to_kubernetes_and_to_the_server(pod: Pod) -> None:
    pod.stage(Kind.JAR, "a.jar", b"jar")
    pod.stage(Kind.JAR, "b.jar", b"jars")
    pod.run()
    message = pod.message()
    assert (message.outcome, message.files, message.size, message.reused) == (Outcome.SUCCEEDED, 2, 7, 0)
    assert (message.role, message.pod, message.exit_code) == ("driver", "pi-driver", 0)
    assert pod.reports() == [message]


def test_a_second_run_moves_nothing(pod: Pod) -> None:
    path = pod.stage(Kind.JAR, "a.jar", b"jar")
    pod.run()
    assert pod.run()[0] == 0
    assert (pod.message().files, pod.message().reused) == (0, 1)
    assert [request for request in pod.server.requests if request[1] == path] == [("GET", path, None)]


def test_it_asks_for_the_manifest_and_each_file_once_on_one_connection(pod: Pod) -> None:
    pod.stage(Kind.JAR, "a.jar", b"jar")
    pod.run()
    assert [(method, path.rpartition("/")[2]) for method, path, _ in pod.server.requests] == [
        ("GET", "manifest"), ("GET", "a.jar"), ("POST", "reports"),
    ]  # fmt: skip


def test_an_ended_bundle_has_its_own_exit_code(pod: Pod) -> None:
    pod.server.faults[f"{pod.path}/manifest"] = [refuse("bundle-expired", 410, "it ended at noon: the job was deleted")]
    code, log = pod.run()
    assert code == 48
    assert "ended at noon" in log[-1]["event"]
    assert pod.message().code == "bundle-expired"
    assert pod.reports() == [pod.message()]


def test_a_wrong_token_is_told_as_not_found(pod: Pod) -> None:
    pod.server.faults[f"{pod.path}/manifest"] = [refuse("not-found", 404, "no such bundle")]
    assert pod.run()[0] == 40


def test_a_flipped_bit_is_refused(pod: Pod) -> None:
    path = pod.stage(Kind.JAR, "a.jar", b"jar" * 1000)
    pod.server.faults[path] = [faults.corrupt(b"jar" * 1000)] * 5
    assert pod.run()[0] == 42
    assert pod.tree() == set()
    assert pod.message().code == "digest-mismatch"


def test_a_bad_archive_is_refused(pod: Pod) -> None:
    pod.stage(Kind.ARCHIVE, "env.tar", tar(tar_file("../evil")), target="env")
    assert pod.run()[0] == 47
    assert pod.tree() == set()


def test_a_local_dependency_has_to_exist(pod: Pod) -> None:
    pod.add(f"local://{pod.root}/dev/../dev", Kind.JAR, "here.jar", b"")
    assert pod.run()[0] == 0
    pod.add("local:///opt/spark/nothing.jar", Kind.JAR, "a.jar", b"")
    code, log = pod.run()
    assert code == 40
    assert "/opt/spark/nothing.jar" in log[-1]["event"]


def test_the_deadline_has_its_own_exit_code(pod: Pod) -> None:
    pod.environment = {"SPARK_STAGING_DEADLINE": "1"}
    path = pod.stage(Kind.JAR, "a.jar", b"jar" * 1000)
    pod.server.faults[path] = [faults.stall(after=10)] * 10
    assert pod.run()[0] == 45


def test_a_busy_server_is_asked_again_for_the_manifest(pod: Pod) -> None:
    pod.stage(Kind.JAR, "a.jar", b"jar")
    pod.server.faults[f"{pod.path}/manifest"] = [refuse("unavailable", 503, "starting")]
    code, log = pod.run()
    assert code == 0
    assert [line["event"] for line in log] == ["trying again", "resolved"]


def test_a_manifest_that_was_changed_on_its_way_is_asked_for_again(pod: Pod) -> None:
    path = pod.stage(Kind.JAR, "a.jar", b"jar")

    def spoil(handler: faults.Handler) -> None:
        sent = handler.owner.files[f"{pod.path}/manifest"]
        seen = sent.replace(b'"target":"a.jar"', b'"target":"b.jar"')
        assert seen != sent
        handler.answer(200, seen, Repr_Digest=Digest.of(sent).repr_digest)

    pod.server.faults[f"{pod.path}/manifest"] = [spoil]
    code, log = pod.run()
    assert code == 0, log
    assert pod.tree() == {"var/spark-data/spark-jars/a.jar"}
    assert [request[1] for request in pod.server.requests].count(path) == 1


def test_a_lost_report_does_not_change_the_exit_code(pod: Pod) -> None:
    pod.stage(Kind.JAR, "a.jar", b"jar")
    pod.server.faults[f"{pod.path}/reports"] = [faults.silence()]
    assert pod.run()[0] == 0
    assert pod.message().outcome is Outcome.SUCCEEDED


def test_a_server_that_refuses_the_report_does_not_change_the_exit_code(pod: Pod) -> None:
    pod.stage(Kind.JAR, "a.jar", b"jar")
    pod.server.faults[f"{pod.path}/reports"] = [refuse("internal-error", 500, "no")]
    assert pod.run()[0] == 0


@pytest.mark.parametrize("missing", ["SPARK_STAGING_URL", "SPARK_STAGING_NAMESPACE", "SPARK_STAGING_BUNDLE"])
def test_a_missing_setting_is_named(pod: Pod, missing: str) -> None:
    pod.environment = {missing: ""}
    code, log = pod.run()
    assert code == 2
    assert missing in log[-1]["event"]
    assert pod.message().exit_code == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SPARK_STAGING_BUNDLE", "nonsense"), ("SPARK_STAGING_ROLE", "boss"), ("SPARK_STAGING_FILES_IN", "attic"),
        ("SPARK_STAGING_DEADLINE", "soon"), ("SPARK_STAGING_CONNECTIONS", "0"), ("SPARK_STAGING_URL", "ftp://x"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named(pod: Pod, name: str, value: str) -> None:
    pod.environment = {name: value}
    code, log = pod.run()
    assert code == 2
    assert name in log[-1]["event"] or value in log[-1]["event"]


def test_a_missing_token_is_told(pod: Pod) -> None:
    (pod.root / pod_contract.SECRET_FOLDER.lstrip("/") / "token").unlink()
    code, log = pod.run()
    assert code == 2
    assert "Secret" in log[-1]["event"]


def test_a_cut_token_is_told_and_not_repeated(pod: Pod) -> None:
    (pod.root / pod_contract.SECRET_FOLDER.lstrip("/") / "token").write_text(pod.token.text[:-3])
    assert pod.run()[0] == 2


def projected(number: int) -> str:
    """Return a token as Kubernetes has it."""
    return f"eyJhbGciOiJSUzI1NiJ9.eyJudW1iZXIiOiI{number}In0.c2lnbmF0dXJl"


def replace_token(pod: Pod, text: str) -> None:
    """Write a new token as the kubelet does: whole, in the place of the old one."""
    path = pod.root / pod_contract.SECRET_FOLDER.lstrip("/") / "token"
    new = path.with_name("new")
    new.write_text(text)
    new.replace(path)


def only_for(pod: Pod, token: str, *, then: str | None = None) -> faults.Fault:
    """Serve a request with this token, and replace it then; refuse every other one."""

    def answer(handler: faults.Handler) -> None:
        if handler.headers["Authorization"] != f"Bearer {token}":
            refuse("unauthenticated", 401, "this token is over")(handler)
            return
        if then is not None:
            replace_token(pod, then)
        handler.serve(pod.server.files[handler.path])

    return answer


def test_a_token_that_is_replaced_in_the_middle_of_a_run_is_used_from_then_on(pod: Pod) -> None:
    first = pod.stage(Kind.JAR, "a.jar", b"jar")
    replace_token(pod, projected(1))
    pod.server.faults[f"{pod.path}/manifest"] = [only_for(pod, projected(1), then=projected(2))]
    pod.server.faults[first] = [only_for(pod, projected(2))]
    code, log = pod.run()
    assert code == 0, log
    assert pod.tree() == {"var/spark-data/spark-jars/a.jar"}
    assert projected(1) not in str(log)


def test_a_token_that_ended_while_its_request_was_on_its_way_is_followed_by_the_new_one(pod: Pod) -> None:
    path = pod.stage(Kind.JAR, "a.jar", b"jar")
    replace_token(pod, projected(1))

    def ends(handler: faults.Handler) -> None:
        replace_token(pod, projected(2))
        refuse("unauthenticated", 401, "this token is over")(handler)

    pod.server.faults[path] = [ends, only_for(pod, projected(2))]
    code, log = pod.run()
    assert code == 0, log
    assert [line["event"] for line in log] == ["resolved"]


def test_a_token_that_is_refused_and_stays_is_asked_with_once(pod: Pod) -> None:
    replace_token(pod, projected(1))
    pod.server.faults[f"{pod.path}/manifest"] = [refuse("unauthenticated", 401, "this token is over")] * 2
    code, log = pod.run()
    assert code == 41
    assert "this token is over" in log[-1]["event"]
    assert [path for _, path, _ in pod.server.requests].count(f"{pod.path}/manifest") == 1


def test_a_pods_own_token_does_not_go_in_clear_text_to_another_machine(pod: Pod) -> None:
    replace_token(pod, projected(1))
    pod.environment = {"SPARK_STAGING_URL": "http://staging.example:8480"}
    code, log = pod.run()
    assert code == 46
    assert projected(1) not in str(log)


def test_a_token_does_not_go_in_clear_text_to_another_machine(pod: Pod) -> None:
    pod.environment = {"SPARK_STAGING_URL": "http://staging.example:8480"}
    assert pod.run()[0] == 46


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_also_while_a_read_is_stalled(pod: Pod, number: signal.Signals) -> None:
    content = bytes(500_000)  # a small one has no hidden file before it is whole
    pod.stage(Kind.JAR, "done.jar", b"jar")
    path = pod.stage(Kind.JAR, "a.jar", content)
    pod.server.faults[path] = [faults.stall(after=1000)] * 5
    process = pod.start()
    jars = pod.root / "var/spark-data/spark-jars"
    _wait_until(lambda: any(one.suffix == ".part" for one in _listed(jars)))
    process.send_signal(number)
    _, err = process.communicate(timeout=2)
    assert process.returncode == 143, err
    assert pod.message().code == "terminated"
    assert pod.reports() == [pod.message()]
    assert {one.name for one in _listed(jars)} <= {"done.jar"}


def _listed(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_loads_nothing_heavy() -> None:
    code = (
        "import sys, init_container.cli; "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'asyncio', 'pydantic', 'click', 'rich', "
        "'structlog', 'kubernetes', 'boto3', 'urllib3', 'tarfile', 'zipfile', 'multiprocessing', 'sqlite3'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
