"""`stage` as a person or a program uses it."""

import json
import os
import pty
import signal
import stat
import subprocess

import pytest

from staging_protocol.errors import ExitCode
from staging_protocol.tokens import Token
from tests.submission.conftest import PROGRAMS, STAGE, Command, Server, until
from tests.submission.proxy import Treatment, proxy


def test_text_says_what_was_staged_and_shows_no_token(job: Command) -> None:
    done = job.run(*STAGE)

    assert done.returncode == 0, done.stderr
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert lines["files"] == "3 staged, 0 remote"
    assert lines["namespace"] == job.environment["SPARK_STAGING_NAMESPACE"]
    assert "sst_" not in done.stdout
    assert done.stderr == ""


def test_json_has_everything_a_program_needs(job: Command) -> None:
    result = job.json(*STAGE, "--name", "demo")

    assert result["application"] == "demo"
    assert [(one["kind"], one["name"], one["state"]) for one in result["files"]] == [
        ("jar", "a.jar", "wanted"), ("file", "data.csv", "wanted"), ("jar", "app.jar", "wanted"),
    ]  # fmt: skip
    assert result["bytes_staged"] == sum(
        (job.folder / name).stat().st_size for name in ("app.jar", "a.jar", "data.csv")
    )
    assert result["bytes_held"] == 0
    assert {"bundle", "expires_at", "manifest_digest", "pod_url", "requests", "seconds"} <= set(result)
    assert "token" not in result


def test_a_token_is_shown_only_when_asked_for_and_its_file_is_private(job: Command) -> None:
    (job.folder / "token").write_text("older, and readable by all")

    result = job.json(*STAGE, "--show-token", "--bundle-token-file", "token")

    path = job.folder / "token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Token.parse(path.read_text()) == Token.parse(result["token"])


def test_progress_as_json_goes_to_standard_error(job: Command) -> None:
    done = job.inside(*STAGE, "--progress", "json")

    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert {(event["event"], event.get("phase")) for event in events} == {
        ("phase", "hash"), ("progress", "hash"), ("phase", "upload"), ("progress", "upload"),
    }  # fmt: skip
    assert events[-1]["done"] == events[-1]["size"]


def test_a_progress_bar_is_drawn_on_a_terminal_only(job: Command) -> None:
    leader, follower = pty.openpty()
    with os.fdopen(leader, "rb", buffering=0) as screen:
        process = subprocess.Popen(
            [PROGRAMS / "spark-staging", *STAGE],
            cwd=job.folder,
            env={**job.environment, "TERM": "xterm"},
            stdout=subprocess.PIPE,
            stderr=follower,
        )
        os.close(follower)
        drawn = b""
        try:
            while part := screen.read(65536):
                drawn += part
        except OSError:  # how Linux says that the other end of a terminal is closed
            pass
        output, _ = process.communicate(timeout=30)

    assert process.returncode == 0
    assert b"Staging" in drawn
    assert b"\x1b" not in output


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, ExitCode.TERMINATED)])
def test_an_interrupted_upload_ends_soon_and_leaves_no_bundle(
    number: signal.Signals, code: int, job: Command, server: Server, namespace: str
) -> None:
    job.file("large.bin", os.urandom(5_000_000))
    with proxy(server.url) as stalling:
        stalling.everything = Treatment.STALL
        job.environment["SPARK_STAGING_URL"] = stalling.url
        process = job.start("stage", "--files", "large.bin")
        until(stalling.stalled.is_set, what="the upload")
        assert len(server.client().bundles(namespace).bundles) == 1

        process.send_signal(number)
        process.communicate(timeout=30)

    assert process.returncode == code
    assert server.client().bundles(namespace).bundles == ()
