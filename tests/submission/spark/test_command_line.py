"""spark-submit's command line is read as spark-submit reads it."""

import pytest

from staging_protocol.errors import InvalidRequest
from staging_protocol.manifest import Kind
from submission.spark.command_line import parse
from submission.spark.submission import Submission, submission

MASTER = ["--master", "k8s://https://127.0.0.1:6443"]


def read(*arguments: str, from_file: dict[str, str] | None = None) -> Submission:
    return submission(
        parse(["spark-submit", *MASTER, *arguments]), from_file=from_file or {}, master=None, deploy_mode=None
    )


def test_values_follow_an_option_or_an_equals_sign() -> None:
    command = parse(["spark-submit", "--jars=a.jar", "--class", "demo.Main", "-c", "spark.x=a=b", "-v", "app.jar"])

    assert command.last("--jars") == "a.jar"
    assert command.last("--class") == "demo.Main"
    assert command.conf == {"spark.x": "a=b"}
    assert command.has("--verbose")


def test_everything_after_the_main_resource_belongs_to_the_application() -> None:
    command = parse(["spark-submit", "app.jar", "--jars", "mine", "-v", "--", "x y"])

    assert (command.main, command.arguments) == ("app.jar", ("--jars", "mine", "-v", "--", "x y"))


def test_a_command_is_written_as_it_was_read() -> None:
    arguments = ["spark-submit", *MASTER, "--supervise", "--conf", "spark.x=a b", "app.jar", "--mine", "1"]

    assert parse(arguments).written() == arguments


def test_an_unknown_option_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(InvalidRequest, match=r"--jar is not an option of spark-submit; did you mean --jars\?"):
        parse(["spark-submit", "--jar", "a.jar", "app.jar"])


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "no command"),
        (["spark-submit", "--class"], "needs a value"),
        (["spark-submit", "--class", "x"], "no main resource"),
        (["spark-submit", "--conf", "spark.x", "app.jar"], "KEY=VALUE"),
        (["spark-submit", "--kill", "x"], "submits nothing"),
        (["spark-submit", "--status=x"], "submits nothing"),
        (["spark-submit", "--help"], "submits nothing"),
        (["spark-submit", "run-example", "SparkPi"], "run-example"),
    ],
)
def test_what_is_no_submission_is_refused(arguments: list[str], why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        parse(arguments)


def test_an_option_wins_over_conf_and_conf_over_the_file() -> None:
    given = read(
        "--jars", "option.jar", "--conf", "spark.jars=conf.jar", "--conf", "spark.files=conf.csv", "app.jar",
        from_file={"spark.jars": "file.jar", "spark.files": "file.csv", "spark.archives": "file.zip"},
    )  # fmt: skip

    assert given.dependencies(Kind.JAR, option="--jars") == ("option.jar", "--jars")
    assert given.dependencies(Kind.FILE, option="--files") == ("conf.csv", "spark.files")
    assert given.dependencies(Kind.ARCHIVE, option="--archives") == ("file.zip", "spark.archives")
    assert given.dependencies(Kind.PYFILE, option="--py-files") == ("", "spark.submit.pyFiles")


def test_the_last_of_several_equal_options_counts() -> None:
    given = read("--jars", "a.jar", "--jars", "b.jar", "app.jar")

    assert given.dependencies(Kind.JAR, option="--jars")[0] == "b.jar"


@pytest.mark.parametrize(("arguments", "expected"), [([], False), (["--deploy-mode", "cluster"], True)])
def test_client_mode_is_the_default(arguments: list[str], *, expected: bool) -> None:
    assert read(*arguments, "app.jar").is_cluster is expected


def test_the_deploy_mode_may_be_a_property() -> None:
    assert read("--conf", "spark.submit.deployMode=cluster", "app.jar").is_cluster


@pytest.mark.parametrize("how", [["--packages", "g:a:1"], ["--conf", "spark.jars.packages=g:a:1"]])
def test_packages_are_refused_with_what_to_do_instead(how: list[str]) -> None:
    with pytest.raises(InvalidRequest, match=r"download the jars once .* --jars"):
        read(*how, "app.jar")


def test_only_kubernetes_is_served() -> None:
    with pytest.raises(InvalidRequest, match="yarn"):
        submission(parse(["spark-submit", "--master", "yarn", "a.jar"]), from_file={}, master=None, deploy_mode=None)
