"""THREAT_MODEL.md names tests that exist, and every hostile test is named there."""

import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest

_TESTS: Final = Path(__file__).parents[1]
_MODEL: Final = (_TESTS.parent / "THREAT_MODEL.md").read_text()
_NAMED: Final = re.compile(r"`([a-z_]+/[a-z_]+/?test_[a-z0-9_]+\.py|[a-z_]+/test_[a-z0-9_]+\.py)(?:::([a-z0-9_]+))?`")
_ROW: Final = re.compile(r"^\| (?!-|promise|who)(?P<promise>[^|]+) \| (?P<shown>[^|]+) \|$", re.MULTILINE)


def _promises() -> list[tuple[str, str]]:
    part = _MODEL.partition("## Promises")[2].partition("## Known and accepted")[0]
    return [(match["promise"], match["shown"]) for match in _ROW.finditer(part)]


@cache
def _tests_of(path: str) -> frozenset[str]:
    text = (_TESTS / path).read_text()
    return frozenset(re.findall(r"^\s*(?:async )?def (test_\w+)", text, re.MULTILINE)) | frozenset(
        re.findall(r"^class (Test\w+)", text, re.MULTILINE)
    )


def test_there_are_promises() -> None:
    assert len(_promises()) > 30


@pytest.mark.parametrize(("promise", "shown"), _promises(), ids=lambda text: text[:60])
def test_each_promise_names_tests_that_exist(promise: str, shown: str) -> None:
    named = _NAMED.findall(shown)
    assert len(named) == shown.count("`") // 2 > 0, f"{promise}: not everything there is the name of a test"
    for path, name in named:
        assert (_TESTS / path).is_file(), path
        assert _tests_of(path), f"{path} has no tests"
        assert not name or name in _tests_of(path), f"{path} has no {name}"


def test_every_hostile_test_is_named() -> None:
    here = {f"hostile/{path.name}" for path in Path(__file__).parent.glob("test_*.py")}
    named = {path for path, _ in _NAMED.findall(_MODEL)}
    assert here - {"hostile/test_threat_model.py"} <= named
