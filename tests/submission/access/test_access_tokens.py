"""Access tokens open what they may, and are seen by nobody."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from staging_protocol.errors import ExitCode
from staging_protocol.tokens import Token
from submission.cli import cli
from tests.submission.conftest import PROGRAMS, STAGE, Command, Server, serve


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server with access tokens, and the file of one that may everything in the namespace `blue`."""
    folder = tmp_path_factory.mktemp("guarded")
    tokens = folder / "tokens.json"
    created = subprocess.run(
        [PROGRAMS / "spark-staging-server", "tokens", "create", *TOKEN_OPTIONS, "--file", tokens],
        env={"PATH": os.defpath, "SPARK_STAGING_SERVER_STORAGE__FOLDER": str(folder / "data")},
        text=True,
        capture_output=True,
        check=False,
    )
    assert created.returncode == 0, created.stderr
    text = next(word for word in created.stdout.split() if word.startswith("ssa_"))
    (folder / "access").write_text(text)
    for server in serve(
        folder, SPARK_STAGING_SERVER_AUTH__MODE="tokens", SPARK_STAGING_SERVER_AUTH__TOKENS_FILE=str(tokens)
    ):
        yield server, folder / "access"


TOKEN_OPTIONS = (
    *("--name", "submitter", "--namespace", "blue"),
    *("--verb", "create", "--verb", "get", "--verb", "list", "--verb", "delete", "--verb", "pin"),
)


def test_an_access_token_of_a_file_opens_its_namespace_only(job: Command, guarded: tuple[Server, Path]) -> None:
    server, token = guarded
    job.environment |= {"SPARK_STAGING_URL": server.url, "SPARK_STAGING_TOKEN_FILE": str(token)}

    assert job.inside(*STAGE, "-n", "blue").returncode == 0
    denied = job.inside(*STAGE, "-n", "green")
    assert denied.returncode == ExitCode.DENIED, denied.stderr


def test_without_a_token_the_server_refuses_and_the_error_says_so(job: Command, guarded: tuple[Server, Path]) -> None:
    job.environment["SPARK_STAGING_URL"] = guarded[0].url

    done = job.inside(*STAGE, "-n", "blue")

    assert done.returncode == ExitCode.DENIED
    assert len(done.stderr.splitlines()) == 1


def test_a_token_is_not_sent_in_clear_text_to_another_machine(job: Command, guarded: tuple[Server, Path]) -> None:
    job.environment |= {"SPARK_STAGING_URL": "http://192.0.2.1:8480", "SPARK_STAGING_TOKEN_FILE": str(guarded[1])}

    done = job.inside(*STAGE)

    assert done.returncode == ExitCode.REFUSED_BY_POLICY
    assert Token.parse(guarded[1].read_text()).secret not in done.stderr


def test_no_option_takes_a_token_itself() -> None:
    def commands(group: click.Group) -> Iterator[click.Command]:
        context = click.Context(group)
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            assert found is not None
            yield from commands(found) if isinstance(found, click.Group) else [found]

    options = {option for one in commands(cli) for parameter in one.params for option in parameter.opts}
    assert {option for option in options if "token" in option} == {
        "--token-file", "--bundle-token-file", "--show-token",
    }  # fmt: skip
