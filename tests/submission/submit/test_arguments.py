"""Options of spark-submit and of ours on one line."""

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from staging_protocol.errors import InvalidRequest
from submission.commands.submit import COMMAND
from submission.spark.command_line import SHORT, SWITCHES, WITH_VALUE
from submission.submit.arguments import divided

OURS = {
    name: not option.is_flag
    for option in COMMAND.params
    if isinstance(option, click.Option)
    for name in (*option.opts, *option.secondary_opts)
}


def test_no_option_of_ours_has_a_name_of_sparks() -> None:
    assert OURS.keys().isdisjoint(WITH_VALUE | SWITCHES | SHORT.keys())


def test_a_command_line_of_spark_submit_is_taken_word_for_word() -> None:
    line = [
        "--master",
        "k8s://x",
        "--conf",
        "a=--dry-run",
        "-c",
        "b=1",
        "--jars=x.jar",
        "--supervise",
        "app.jar",
        "-o",
        "x",
    ]

    both = divided(line, ours=OURS)

    assert both.ours == ()
    assert list(both.sparks) == line


def test_ours_stand_anywhere_before_the_main_resource_and_nowhere_behind() -> None:
    line = [
        "--dry-run",
        "--master",
        "k8s://x",
        "-o",
        "json",
        "--name",
        "n",
        "--pod-url=http://p",
        "main.py",
        "--dry-run",
    ]

    both = divided(line, ours=OURS)

    assert both.ours == ("--dry-run", "-o", "json", "--pod-url=http://p")
    assert both.sparks == ("--master", "k8s://x", "--name", "n", "main.py", "--dry-run")


@pytest.mark.parametrize(("mistyped", "meant"), [("--jar", "--jars"), ("--submision-id", "--submission-id")])
def test_what_is_nobodys_option_is_an_error_with_a_suggestion(mistyped: str, meant: str) -> None:
    with pytest.raises(InvalidRequest, match=f"did you mean {meant}"):
        divided([mistyped, "x", "app.jar"], ours=OURS)


@given(st.lists(st.sampled_from([*sorted(WITH_VALUE), *sorted(SWITCHES), *OURS, "app.jar", "k=v", "x"])))
def test_nothing_is_lost_and_nothing_is_added(line: list[str]) -> None:
    both = divided(line, ours=OURS)

    assert sorted([*both.ours, *both.sparks]) == sorted(line)
