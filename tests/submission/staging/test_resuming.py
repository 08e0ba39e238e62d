"""Large files through every interruption: what the server has is never sent again, and what arrives is right."""

import json
import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import stamina

from staging_protocol.errors import ExitCode
from staging_protocol.tokens import Token
from tests.services.fault_proxy import FaultProxy
from tests.services.faults import (
    CloseAfter,
    Corrupt,
    Fault,
    LoseAnswer,
    Place,
    Refuse,
    Reset,
    Rule,
    SendTwice,
    Stall,
    Truncate,
    Way,
)
from tests.submission.conftest import Command, Server, ServerProcess, until

MIB: Final = 1024 * 1024
PART: Final = 8 * MIB
SIZE: Final = 3 * PART - 12_345
STAGE: Final = ("stage", "--files", "large.bin")


@dataclass(kw_only=True)
class Scene:
    """A large file that no other test has, and the command that stages it through a proxy."""

    command: Command
    proxy: FaultProxy
    server: Server
    namespace: str
    large: Path
    processes: list["subprocess.Popen[str]"] = field(default_factory=list)

    def staged(self) -> dict[str, Any]:
        """Stage it in this process."""
        result: dict[str, Any] = self.command.json(*STAGE, "--show-token")
        return result

    def stalled(self, *, skip: int, at: int = MIB) -> "subprocess.Popen[str]":
        """Start a run whose part after `skip` whole ones does not get on."""
        self.proxy.plan(Rule(fault=Stall(Place(way=Way.UP, at=at)), method="PATCH", skip=skip))
        process = self.command.start(*STAGE, "-o", "json", "--show-token")
        self.processes.append(process)
        self.proxy.wait_until(lambda state: state.struck(Stall) == 1)
        return process

    def close(self) -> None:
        """End what a failed test left."""
        for process in self.processes:
            process.kill()
            process.communicate()

    def interrupted(self, *, skip: int) -> None:
        """Let a run end by Ctrl-C after `skip` parts."""
        process = self.stalled(skip=skip)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        self.proxy.plan()

    def appended(self) -> int:
        """Return the bytes that were sent in parts since the last plan."""
        return sum(one.up for one in self.proxy.exchanges if one.method == "PATCH")

    def arrived(self, result: dict[str, Any]) -> bool:
        """Read the file as a pod does, and tell whether it is right."""
        client = self.server.client(Token.parse(result["token"]))
        url, headers = client.file_request(self.namespace, result["bundle"], "file/large.bin")
        with self.server.http.open("GET", url, headers=headers) as answer:
            return (answer.status, answer.read()) == (200, self.large.read_bytes())

    def bundles(self) -> int:
        """Return how many bundles there are."""
        return len(self.server.client().bundles(self.namespace).bundles)

    def journal(self) -> list[Path]:
        """Return the entries of the journal."""
        folder = Path(self.command.environment["HOME"]) / ".cache" / "spark-staging" / "uploads"
        return sorted(folder.iterdir()) if folder.is_dir() else []


@pytest.fixture
def scene(
    fault_proxy: Callable[[str], FaultProxy], server: Server, command: Command, namespace: str
) -> Iterator[Scene]:
    proxy = fault_proxy(server.url)
    command.environment["SPARK_STAGING_URL"] = proxy.url
    large = command.file("large.bin", os.urandom(SIZE))
    state = Scene(command=command, proxy=proxy, server=server, namespace=namespace, large=large)
    yield state
    state.close()


@pytest.fixture
def no_waits() -> Iterator[None]:
    """Commands in this process try again without waiting."""
    with stamina.set_testing(True, attempts=5):
        yield


