"""Files that become visible whole."""

import os
from pathlib import Path

import pytest

from staging_io.files import (
    UnfinishedFile,
    digest_of,
    free_space,
    hidden,
    make_folder,
    regular_size,
    remove_leftovers,
    remove_tree,
    sole_writer,
)
from staging_protocol.digests import Digest
from staging_protocol.errors import Denied, InvalidRequest, NoSpace, RequestInProgress


def test_a_file_is_not_visible_before_it_is_committed(tmp_path: Path) -> None:
    file = UnfinishedFile(tmp_path / "a")
    file.write(memoryview(b"half"), 0)
    assert not (tmp_path / "a").exists()
    file.commit()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_parts_may_be_written_in_any_order(tmp_path: Path) -> None:
    file = UnfinishedFile(tmp_path / "a")
    file.reserve(6)
    file.write(memoryview(b"def"), 3)
    file.write(memoryview(b"abc"), 0)
    file.commit()
    assert (tmp_path / "a").read_bytes() == b"abcdef"


def test_it_has_the_mode_that_spark_needs_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        make_folder(tmp_path / "x/y")
        UnfinishedFile(tmp_path / "x/y/a").commit()
    finally:
        os.umask(before)
    assert (tmp_path / "x/y/a").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "x/y").stat().st_mode & 0o777 == 0o755


def test_what_a_killed_run_left_is_not_part_of_the_next_file(tmp_path: Path) -> None:
    hidden(tmp_path / "a", "part").write_bytes(b"something long")
    file = UnfinishedFile(tmp_path / "a")
    file.write(memoryview(b"new"), 0)
    file.commit()
    assert (tmp_path / "a").read_bytes() == b"new"


def test_a_late_write_to_a_discarded_file_hits_no_other_file(tmp_path: Path) -> None:
    old = UnfinishedFile(tmp_path / "a")
    old.discard()
    new = UnfinishedFile(tmp_path / "a")
    new.write(memoryview(b"right"), 0)
    old.write(memoryview(b"WRONG"), 0)
    new.commit()
    assert (tmp_path / "a").read_bytes() == b"right"


def test_a_link_under_the_hidden_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    hidden(tmp_path / "a", "part").symlink_to(tmp_path / "mine")
    with pytest.raises(InvalidRequest):
        UnfinishedFile(tmp_path / "a")
    assert (tmp_path / "mine").read_bytes() == b"mine"


def test_a_name_of_the_longest_size_has_a_hidden_name_too(tmp_path: Path) -> None:
    UnfinishedFile(tmp_path / ("n" * 255)).commit()
    assert (tmp_path / ("n" * 255)).is_file()


def test_more_space_than_there_is_cannot_be_reserved(tmp_path: Path) -> None:
    file = UnfinishedFile(tmp_path / "a")
    _, free = free_space(tmp_path)
    with pytest.raises((NoSpace, InvalidRequest)):
        file.reserve(free + 2**44)
    file.discard()
    assert list(tmp_path.iterdir()) == []


def test_leftovers_go_and_everything_else_stays(tmp_path: Path) -> None:
    for name in ("a", "b"):
        hidden(tmp_path / name, "part").write_bytes(b"half")
    hidden(tmp_path / "b", "journal").write_bytes(b"")
    hidden(tmp_path / "t", "tree").mkdir()
    (tmp_path / "a").write_bytes(b"whole")
    (tmp_path / ".hidden").write_bytes(b"mine")
    remove_leftovers(tmp_path, keep_journals=True)
    kept = {"a", ".hidden", hidden(tmp_path / "b", "part").name, hidden(tmp_path / "b", "journal").name}
    assert {path.name for path in tmp_path.iterdir()} == kept
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"a", ".hidden"}


def test_removing_a_tree_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    remove_tree(tmp_path / "link")
    assert (tmp_path / "mine/a").exists()


def test_one_process_writes_into_a_folder_at_a_time(tmp_path: Path) -> None:
    with sole_writer(tmp_path), pytest.raises(RequestInProgress), sole_writer(tmp_path):
        pass
    with sole_writer(tmp_path):
        pass


def test_digests_and_sizes_are_of_regular_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    (tmp_path / "link").symlink_to("a")
    assert digest_of(tmp_path / "a") == Digest.of(b"x" * 3_000_000)
    assert regular_size(tmp_path / "a") == 3_000_000
    assert regular_size(tmp_path / "link") is None
    assert regular_size(tmp_path / "nothing") is None


def test_a_folder_that_cannot_be_used_is_told_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InvalidRequest, match="Not a directory"):
        make_folder(tmp_path / "file/x")
    with pytest.raises(InvalidRequest, match="Not a directory"):
        make_folder(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_denied(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(Denied):
        UnfinishedFile(tmp_path / "a")
