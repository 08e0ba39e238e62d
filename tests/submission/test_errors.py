"""Each error is one plain line, or JSON, and has its exit code."""

import json

import pytest

from staging_protocol.errors import ExitCode
from tests.submission.conftest import STAGE, Command
from tests.submission.fake_kubernetes import fake_kubernetes


def test_a_missing_file_is_one_line_and_its_exit_code(job: Command) -> None:
    done = job.run("stage", "--jars", "absent.jar")

    assert done.returncode == ExitCode.NOT_FOUND
    assert done.stderr == "spark-staging: absent.jar (--jars) does not exist\n"
    assert done.stdout == ""


@pytest.mark.parametrize("how", [("--output", "json"), ("--progress", "json")])
def test_errors_are_json_where_programs_read(how: tuple[str, str], job: Command) -> None:
    done = job.inside("stage", "--jars", "absent.jar", *how)

    problem = json.loads(done.stderr)
    assert (problem["code"], problem["exit_code"], problem["retryable"]) == ("not-found", 40, False)


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["stage"], 2, "nothing is named"),
        (["stage", "--jar", "x"], 2, "--jar"),
        (["stage", "app.jar", "--url", "ftp://x"], 2, "begins with http"),
        (["stage", "app.jar", "--token-file", "absent"], 2, "absent"),
        (["stage", "app.jar", "--url", "http://127.0.0.1:1"], 44, "127.0.0.1:1 does not answer"),
        (["bundles", "show", "nonsense"], 2, "not a bundle id"),
        (["bundles", "show", "a" * 26], 40, ""),
        (["resolve", "absent.json", "--into", "x"], 40, "absent.json does not exist"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_each_error_says_what_to_do_and_has_its_exit_code(
    arguments: list[str], code: int, why: str, job: Command
) -> None:
    job.environment["SPARK_STAGING_RETRY_SECONDS"] = "0"

    done = job.inside(*arguments)

    assert done.returncode == code
    assert why in done.stderr
    assert done.stdout == ""


def test_without_a_url_the_error_says_how_to_give_one(job: Command) -> None:
    del job.environment["SPARK_STAGING_URL"]

    done = job.inside(*STAGE)

    assert done.returncode == 2
    assert "SPARK_STAGING_URL" in done.stderr


def test_another_web_server_is_recognized_as_such(job: Command) -> None:
    with fake_kubernetes() as other:
        job.environment["SPARK_STAGING_URL"] = other.url
        done = job.inside(*STAGE)

    assert done.returncode == ExitCode.NOT_FOUND
    assert "is the URL that of a staging server?" in done.stderr