def as_json(text: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(text)
    return result


# --- one run


@pytest.mark.usefixtures("no_waits")
def test_a_large_file_goes_in_parts_of_8_mib_and_nothing_is_left_in_the_journal(scene: Scene) -> None:
    result = scene.staged()

    assert [one.up for one in scene.proxy.exchanges if one.method == "PATCH"] == [PART, PART, SIZE - 2 * PART]
    assert (result["bytes_staged"], result["bytes_resumed"], result["requests"]) == (SIZE, 0, 6)
    assert scene.arrived(result)
    assert scene.journal() == []


def _positions() -> list[int]:
    """Edges of parts, and places between them that are the same in every run."""
    edges = [0, 1, PART - 1, PART, PART + 1, 2 * PART, SIZE - 1]
    chosen = random.Random(15)  # noqa: S311 - places, no secrets
    return edges + [chosen.randrange(SIZE) for _ in range(5)]


@pytest.mark.usefixtures("no_waits")
@pytest.mark.parametrize("position", _positions())
@pytest.mark.parametrize("kind", [Reset, Truncate])
def test_a_connection_that_is_cut_anywhere_costs_at_most_one_part(
    scene: Scene, position: int, kind: type[Reset | Truncate]
) -> None:
    place = Place(way=Way.UP, at=position % PART)
    scene.proxy.plan(Rule(fault=kind(place), method="PATCH", skip=position // PART))

    result = scene.staged()

    assert scene.proxy.struck(kind) == 1
    assert scene.appended() <= SIZE + PART
    assert scene.arrived(result)
    assert result["bytes_resumed"] == 0


@pytest.mark.usefixtures("no_waits")
@pytest.mark.parametrize(
    "fault",
    [
        Refuse(status=500),
        Refuse(status=502),
        Refuse(status=503, retry_after=0),
        Refuse(status=429, retry_after=0),
        Refuse(status=408),
        Refuse(status=503, reads_body=False),
        LoseAnswer(),
        LoseAnswer(resets=True),
        CloseAfter(),
        SendTwice(),
        SendTwice(at_once=True),
        Reset(Place(way=Way.DOWN)),
    ],
    ids=repr,
)
@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH"])
def test_any_transient_failure_of_any_request_is_survived(scene: Scene, fault: Fault, method: str) -> None:
    rules = [Rule(fault=fault, method=method, path="/uploads")]
    if method == "HEAD":  # which is only asked after a failure
        rules.append(Rule(fault=Reset(Place(way=Way.UP, at=1000)), method="PATCH", skip=1))
    scene.proxy.plan(*rules)

    result = scene.staged()

    assert scene.appended() <= SIZE + PART * 2 * len(rules)
    assert scene.arrived(result)


@pytest.mark.usefixtures("no_waits")
def test_an_upload_that_advances_never_gives_up(scene: Scene) -> None:
    cut = Rule(fault=Reset(Place(way=Way.UP, at=MIB)), method="PATCH", times=20)
    scene.proxy.plan(cut)

    result = scene.staged()  # with 5 attempts for each wait

    assert scene.proxy.struck(Reset) > 5
    assert scene.appended() <= SIZE + MIB * scene.proxy.struck(Reset)
    assert scene.arrived(result)


@pytest.mark.usefixtures("no_waits")
def test_an_upload_that_does_not_advance_gives_up_and_stays_for_the_next_run(scene: Scene) -> None:
    scene.proxy.plan(Rule(fault=Refuse(status=503), method="PATCH", skip=1, times=100))

    done = scene.command.inside(*STAGE)

    assert done.returncode == ExitCode.UNAVAILABLE
    assert "8.0 MiB of a large file are kept on the server; the same command goes on from there" in done.stderr
    assert scene.bundles() == 0
    scene.proxy.plan()
    result = scene.staged()
    assert result["bytes_resumed"] == PART
    assert scene.appended() == SIZE - PART


@pytest.mark.usefixtures("no_waits")
def test_damaged_bytes_are_found_at_the_end_and_sent_again_once(scene: Scene) -> None:
    scene.proxy.plan(Rule(fault=Corrupt(Place(way=Way.UP, at=77)), method="PATCH"))

    result = scene.staged()

    assert scene.proxy.struck(Corrupt) == 1
    assert scene.appended() == 2 * SIZE
    assert scene.arrived(result)


@pytest.mark.usefixtures("no_waits")
def test_bytes_that_are_damaged_each_time_are_an_error(scene: Scene) -> None:
    scene.proxy.plan(Rule(fault=Corrupt(Place(way=Way.UP, at=77)), method="PATCH", times=100))

    done = scene.command.inside(*STAGE)

    assert done.returncode == ExitCode.DIGEST_MISMATCH
    assert scene.bundles() == 0
    assert scene.journal() == []


def test_a_server_without_resumable_uploads_gets_the_file_as_a_whole(scene: Scene) -> None:
    scene.proxy.plan(Rule(fault=Refuse(status=404), method="POST", path="/uploads"))

    result = scene.staged()

    assert [one.up for one in scene.proxy.exchanges if one.method == "PUT"] == [SIZE]
    assert scene.arrived(result)


def test_a_file_that_changes_under_its_upload_is_staged_as_it_is_then(scene: Scene) -> None:
    scene.proxy.plan(Rule(fault=Stall(Place(way=Way.UP, at=0), seconds=None), method="PATCH", skip=1))
    scene.command.environment["SPARK_STAGING_STALL_TIMEOUT"] = "1000"
    process = scene.command.start(*STAGE, "-o", "json", "--show-token")
    scene.proxy.wait_until(lambda state: state.struck(Stall) == 1)
    scene.large.write_bytes(os.urandom(SIZE + 5))
    scene.proxy.plan()
    scene.proxy.drop_connections()
    output, errors = process.communicate(timeout=60)

    assert process.returncode == 0, errors
    assert "was changed while it was staged; reading the files again" in errors
    assert any(one.method == "DELETE" and "/uploads/" in one.path for one in scene.proxy.exchanges)
    assert scene.arrived(as_json(output))


def test_a_bundle_that_is_deleted_under_its_upload_ends_the_run_with_the_reason(scene: Scene) -> None:
    process = scene.stalled(skip=1)
    (bundle,) = scene.server.client().bundles(scene.namespace).bundles
    scene.server.client().delete(scene.namespace, bundle.id)
    scene.proxy.plan()
    scene.proxy.drop_connections()
    _, errors = process.communicate(timeout=60)

    assert process.returncode == ExitCode.USAGE
    assert "no open bundle of this namespace wants" in errors
    assert scene.staged()["bytes_resumed"] >= PART


# --- two runs


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, ExitCode.TERMINATED)])
def test_an_interrupted_upload_is_continued_by_the_same_command(
    scene: Scene, number: signal.Signals, code: int
) -> None:
    process = scene.stalled(skip=2)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == code
    assert "16.0 MiB of a large file are kept on the server; the same command goes on from there" in errors
    assert scene.bundles() == 0
    assert len(scene.journal()) == 1
    scene.proxy.plan()
    result = scene.staged()
    assert result["bytes_resumed"] >= 2 * PART
    assert scene.appended() == SIZE - result["bytes_resumed"]
    assert result["bytes_staged"] == SIZE
    assert scene.arrived(result)
    assert scene.journal() == []


