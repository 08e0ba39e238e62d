"""`stage`, `template` and `run` look at remote dependencies before anything is created."""

import shlex
from typing import Any

import pytest

from staging_protocol.digests import Digest
from staging_protocol.errors import ExitCode
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, ManifestEntry
from staging_protocol.tokens import Token
from tests.submission.conftest import Command, Server
from tests.submission.remote.places import STATED, Web, reaches_loopback, unreachable_url

pytestmark = pytest.mark.services


def staged(command: Command, *arguments: str) -> dict[str, Any]:
    result: dict[str, Any] = command.json("stage", *arguments, "--show-token")
    return result


def manifest_of(server: Server, result: dict[str, Any]) -> dict[str, ManifestEntry]:
    client = server.client(Token.parse(result["token"]))
    manifest = client.manifest(result["namespace"], result["bundle"])
    return {entry.uri: entry for entry in manifest.entries}


def test_the_manifest_says_what_the_sources_said(remote: Command, web: Web, server: Server) -> None:
    plain, stating = web.put("a.jar", b"x" * 100), f"{web.stating_url}/s.jar"
    web.put("s.jar", STATED)

    result = staged(remote, "--jars", f"{plain},{stating}#other.jar")

    entries = manifest_of(server, result)
    assert entries[plain] == ManifestEntry(uri=plain, kind=Kind.JAR, target=FileName("a.jar"), size=100)
    assert entries[stating] == ManifestEntry(
        uri=stating, kind=Kind.JAR, target=FileName("other.jar"), size=len(STATED), digest=Digest.of(STATED)
    )
    assert sorted(path.rpartition("/")[2] for path in web.requests("HEAD")) == ["a.jar", "s.jar"]
    assert web.requests("GET") == []


def test_a_size_of_nothing_binds_no_pod(remote: Command, web: Web, server: Server) -> None:
    url = web.put("empty.jar", b"")

    assert manifest_of(server, staged(remote, "--jars", url))[url].size is None


def test_all_that_is_wrong_is_told_at_once_and_nothing_is_created(
    remote: Command, web: Web, server: Server, namespace: str
) -> None:
    remote.file("app.jar", "the application")
    gone, denied, dead = f"{web.url}/gone.jar", f"{web.denied_url}/d.jar", f"{unreachable_url()}/u.jar"
    good, signed = web.put("a.jar", b"x"), f"{web.url}/s.jar?X-Amz-Signature=c0ffee"

    done = remote.inside("stage", "--jars", f"{gone},{denied},{dead},{good},{signed}", "--files", "mine.csv", "app.jar")

    assert done.returncode == ExitCode.DENIED
    for part in (gone, denied, dead, "mine.csv", "carries a secret", "nothing was created"):
        assert part in done.stderr
    assert good not in done.stderr
    assert "c0ffee" not in done.stderr
    assert server.client().bundles(namespace).bundles == ()
    assert not any("s.jar" in path for path in web.requests("HEAD")), "a secret was sent to be checked"


def test_a_single_problem_is_a_single_line(remote: Command, web: Web) -> None:
    done = remote.inside("stage", "--jars", f"{web.url}/gone.jar")

    assert done.returncode == ExitCode.NOT_FOUND
    assert len(done.stderr.splitlines()) == 1
    assert "--jars" in done.stderr


def test_collisions_of_remote_and_local_files_name_both(
    remote: Command, web: Web, server: Server, namespace: str
) -> None:
    remote.file("a.jar")
    url = web.put("a.jar", b"x")

    done = remote.inside("stage", "--jars", url, "a.jar")

    assert done.returncode == ExitCode.USAGE
    assert url in done.stderr
    assert "a.jar (main resource)" in done.stderr
    assert server.client().bundles(namespace).bundles == ()


