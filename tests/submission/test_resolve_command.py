"""`resolve` brings what a manifest names, and says what it brought."""

import json
import tarfile
from pathlib import Path

from staging_protocol.errors import ExitCode
from tests.submission.conftest import STAGE, Command, Server


def test_a_bundle_is_resolved_with_its_token_and_a_second_time_nothing_moves(job: Command) -> None:
    with tarfile.open(job.folder / "env.tar.gz", "w:gz") as archive:
        archive.add(job.folder / "data.csv", arcname="bin/data.csv")
    bundle = job.json(*STAGE, "--archives", "env.tar.gz#env", "--bundle-token-file", "token")["bundle"]
    arguments = ("resolve", f"bundle:{bundle}", "--token-file", "token", "--into", "out")

    text = job.inside(*arguments)

    assert text.returncode == 0, text.stderr
    for path in ("spark-jars/app.jar", "spark-jars/a.jar", "spark-files/data.csv"):
        assert (job.folder / "out" / path).read_bytes() == (job.folder / Path(path).name).read_bytes()
        assert path in text.stdout
    assert (job.folder / "out" / "spark-work" / "env" / "bin" / "data.csv").exists()
    assert all(one["reused"] for one in job.json(*arguments) if one["kind"] != "archive")


def test_a_manifest_file_is_resolved_without_a_server(job: Command, server: Server) -> None:
    del job.environment["SPARK_STAGING_URL"]
    entry = {"uri": f"{server.url}/openapi.json", "kind": "file", "target": "api.json"}
    job.file("manifest.json", json.dumps({"version": 1, "entries": [entry]}))
    _allow_loopback(job)

    done = job.inside("resolve", "manifest.json", "--into", "out")

    assert done.returncode == 0, done.stderr
    assert json.loads((job.folder / "out" / "spark-files" / "api.json").read_text())["openapi"].startswith("3.1")


def test_a_wrong_digest_is_refused_with_its_exit_code(job: Command, server: Server) -> None:
    entry = {"uri": f"{server.url}/openapi.json", "kind": "file", "target": "x", "digest": f"sha256:{'0' * 64}"}
    job.file("manifest.json", json.dumps({"version": 1, "entries": [entry]}))
    _allow_loopback(job)

    done = job.inside("resolve", "manifest.json", "--into", "out")

    assert done.returncode == ExitCode.DIGEST_MISMATCH
    assert not (job.folder / "out" / "spark-files" / "x").exists()


def test_what_lies_on_this_machine_is_refused_unless_it_is_allowed(job: Command, server: Server) -> None:
    entry = {"uri": f"{server.url}/openapi.json", "kind": "file", "target": "api.json"}
    job.file("manifest.json", json.dumps({"version": 1, "entries": [entry]}))

    done = job.inside("resolve", "manifest.json", "--into", "out")

    assert done.returncode == ExitCode.REFUSED_BY_POLICY
    assert "egress.networks.allow" in done.stderr
    assert not (job.folder / "out" / "spark-files" / "api.json").exists()


def _allow_loopback(job: Command) -> None:
    job.file("sources.json", json.dumps({"egress": {"networks": {"allow": ["127.0.0.0/8"]}}}))
    job.environment["SPARK_STAGING_SOURCES"] = str(job.folder / "sources.json")