def test_progress_shows_resumed_bytes_as_done(scene: Scene) -> None:
    process = scene.stalled(skip=2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    scene.proxy.plan()

    done = scene.command.inside(*STAGE, "--progress", "json")

    events = [as_json(line) for line in done.stderr.splitlines()]
    uploads = [event for event in events if event.get("phase") == "upload" and event["event"] == "progress"]
    assert uploads[0]["done"] >= 2 * PART
    assert uploads[-1]["done"] == SIZE == uploads[-1]["size"]
    assert "resumed     " in done.stdout


def test_a_killed_run_is_continued_by_the_next_one(scene: Scene) -> None:
    process = scene.stalled(skip=1)
    process.kill()
    process.communicate(timeout=30)
    scene.proxy.plan()

    result = scene.staged()

    assert result["bytes_resumed"] >= PART
    assert scene.appended() == SIZE - result["bytes_resumed"]
    assert scene.arrived(result)


def test_a_file_that_changed_between_two_runs_is_uploaded_anew_and_the_old_upload_is_cancelled(scene: Scene) -> None:
    scene.interrupted(skip=1)
    scene.large.write_bytes(os.urandom(SIZE))
    scene.proxy.plan()

    result = scene.staged()

    assert [one.status for one in scene.proxy.exchanges if one.method == "DELETE"] == [204]
    assert (result["bytes_resumed"], scene.appended()) == (0, SIZE)
    assert scene.arrived(result)
    assert scene.journal() == []


@pytest.mark.usefixtures("no_waits")
def test_an_upload_that_the_server_forgot_is_begun_anew(scene: Scene) -> None:
    process = scene.stalled(skip=1)
    (upload,) = {one.path for one in scene.proxy.exchanges if one.method == "PATCH"}
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    with scene.server.http.open("DELETE", scene.server.url + upload) as answer:
        assert answer.status == 204
    scene.proxy.plan()

    result = scene.staged()

    assert (result["bytes_resumed"], scene.appended()) == (0, SIZE)
    assert scene.arrived(result)


def test_two_runs_at_once_on_one_machine_do_not_disturb_each_other(scene: Scene) -> None:
    first = scene.stalled(skip=1)

    second = scene.staged()
    scene.proxy.drop_connections()
    output, errors = first.communicate(timeout=60)

    assert first.returncode == 0, errors
    for result in (second, as_json(output)):
        assert result["bytes_resumed"] == 0
        assert scene.arrived(result)
    assert scene.journal() == []


# --- without a journal


@pytest.mark.parametrize("folder", ["/proc/spark-staging", "/dev/null"])
def test_a_cache_folder_that_cannot_be_written_costs_a_notice(scene: Scene, folder: str) -> None:
    scene.command.environment["SPARK_STAGING_CACHE_FOLDER"] = folder

    done = scene.command.inside(*STAGE, "-o", "json", "--show-token")

    assert done.returncode == 0, done.stderr
    assert done.stderr.count("an interrupted upload will begin anew") == 1
    assert scene.arrived(as_json(done.stdout))


def test_a_full_cache_folder_costs_a_notice(scene: Scene) -> None:
    limited = ["prlimit", "--fsize=0:unlimited", *map(str, scene.command.line(*STAGE, "-o", "json", "--show-token"))]

    done = subprocess.run(
        limited,
        cwd=scene.command.folder,
        env=scene.command.environment,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stderr.count("an interrupted upload will begin anew") == 1
    assert scene.arrived(as_json(done.stdout))


def test_a_damaged_journal_is_no_journal(scene: Scene) -> None:
    scene.interrupted(skip=1)
    (entry,) = scene.journal()
    entry.write_bytes(entry.read_bytes()[:-7])
    scene.proxy.plan()

    result = scene.staged()

    assert result["bytes_resumed"] == 0
    assert scene.arrived(result)
    assert scene.journal() == []


# --- the server ends


@pytest.fixture
def own_server(scene: Scene, tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Return what starts a server of the test's own behind the proxy."""
    with ExitStack() as stack:

        def start(**settings: str) -> ServerProcess:
            process = ServerProcess(
                tmp_path,
                authority=None,
                SPARK_STAGING_SERVER_AUTH__MODE="none",
                SPARK_STAGING_SERVER_TIMEOUTS__SHUTDOWN="0.2",
                **settings,
            )
            stack.callback(process.stop)
            process.start()
            scene.proxy.target = process.url
            scene.server = Server(url=process.url, data=tmp_path / "data", http=scene.server.http)
            return process

        yield start


@pytest.fixture
def mortal(own_server: Callable[..., ServerProcess]) -> ServerProcess:
    """A server that may be killed."""
    return own_server()


@pytest.mark.parametrize("ending", [ServerProcess.kill, ServerProcess.stop], ids=["killed", "stopped"])
def test_a_server_that_ends_and_comes_back_gets_the_rest(
    scene: Scene, mortal: ServerProcess, ending: Callable[[ServerProcess], None]
) -> None:
    scene.command.environment["SPARK_STAGING_RETRY_SECONDS"] = "60"
    process = scene.stalled(skip=1)
    scene.proxy.plan()
    ending(mortal)
    scene.proxy.drop_connections()
    scene.proxy.wait_until(lambda proxy: bool(proxy.exchanges))
    mortal.start()
    output, errors = process.communicate(timeout=60)

    assert process.returncode == 0, errors
    assert scene.appended() <= SIZE - PART
    assert as_json(output)["bytes_staged"] == SIZE
    assert scene.arrived(as_json(output))


def test_a_resumed_upload_survives_the_server_between_two_runs(scene: Scene, mortal: ServerProcess) -> None:
    scene.interrupted(skip=2)
    mortal.kill()
    mortal.start()

    result = scene.staged()

    assert result["bytes_resumed"] >= 2 * PART
    assert scene.appended() == SIZE - result["bytes_resumed"]
    assert scene.arrived(result)


def test_an_upload_that_expired_on_the_server_is_begun_anew(
    scene: Scene, own_server: Callable[..., ServerProcess]
) -> None:
    own_server(SPARK_STAGING_SERVER_RETENTION__UPLOAD_KEEP="1", SPARK_STAGING_SERVER_RETENTION__SWEEP_EVERY="0.2")
    process = scene.stalled(skip=1)
    (entry,) = scene.journal()
    process.kill()
    process.communicate(timeout=30)
    scene.proxy.plan()
    kept = entry.read_bytes()
    until(lambda: not any((scene.server.data / "uploads").iterdir()), what="the sweep")
    assert entry.read_bytes() == kept, "the journal does not know it"

    result = scene.staged()

    assert (result["bytes_resumed"], scene.appended()) == (0, SIZE)
    assert scene.arrived(result)
    assert scene.journal() == []
