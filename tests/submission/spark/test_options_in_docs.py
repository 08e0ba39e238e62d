"""docs/submitting.md names each option of spark-submit that is refused, or has no effect."""

from pathlib import Path
from typing import Final

import pytest

from staging_protocol.errors import InvalidRequest
from submission.spark.command_line import SWITCHES, WITH_VALUE, SubmitCommand, parse_arguments
from submission.spark.effective import ignored
from submission.spark.submission import submission

_DOCS: Final = (Path(__file__).parents[3] / "docs" / "submitting.md").read_text()
_MASTER: Final = "k8s://https://host:6443"
_VALUES: Final = {"--master": _MASTER, "--deploy-mode": "cluster", "--conf": "spark.a=b"}
_OURS: Final = frozenset({"--help"})  # is answered by click


def is_as_in_spark_submit(option: str) -> bool:
    value = [_VALUES.get(option, "1")] if option in WITH_VALUE else []
    try:
        command = parse_arguments(["--master", _MASTER, "--deploy-mode", "cluster", option, *value, "app.py"])
        if not isinstance(command, SubmitCommand):
            return True  # --kill, --status
        return not list(ignored(submission(command, from_file={}, master=None, deploy_mode=None)))
    except InvalidRequest:
        return False


@pytest.mark.parametrize("option", sorted((WITH_VALUE | SWITCHES) - _OURS))
def test_an_option_that_is_not_as_in_spark_submit_is_told(option: str) -> None:
    assert is_as_in_spark_submit(option) or f"`{option}`" in _DOCS


def test_some_are_not() -> None:
    assert not any(is_as_in_spark_submit(option) for option in ("--packages", "--queue", "--remote", "--version"))
