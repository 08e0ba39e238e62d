"""The main job with real processes: stage, resolve, resubmit, restart; and where secrets must not be."""

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from staging_protocol.errors import ExitCode
from staging_protocol.tokens import Token, TokenKind
from tests.end_to_end.jobs import MIB, dependency_options, make_job
from tests.end_to_end.programs import Server, run, running


class Submitter:
    """A person with a job's files, an access token in a file, and a server."""

    def __init__(self, folder: Path, server: Server, *, token_file: Path) -> None:
        self.folder = folder
        self.server = server
        self.token_file = token_file
        self.bundle_token_file = folder / "bundle-token"
        self.job = make_job(folder / "job", jar_size=2 * MIB)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "SPARK_STAGING_URL": self.server.url,
            "SPARK_STAGING_TOKEN_FILE": str(self.token_file),
            "SPARK_STAGING_NAMESPACE": "team-a",
            "XDG_CACHE_HOME": str(self.folder / "cache"),
        }

    def cli(self, *arguments: str | Path) -> tuple[int, str, str]:
        done = run("spark-staging", *arguments, environment=self.environment)
        return done.returncode, done.stdout, done.stderr

    def stage(self) -> dict[str, Any]:
        code, out, err = self.cli(
            "stage", "-o", "json", "--bundle-token-file", self.bundle_token_file, *dependency_options(self.job)
        )
        assert code == 0, err
        return dict(json.loads(out))

    def resolve(self, bundle: str, *, into: Path, token_file: Path | None = None) -> tuple[int, str, str]:
        token = token_file or self.bundle_token_file
        return self.cli("resolve", f"bundle:{bundle}", "--token-file", token, "--into", into)


@pytest.fixture
def submitter(tmp_path: Path) -> Iterator[Submitter]:
    server = Server(
        folder=tmp_path / "server",
        settings={"AUTH__MODE": "tokens", "AUTH__TOKENS_FILE": str(tmp_path / "tokens.json"), "LOGS__LEVEL": "debug"},
    )
    created = run(
        "spark-staging-server",
        "tokens",
        "create",
        "--name",
        "alice",
        "--namespace",
        "team-a",
        environment=server.environment(),
    )
    assert created.returncode == 0, created.stderr
    token_file = tmp_path / "access-token"
    token_file.write_text(_token_in(created.stdout))
    with running(server):
        yield Submitter(tmp_path, server, token_file=token_file)


def _token_in(text: str) -> str:
    found = re.search(r"ssa_\w+", text)
    assert found is not None, text
    return found[0]


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_staged_files_are_resolved_unchanged_also_after_a_restart(submitter: Submitter, tmp_path: Path) -> None:
    staged = submitter.stage()
    assert staged["bytes_staged"] == sum(file["size"] for file in staged["files"])
    code, _, err = submitter.resolve(staged["bundle"], into=tmp_path / "before")
    assert code == 0, err

    assert submitter.server.stop() == 0
    submitter.server.start()

    code, _, err = submitter.resolve(staged["bundle"], into=tmp_path / "after")
    assert code == 0, err
    assert _tree(tmp_path / "before") == _tree(tmp_path / "after")
    by_name = {Path(path).name: content for path, content in _tree(tmp_path / "after").items()}
    for name in ("library.jar", "rules.zip", "prices.csv", "nightly.py"):
        assert by_name[name] == (submitter.job / name).read_bytes()
    (tool,) = (tmp_path / "after").rglob("tool")
    assert tool.readlink() == Path("tool-1.0")
    assert os.access(tool, os.X_OK)


def test_an_unchanged_job_is_resubmitted_with_one_request_and_no_bytes_also_after_a_restart(
    submitter: Submitter,
) -> None:
    first = submitter.stage()
    assert submitter.server.stop(signal.SIGKILL) == -signal.SIGKILL
    submitter.server.start()
    again = submitter.stage()
    assert (again["requests"], again["bytes_staged"]) == (1, 0)
    assert again["bundle"] != first["bundle"]
    assert {file["state"] for file in again["files"]} == {"held"}


