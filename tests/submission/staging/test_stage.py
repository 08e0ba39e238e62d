"""Staging against a real server: what is uploaded, what is not, and what is left when it goes wrong."""

import threading
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import pytest
import stamina

from staging_protocol.api.bundles import BundleState
from staging_protocol.api.creation import FileState
from staging_protocol.digests import Digest
from staging_protocol.errors import DigestMismatch, NotFound, SourceUnavailable, TargetCollision, Unavailable
from staging_protocol.manifest import Kind
from submission.access import retrying
from submission.access.connection import connected
from submission.classify import NOTHING_KNOWN, Dependency, Known, main_dependency, named
from submission.progress.lines import Quiet
from submission.settings import Settings
from submission.staging.digest_cache import DigestCache
from submission.staging.local_files import found
from submission.staging.stage import Staged, Stager
from tests.submission.conftest import Server
from tests.submission.proxy import Proxy, Treatment, proxy


class Watching(Quiet):
    """Remembers notices, and does something when a phase begins."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.phases: list[tuple[str, int]] = []
        self.files = 0

    def phase(self, name: str, *, size: int, files: int = 0) -> None:
        self.phases.append((name, size))
        self.files = files

    def notice(self, text: str) -> None:
        self.notices.append(text)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def through(server: Server) -> Iterator[Proxy]:
    with proxy(server.url) as state:
        yield state


@pytest.fixture(autouse=True)
def _no_waits() -> Iterator[None]:
    with stamina.set_testing(True, attempts=5):
        yield


def jars(*names: str) -> list[Dependency]:
    return named(Kind.JAR, names, by="--jars")


def stage(
    dependencies: list[Dependency],
    *,
    url: str,
    namespace: str,
    progress: Quiet | None = None,
    retry_seconds: float = 30,
    known: Mapping[Dependency, Known] = NOTHING_KNOWN,
) -> Staged:
    settings = Settings(url=url, cache_folder=Path("../cache"), retry_seconds=retry_seconds)
    with connected(settings) as connection:
        stager = Stager(connection, settings=settings, namespace=namespace, progress=progress or Watching())
        return stager.stage(dependencies, application="demo", known=known)


def unique(work: Path, *names: str) -> None:
    """Files with content that no other test has."""
    for name in names:
        (work / name).write_bytes(f"{work} {name}".encode() * 100)


def test_what_was_staged_can_be_read_with_the_bundle_token(work: Path, server: Server, namespace: str) -> None:
    unique(work, "a.jar", "app.jar")
    staged = stage([*jars("a.jar"), main_dependency("app.jar")], url=server.url, namespace=namespace)

    manifest = server.client(staged.token).manifest(namespace, staged.id)
    assert [(entry.uri, entry.digest) for entry in manifest.entries] == [
        (f"staged:///jar/{name}", Digest.of((work / name).read_bytes())) for name in ("a.jar", "app.jar")
    ]
    assert server.client().bundle(namespace, staged.id).state is BundleState.SEALED
    assert staged.bytes_staged == sum((work / name).stat().st_size for name in ("a.jar", "app.jar"))


def test_remote_entries_are_kept_and_container_local_ones_are_not(work: Path, server: Server, namespace: str) -> None:
    unique(work, "a.jar")

    staged = stage(
        jars("a.jar", "https://repo.invalid/b.jar", "local:///opt/c.jar"), url=server.url, namespace=namespace
    )

    manifest = server.client(staged.token).manifest(namespace, staged.id)
    assert [entry.uri for entry in manifest.entries] == ["https://repo.invalid/b.jar", "staged:///jar/a.jar"]


def test_a_file_that_was_changed_after_it_was_compared_with_a_lock_is_not_staged(
    work: Path, server: Server, namespace: str
) -> None:
    unique(work, "a.jar")
    (jar,) = jars("a.jar")

    with pytest.raises(DigestMismatch, match="after it was compared"):
        stage([jar], url=server.url, namespace=namespace, known={jar: Known(digest=Digest.of(b"as it was locked"))})

    assert server.client().bundles(namespace).bundles == ()


def test_a_resubmission_of_40_files_is_one_request_of_less_than_10_kb(
    work: Path, server: Server, namespace: str, through: Proxy
) -> None:
    names = [f"some-library-with-a-name-{number}-1.2.3.jar" for number in range(40)]
    unique(work, *names)
    stage(jars(*names), url=server.url, namespace=namespace)

    again = stage(jars(*names), url=through.url, namespace=namespace)

    assert again.requests == 1
    assert again.bytes_staged == 0
    assert set(again.states) == {FileState.HELD}
    assert through.bytes_up + through.bytes_down < 10_000


def test_one_content_under_two_names_is_uploaded_once(work: Path, server: Server, namespace: str) -> None:
    unique(work, "a.jar")
    (work / "b.jar").write_bytes((work / "a.jar").read_bytes())

    staged = stage(jars("a.jar", "b.jar"), url=server.url, namespace=namespace)

    assert staged.bytes_staged == (work / "a.jar").stat().st_size
    assert staged.requests == 3  # create, one PUT, seal


def test_an_empty_file_can_be_staged(work: Path, server: Server, namespace: str) -> None:
    (work / "empty.jar").touch()

    staged = stage(jars("empty.jar"), url=server.url, namespace=namespace)

    assert staged.files[0].digest.hex == sha256().hexdigest()


def test_collisions_and_missing_files_are_found_before_anything_is_sent(
    work: Path, namespace: str, through: Proxy
) -> None:
    (work / "one").mkdir()
    unique(work, "a.jar", "one/a.jar")

    with pytest.raises(TargetCollision):
        stage(jars("a.jar", "one/a.jar"), url=through.url, namespace=namespace)
    with pytest.raises(NotFound, match="absent"):
        stage(jars("a.jar", "absent.jar"), url=through.url, namespace=namespace)

    assert through.connections == 0


def test_a_file_that_changes_before_its_upload_is_read_again(work: Path, server: Server, namespace: str) -> None:
    unique(work, "a.jar", "b.jar")

    class ChangingOnce(Watching):
        def phase(self, name: str, *, size: int, files: int = 0) -> None:
            super().phase(name, size=size, files=files)
            if name == "upload" and len(self.phases) == 2:
                (work / "b.jar").write_bytes(f"{work} new".encode())

    progress = ChangingOnce()
    staged = stage(jars("a.jar", "b.jar"), url=server.url, namespace=namespace, progress=progress)

    assert staged.files[1].digest == Digest.of(f"{work} new".encode())
    assert "b.jar (--jars) was changed while it was staged" in progress.notices[0]
    assert [bundle.id for bundle in server.client().bundles(namespace).bundles] == [staged.id]


def test_a_file_that_always_changes_is_an_error_and_leaves_nothing(work: Path, server: Server, namespace: str) -> None:
    unique(work, "a.jar")

    class Changing(Watching):
        def phase(self, name: str, *, size: int, files: int = 0) -> None:
            super().phase(name, size=size, files=files)
            (work / "a.jar").write_bytes(f"{work} {len(self.phases)}".encode())

    with pytest.raises(DigestMismatch, match=r"a\.jar \(--jars\) was changed while it was staged"):
        stage(jars("a.jar"), url=server.url, namespace=namespace, progress=Changing())

    assert server.client().bundles(namespace).bundles == ()


def test_a_wrong_digest_in_the_cache_is_found_by_the_server_and_corrected(
    work: Path, server: Server, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("submission.staging.digest_cache.is_racy", lambda _version: False)
    unique(work, "a.jar")
    _, files = found(jars("a.jar"))
    DigestCache(Path("../cache")).remember({files[0].version: Digest.of(f"{work} wrong".encode())})
    progress = Watching()

    staged = stage(jars("a.jar"), url=server.url, namespace=namespace, progress=progress)

    assert staged.files[0].digest == Digest.of((work / "a.jar").read_bytes())
    assert "reading the files again" in progress.notices[0]


def test_an_interrupted_upload_leaves_no_bundle(work: Path, server: Server, namespace: str) -> None:
    unique(work, "a.jar")

    class Interrupting(Watching):
        def phase(self, name: str, *, size: int, files: int = 0) -> None:
            super().phase(name, size=size, files=files)
            if name == "upload":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage(jars("a.jar"), url=server.url, namespace=namespace, progress=Interrupting())

    assert server.client().bundles(namespace).bundles == ()


def test_lost_connections_and_answers_are_survived_with_one_bundle(
    work: Path, server: Server, namespace: str, through: Proxy
) -> None:
    unique(work, "a.jar")
    through.treatments = [Treatment.REFUSE, Treatment.MUTE, Treatment.REFUSE]
    progress = Watching()

    staged = stage(jars("a.jar"), url=through.url, namespace=namespace, progress=progress)

    assert [bundle.id for bundle in server.client().bundles(namespace).bundles] == [staged.id]
    assert server.client(staged.token).manifest(namespace, staged.id).entries
    assert any("trying again" in notice for notice in progress.notices)


def test_a_lost_answer_to_an_upload_is_survived(work: Path, server: Server, namespace: str, through: Proxy) -> None:
    unique(work, "a.jar")

    class LosingUploads(Watching):
        def phase(self, name: str, *, size: int, files: int = 0) -> None:
            super().phase(name, size=size, files=files)
            if name == "upload":
                through.close_kept()
                through.treatments = [Treatment.MUTE]

    staged = stage(jars("a.jar"), url=through.url, namespace=namespace, progress=LosingUploads())

    assert server.client(staged.token).manifest(namespace, staged.id).entries


def test_a_seal_whose_answer_was_lost_can_be_repeated(work: Path, server: Server, namespace: str) -> None:
    unique(work, "a.jar")
    staged = stage(jars("a.jar"), url=server.url, namespace=namespace)

    assert server.client().seal(namespace, staged.id).manifest_digest == staged.manifest_digest


def test_a_job_without_local_files_has_a_bundle_too(server: Server, namespace: str) -> None:
    staged = stage(jars("local:///opt/a.jar"), url=server.url, namespace=namespace)

    assert staged.requests == 1
    assert server.client(staged.token).manifest(namespace, staged.id).entries == ()


def test_a_server_that_does_not_come_back_is_an_error(work: Path, namespace: str, through: Proxy) -> None:
    unique(work, "a.jar")
    through.everything = Treatment.REFUSE

    with pytest.raises(SourceUnavailable, match="does not answer"):
        stage(jars("a.jar"), url=through.url, namespace=namespace)

    assert through.connections == 5


def test_what_the_server_asks_to_wait_is_waited_unless_it_is_too_long() -> None:
    backoff = retrying.Backoff(notice=None)

    assert backoff(Unavailable("busy", retry_after=7)) == 7
    assert backoff(Unavailable("busy")) is True
    assert backoff(Unavailable("busy", retry_after=3600)) is False
    assert backoff(NotFound("no")) is False


def test_no_retries_means_one_attempt(work: Path, namespace: str, through: Proxy) -> None:
    unique(work, "a.jar")
    through.everything = Treatment.REFUSE

    with pytest.raises(SourceUnavailable):
        stage(jars("a.jar"), url=through.url, namespace=namespace, retry_seconds=0)

    assert through.connections == 1


def test_several_submitters_at_once_share_what_they_upload(work: Path, server: Server, namespace: str) -> None:
    names = [f"{number}.jar" for number in range(8)]
    unique(work, *names)
    results: list[Staged] = []

    def submit() -> None:
        results.append(stage(jars(*names), url=server.url, namespace=namespace))

    threads = [threading.Thread(target=submit) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(results) == 3
    for staged in results:
        assert len(server.client(staged.token).manifest(namespace, staged.id).entries) == 8
