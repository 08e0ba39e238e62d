"""The plan: pure decisions about targets, names and space."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.plan import Volume, plan
from resolver.sources.choose import SCHEMES
from staging_protocol.errors import InvalidRequest, NoSpace, TargetCollision
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, Manifest, ManifestEntry

FOLDERS = {Kind.JAR: "/data/jars", Kind.FILE: "/work", Kind.PYFILE: "/data/py", Kind.ARCHIVE: "/work"}


def entry(uri: str, target: str, *, kind: Kind = Kind.JAR, size: int | None = None) -> ManifestEntry:
    return ManifestEntry(uri=uri, kind=kind, target=FileName(target), size=size)


def paths(*entries: ManifestEntry) -> list[str]:
    done = plan(Manifest(entries=entries), folder_of=FOLDERS.__getitem__, schemes=SCHEMES)
    return [download.path for download in done.downloads]


def test_each_kind_goes_to_its_folder() -> None:
    found = paths(
        entry("staged:///jar/a.jar", "a.jar"),
        entry("https://x/b.csv", "data.csv", kind=Kind.FILE),
        entry("http://x/e.tar.gz", "env", kind=Kind.ARCHIVE),
        entry("http://x/m.py", "m.py", kind=Kind.PYFILE),
    )
    assert found == ["/data/jars/a.jar", "/work/data.csv", "/work/env", "/data/py/m.py"]


@pytest.mark.parametrize("other", ["a.jar", "A.JAR", "a.jAr"])
def test_two_targets_in_one_folder_name_both(other: str) -> None:
    with pytest.raises(TargetCollision) as caught:
        paths(entry("http://x/1.jar", "a.jar"), entry("http://y/2.jar", other))
    assert "http://x/1.jar" in caught.value.detail
    assert "http://y/2.jar" in caught.value.detail


def test_two_unicode_forms_are_one_target() -> None:
    with pytest.raises(TargetCollision):
        paths(entry("http://x/1", "gr\u00f6\u00dfe"), entry("http://x/2", "gro\u0308\u00dfe"))


def test_a_file_and_an_archive_share_the_working_folder() -> None:
    with pytest.raises(TargetCollision):
        paths(entry("http://x/1", "env", kind=Kind.FILE), entry("http://x/2.zip", "env", kind=Kind.ARCHIVE))


def test_the_same_name_in_two_folders_is_fine() -> None:
    assert len(paths(entry("http://x/1", "a.zip"), entry("http://x/2", "a.zip", kind=Kind.PYFILE))) == 2


@pytest.mark.parametrize("uri", ["ftp://x/a.jar", "abfs://c@a/a.jar"])
def test_a_scheme_without_a_source_is_refused_plainly(uri: str) -> None:
    with pytest.raises(InvalidRequest, match="not supported by this version"):
        paths(entry(uri, "a.jar"))


@pytest.mark.parametrize("uri", ["/home/me/a.jar", "file:///home/me/a.jar", "a.jar"])
def test_what_lies_with_the_submitter_has_to_be_staged(uri: str) -> None:
    with pytest.raises(InvalidRequest, match="stage it first"):
        paths(entry(uri, "a.jar"))


def test_hidden_names_of_our_own_are_reserved() -> None:
    with pytest.raises(InvalidRequest, match="reserved"):
        paths(entry("http://x/a", ".spark-staging-0123456789abcdef.part"))


def test_a_manifest_of_another_version_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="version 2"):
        plan(Manifest(entries=(), version=2), folder_of=FOLDERS.__getitem__, schemes=SCHEMES)


def test_container_local_entries_are_not_downloaded() -> None:
    done = plan(
        Manifest(entries=(entry("local:///opt/a%20b.jar", "a.jar"),)), folder_of=FOLDERS.__getitem__, schemes=SCHEMES
    )
    assert done.downloads == ()
    assert [one.path for one in done.container_local] == ["/opt/a b.jar"]


def space(*entries: ManifestEntry, held: dict[str, int] | None = None) -> None:
    one = Volume(1, 100)
    volumes = {"/data/jars": one, "/data/py": one, "/work": Volume(2, 50)}
    plan(Manifest(entries=entries), folder_of=FOLDERS.__getitem__, schemes=SCHEMES, volumes=volumes, held=held)


def test_space_is_counted_by_volume() -> None:
    space(entry("http://x/a", "a", size=60), entry("http://x/b", "b", size=40, kind=Kind.PYFILE))
    with pytest.raises(NoSpace, match="101 bytes"):
        space(entry("http://x/a", "a", size=60), entry("http://x/b", "b", size=41, kind=Kind.PYFILE))
    with pytest.raises(NoSpace, match="/work"):
        space(entry("http://x/a", "a", size=51, kind=Kind.FILE))


def test_what_is_there_already_needs_no_space() -> None:
    space(entry("http://x/a", "a", size=1000), held={"/data/jars/a": 1000})


def is_name(text: str) -> bool:
    try:
        FileName(text)
    except InvalidRequest:
        return False
    return not text.startswith(".spark-staging-")


NAMES = st.text(min_size=1, max_size=40).filter(is_name)


@given(names=st.lists(NAMES, max_size=20))
def test_no_target_escapes_its_folder_and_no_two_are_the_same(names: list[str]) -> None:
    entries = [entry("http://x/a", name) for name in names]
    keys = [FileName(name).collision_key for name in names]
    if len(set(keys)) < len(keys):
        with pytest.raises(TargetCollision):
            paths(*entries)
    else:
        found = paths(*entries)
        assert len(set(found)) == len(found)
        assert all(path.rpartition("/")[0] == "/data/jars" for path in found)


@given(text=st.text(alphabet="./\\a\0\n", min_size=1, max_size=12))
def test_nothing_that_leads_elsewhere_can_be_a_target(text: str) -> None:
    try:
        (path,) = paths(entry("http://x/a", text))
    except InvalidRequest:
        return
    assert path.count("/") == 3
    assert path.rpartition("/")[2] not in {"", ".", ".."}