def test_whoever_cannot_reach_the_sources_may_leave_the_check_out(
    command: Command, server: Server, namespace: str
) -> None:
    dead = f"{unreachable_url()}/a.jar"

    entries = manifest_of(server, staged(command, "--no-check", "--jars", dead))
    glob = command.inside("stage", "--no-check", "--jars", "s3a://bucket/libs/*.jar")

    assert entries[dead] == ManifestEntry(uri=dead, kind=Kind.JAR, target=FileName("a.jar"))
    assert glob.returncode == ExitCode.USAGE
    assert "--no-check" in glob.stderr


def test_a_resubmission_is_still_one_request_to_the_server(remote: Command, web: Web) -> None:
    remote.file("app.jar", "the application")
    arguments = ("--jars", web.put("a.jar", b"x"), "app.jar")
    staged(remote, *arguments)

    assert staged(remote, *arguments)["requests"] == 1


def test_template_writes_nothing_when_a_dependency_is_missing(remote: Command, web: Web) -> None:
    done = remote.inside("template", "--into", "pods", "--spark-version", "4.3", "--jars", f"{web.url}/gone.jar")

    assert done.returncode == ExitCode.NOT_FOUND, done.stderr
    assert not (remote.folder / "pods").exists()


def test_template_knows_how_much_executors_fetch_of_remote_files_too(remote: Command, web: Web) -> None:
    url = web.put("data.csv", b"x" * 77)

    done = remote.inside("template", "--into", "pods", "--spark-version", "4.3", "--files", url)

    assert "each executor fetches 77 bytes from the driver" in done.stderr


class TestRun:
    """With a spark-submit that only has to exist."""

    @pytest.fixture
    def spark(self, remote: Command) -> Command:
        program = remote.file("bin/spark-submit", "#!/bin/sh\ntouch ran\n")
        program.chmod(0o755)
        remote.environment["PATH"] = f"{program.parent}:{remote.environment['PATH']}"
        remote.file("app.jar", "the application")
        return remote

    def run(self, spark: Command, jars: str, *options: str, mode: str = "cluster") -> Any:
        line = f"spark-submit --master k8s://http://127.0.0.1:1 --deploy-mode {mode} --class a.B --jars {jars} app.jar"
        return spark.inside("run", "--spark-version", "4.3", *options, "--", *shlex.split(line))

    def test_spark_does_not_start_when_a_dependency_is_missing(
        self, spark: Command, web: Web, server: Server, namespace: str
    ) -> None:
        done = self.run(spark, f"{web.url}/gone.jar")

        assert done.returncode == ExitCode.NOT_FOUND, done.stderr
        assert not (spark.folder / "ran").exists()
        assert server.client().bundles(namespace).bundles == ()

    def test_a_dry_run_looks_too_but_for_no_check(self, spark: Command, web: Web) -> None:
        url = f"{web.url}/gone.jar"

        assert self.run(spark, url, "--dry-run").returncode == ExitCode.NOT_FOUND
        done = self.run(spark, url, "--dry-run", "--no-check")

        assert done.returncode == 0, done.stderr
        assert "spark-jars/gone.jar" in done.stdout

    def test_in_client_mode_what_is_remote_is_sparks(self, spark: Command, web: Web) -> None:
        url = f"{web.url}/gone.jar"

        done = self.run(spark, url, "--dry-run", mode="client")

        assert done.returncode == 0, done.stderr
        assert url in done.stdout
        assert web.requests("HEAD") == []


def test_without_remote_dependencies_no_settings_of_sources_are_read(command: Command) -> None:
    command.file("app.jar", "the application")
    command.environment["SPARK_STAGING_SOURCES"] = "nowhere.json"

    assert command.inside("stage", "app.jar").returncode == 0


def test_wrong_settings_of_sources_are_told_before_anything_is_created(
    command: Command, server: Server, namespace: str
) -> None:
    reaches_loopback(command, unknown=1)

    done = command.inside("stage", "--jars", "https://repo.invalid/a.jar")

    assert done.returncode == ExitCode.USAGE
    assert "sources.json" in done.stderr
    assert server.client().bundles(namespace).bundles == ()
