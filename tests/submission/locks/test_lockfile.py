"""The lock on disk: stable bytes, small differences, and nothing that is not one is taken for one."""

import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest, NotFound
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, Manifest
from staging_protocol.wire import decode
from submission.locks.changes import difference
from submission.locks.lockfile import Lock, Locked, lock_bytes, read_lock, write_lock


def locked(uri: str, *, content: bytes = b"x", version: str | None = '"1"', kind: Kind = Kind.JAR) -> Locked:
    name = FileName(uri.rpartition("/")[2])
    return Locked(uri=uri, kind=kind, target=name, size=len(content), digest=Digest.of(content), version=version)


ENTRIES = st.lists(
    st.builds(
        locked,
        st.from_regex(r"(https://h/|s3a://b/|lib/|)[a-z]{1,8}\.jar", fullmatch=True),
        content=st.binary(max_size=3),
        version=st.none() | st.text(max_size=5),
        kind=st.sampled_from(Kind),
    ),
    unique_by=lambda one: one.key,
    max_size=8,
)


@given(ENTRIES, st.randoms())
def test_the_bytes_do_not_depend_on_the_order_and_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Locked], random: Random
) -> None:
    path = tmp_path_factory.mktemp("lock") / "deps.lock.json"
    write_lock(path, Lock.of(entries))
    random.shuffle(entries)

    assert path.read_bytes() == lock_bytes(Lock.of(entries))
    assert read_lock(path) == Lock.of(entries)
    assert [one.name for one in path.parent.iterdir()] == [path.name], "something was left beside it"


def test_one_changed_dependency_is_a_change_of_few_lines() -> None:
    before = [locked(f"https://h/{name}.jar") for name in "abc"]
    after = [before[0], locked("https://h/b.jar", content=b"other", version='"2"'), before[2]]

    one, other = (lock_bytes(Lock.of(entries)).decode().splitlines() for entries in (before, after))

    assert sum(a != b for a, b in zip(one, other, strict=True)) == 3


def test_a_lock_is_a_manifest() -> None:
    lock = Lock.of([locked("https://h/a.jar")])

    manifest = decode(lock_bytes(lock), into=Manifest)

    assert [(one.uri, one.digest, one.size) for one in manifest.entries] == [("https://h/a.jar", Digest.of(b"x"), 1)]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"lock_version": 2}, "version 2"),
        ({"lock_version": None}, "is no lock"),
        ({"entries": [{"uri": "a.jar", "kind": "jar", "target": "a.jar"}]}, "no digest"),
        ({"entries": [{"uri": "a.jar", "kind": "jar", "target": "../a"}]}, r"entries\[0\]\.target"),
        ({"entries": [{"uri": "", "kind": "jar", "target": "a.jar"}]}, "is not a dependency"),
    ],
)
def test_what_is_no_lock_is_refused_with_the_place(tmp_path: Path, change: dict[str, object], why: str) -> None:
    path = tmp_path / "deps.lock.json"
    path.write_text(json.dumps({**json.loads(lock_bytes(Lock.of([locked("a.jar")]))), **change}))

    with pytest.raises(InvalidRequest, match=why):
        read_lock(path)


def test_the_same_dependency_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deps.lock.json"
    path.write_bytes(lock_bytes(Lock.of([locked("a.jar"), locked("a.jar", content=b"y")])))

    with pytest.raises(InvalidRequest, match="twice"):
        read_lock(path)


def test_a_missing_lock_says_what_writes_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="spark-staging lock"):
        read_lock(tmp_path / "deps.lock.json")


def test_a_lock_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "deps.lock.json").mkdir()

    with pytest.raises(InvalidRequest, match="cannot be written"):
        write_lock(tmp_path / "deps.lock.json", Lock.of([]))

    assert [one.name for one in tmp_path.iterdir()] == ["deps.lock.json"]


@given(ENTRIES, ENTRIES)
def test_a_difference_says_all_and_is_none_between_equals(old: list[Locked], new: list[Locked]) -> None:
    found = difference(old, new)

    assert not difference(old, reversed(old))
    assert {one.key for one in found.added} == {one.key for one in new} - {one.key for one in old}
    assert {one.key for one in found.removed} == {one.key for one in old} - {one.key for one in new}
    turned = difference(new, old)
    assert (turned.added, turned.removed) == (found.removed, found.added)
    assert {one.new.key for one in found.changed} == {one.new.key for one in turned.changed}
