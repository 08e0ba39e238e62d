"""What is named is sorted into staged, remote and container-local, and conflicts are found by names alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staging_protocol.errors import InvalidRequest, TargetCollision
from staging_protocol.manifest import Kind
from staging_protocol.uris import Locality
from submission.classify import Dependency, classify, main_dependency, named, remote_entries, split_list


def jars(*entries: str) -> list[Dependency]:
    return named(Kind.JAR, entries, by="--jars")


def test_each_scheme_goes_where_spark_would_put_it() -> None:
    found = classify(jars("a.jar", "file:///x/b.jar", "https://repo/c.jar", "s3a://b/d.jar", "local:///opt/e.jar"))

    assert [str(item.uri) for item in found.staged] == ["a.jar", "file:///x/b.jar"]
    assert [str(item.uri) for item in found.remote] == ["https://repo/c.jar", "s3a://b/d.jar"]
    assert found.dependencies[-1].locality is Locality.CONTAINER_LOCAL


@given(st.lists(st.sampled_from(["", "file:///", "https://h/", "local:///", "s3a://b/"]), max_size=12))
def test_nothing_is_lost_and_the_order_stays_whatever_the_mix_of_schemes(schemes: list[str]) -> None:
    entries = [f"{scheme}f{number}.jar" for number, scheme in enumerate(schemes)]

    assert [item.uri.text for item in classify(jars(*entries)).dependencies] == entries


def test_a_file_named_twice_is_staged_once() -> None:
    assert len(classify(jars("lib/a.jar", "lib/a.jar", "file:lib/a.jar")).staged) == 1


def test_two_files_of_one_name_are_an_error_that_names_both() -> None:
    with pytest.raises(TargetCollision) as caught:
        classify(jars("one/a.jar", "two/a.jar"))

    assert "one/a.jar" in caught.value.detail
    assert "two/a.jar" in caught.value.detail


def test_a_remote_and_a_staged_file_collide_too() -> None:
    with pytest.raises(TargetCollision, match=r"https://repo/a\.jar"):
        classify(jars("a.jar", "https://repo/a.jar"))


def test_a_file_and_an_archive_collide_in_the_working_folder() -> None:
    with pytest.raises(TargetCollision):
        classify([*named(Kind.FILE, ["env"], by="--files"), *named(Kind.ARCHIVE, ["e.tar.gz#env"], by="--archives")])


def test_a_job_has_one_main_resource() -> None:
    with pytest.raises(InvalidRequest, match=r"app-1\.jar and app-2\.jar"):
        classify([main_dependency("app-1.jar"), main_dependency("app-2.jar")])


def test_a_fragment_resolves_a_collision() -> None:
    assert len(classify(jars("one/a.jar", "two/a.jar#b.jar")).staged) == 2


def test_a_jar_and_a_python_file_of_one_name_do_not_collide() -> None:
    assert classify([*jars("a.zip"), *named(Kind.PYFILE, ["a.zip"], by="--py-files")]).staged


@pytest.mark.parametrize(
    ("entry", "kind"),
    [("app.jar", Kind.JAR), ("app.py", Kind.PYFILE), ("app.R", Kind.FILE), ("app.r", Kind.FILE), ("app", Kind.JAR)],
)
def test_the_kind_of_the_main_resource_is_known_by_its_name(entry: str, kind: Kind) -> None:
    assert main_dependency(entry).kind is kind


def test_a_main_jar_that_is_also_among_the_jars_is_one_file_and_stays_the_main_resource() -> None:
    found = classify([*jars("app.jar"), main_dependency("app.jar")])

    assert len(found.staged) == 1
    assert found.main is not None


@pytest.mark.parametrize(
    ("dependency", "why"),
    [
        (main_dependency("a,b.jar"), "comma"),
        (named(Kind.PYFILE, ["lib/a:b.zip"], by="--py-files")[0], "colon"),
        (named(Kind.PYFILE, ["notes.txt"], by="--py-files")[0], "no Python file"),
        (jars("https://user:secret@repo/a.jar")[0], "carries a secret"),
        (jars("https://b.s3.amazonaws.com/a.jar?X-Amz-Signature=secret")[0], "carries a secret"),
    ],
)
def test_what_spark_or_the_manifest_could_not_hold_is_refused_without_showing_secrets(
    dependency: Dependency, why: str
) -> None:
    with pytest.raises(InvalidRequest, match=why) as caught:
        classify([dependency])

    assert "secret@" not in caught.value.detail
    assert "Signature" not in caught.value.detail


def test_remote_entries_have_the_fragment_as_target_only() -> None:
    (entry,) = remote_entries(classify(named(Kind.ARCHIVE, ["https://h/e.tar.gz#env"], by="--archives")))

    assert (entry.uri, entry.target) == ("https://h/e.tar.gz", "env")


def test_lists_are_split_as_spark_splits_them() -> None:
    assert split_list(" a.jar, ,b.jar,") == ["a.jar", "b.jar"]
