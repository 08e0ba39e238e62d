"""Files are looked at before anything is uploaded."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from staging_protocol.errors import InvalidRequest, NotFound
from staging_protocol.manifest import Kind
from submission.classify import named
from submission.staging.local_files import found


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything, so it is someone else for a moment."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_globs_are_expanded_sorted(tmp_path: Path) -> None:
    for name in ("b.jar", "a.jar", "c.txt"):
        (tmp_path / name).write_bytes(b"x")

    _, files = found(named(Kind.JAR, [f"{tmp_path}/*.jar"], by="--jars"))

    assert [file.path.name for file in files] == ["a.jar", "b.jar"]


def test_a_file_uri_may_be_a_glob_and_have_spaces(tmp_path: Path) -> None:
    (tmp_path / "my lib.jar").write_bytes(b"x")

    classified, files = found(named(Kind.JAR, [f"file://{tmp_path}/my%20*.jar"], by="--jars"))

    assert files[0].path == tmp_path / "my lib.jar"
    assert classified.staged[0].target == "my lib.jar"


def test_a_name_with_glob_characters_that_exists_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "a[1].jar").write_bytes(b"x")

    _, files = found(named(Kind.JAR, [f"{tmp_path}/a[1].jar"], by="--jars"))

    assert files[0].path.name == "a[1].jar"


def test_a_glob_without_a_match_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="matches no file"):
        found(named(Kind.JAR, [f"{tmp_path}/*.jar"], by="--jars"))


def test_all_missing_files_and_folders_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        found(named(Kind.JAR, [f"{tmp_path}/a.jar", f"{tmp_path}/b.jar", str(tmp_path)], by="--jars"))

    for name in ("a.jar", "b.jar", "is a folder"):
        assert name in caught.value.detail


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jar")

    with pytest.raises(InvalidRequest, match="not a regular file"):
        found(named(Kind.JAR, [f"{tmp_path}/pipe.jar"], by="--jars"))


def test_an_unreadable_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jar").write_bytes(b"x")
    (tmp_path / "a.jar").chmod(0)

    with as_nobody(), pytest.raises(InvalidRequest, match="cannot be read"):
        found(named(Kind.JAR, [f"{tmp_path}/a.jar"], by="--jars"))


def test_what_is_remote_or_in_the_container_is_not_looked_for() -> None:
    _, files = found(named(Kind.JAR, ["local:///opt/a.jar", "https://h/*.jar"], by="--jars"))

    assert files == ()