def test_a_changed_file_alone_is_uploaded_again(submitter: Submitter) -> None:
    submitter.stage()
    (submitter.job / "nightly.py").write_text("print('another job')\n")
    again = submitter.stage()
    assert again["bytes_staged"] == len("print('another job')\n")


def test_resolving_again_moves_nothing(submitter: Submitter, tmp_path: Path) -> None:
    bundle = submitter.stage()["bundle"]
    assert submitter.resolve(bundle, into=tmp_path / "pod")[0] == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "pod").rglob("*")}
    assert submitter.resolve(bundle, into=tmp_path / "pod")[0] == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "pod").rglob("*")} == before


def test_an_unknown_bundle_and_a_wrong_token_look_the_same(submitter: Submitter, tmp_path: Path) -> None:
    bundle = submitter.stage()["bundle"]
    wrong = tmp_path / "wrong-token"
    wrong.write_text(
        Token.generate(TokenKind.BUNDLE, identifier=Token.parse(submitter.bundle_token_file.read_text()).id).text
    )
    unknown = Token.generate(TokenKind.BUNDLE)
    (tmp_path / "unknown-token").write_text(unknown.text)

    code_wrong, out_wrong, err_wrong = submitter.resolve(bundle, into=tmp_path / "a", token_file=wrong)
    code_unknown, out_unknown, err_unknown = submitter.resolve(
        unknown.id, into=tmp_path / "a", token_file=tmp_path / "unknown-token"
    )
    assert code_wrong == code_unknown == ExitCode.NOT_FOUND
    assert out_wrong == out_unknown == ""
    assert err_wrong.replace(bundle, "ID") == err_unknown.replace(unknown.id, "ID")
    assert not (tmp_path / "a").exists() or not _tree(tmp_path / "a")


def test_a_deleted_bundle_says_that_it_ended_and_why(submitter: Submitter, tmp_path: Path) -> None:
    bundle = submitter.stage()["bundle"]
    code, _, err = submitter.cli("bundles", "delete", bundle)
    assert code == 0, err
    code, _, err = submitter.resolve(bundle, into=tmp_path / "pod")
    assert code == ExitCode.BUNDLE_EXPIRED
    assert "deleted" in err


def test_secrets_are_in_no_log_database_argument_or_error(submitter: Submitter, tmp_path: Path) -> None:
    with _watching_arguments() as arguments:
        staged = submitter.stage()
        outputs = [
            submitter.resolve(staged["bundle"], into=tmp_path / "pod"),
            submitter.cli("bundles", "explain", staged["bundle"]),
            submitter.cli("bundles", "list", "-o", "json"),
            submitter.resolve("a" * 26, into=tmp_path / "none"),
        ]
    assert submitter.server.stop() == 0
    secrets = [
        Token.parse(submitter.token_file.read_text()).secret,
        Token.parse(submitter.bundle_token_file.read_text()).secret,
    ]
    files = {path: path.read_bytes() for path in submitter.server.folder.rglob("*") if path.is_file()}
    files[tmp_path / "tokens.json"] = (tmp_path / "tokens.json").read_bytes()
    assert any(path.suffix.startswith(".sqlite") for path in files), "the database was not looked at"
    assert arguments, "no process was seen"
    for secret in secrets:
        assert not [path for path, content in files.items() if secret.encode() in content]
        assert not [text for output in outputs for text in output[1:] if secret in text]
        assert not [line for line in arguments if secret in line]


class _watching_arguments:  # noqa: N801 - used as a function
    """Collects the arguments of all processes below this one while the block runs."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> set[str]:
        self._thread.start()
        return self._seen

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            for process in psutil.Process().children(recursive=True):
                try:
                    self._seen.add(" ".join(process.cmdline()))
                except psutil.Error:
                    continue
