"""URIs are read as Spark reads them, and never show what they carry in secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staging_protocol.errors import InvalidRequest
from staging_protocol.filenames import FileName
from staging_protocol.uris import DependencyUri, Locality
from tests.staging_protocol.strategies import file_names, remote_uris


@given(remote_uris())
def test_a_printed_uri_reads_as_the_same_uri(uri: DependencyUri) -> None:
    assert DependencyUri.parse(uri.text) == uri


@given(st.text(max_size=60))
def test_any_text_is_a_uri_that_prints_the_same_or_a_clear_error(text: str) -> None:
    try:
        uri = DependencyUri.parse(text)
    except InvalidRequest as error:
        assert error.detail  # noqa: PT017 - the other outcome is checked below
        return
    scheme, separator, rest = text.partition(":")
    assert uri.text == (f"{scheme.lower()}{separator}{rest}" if uri.scheme else text)


@given(file_names)
def test_a_staged_uri_gives_its_name_back(name: FileName) -> None:
    uri = DependencyUri.parse(DependencyUri.staged("jar", name).text)
    assert (uri.scheme, uri.name, uri.locality) == ("staged", name, Locality.REMOTE)


@pytest.mark.parametrize(
    ("text", "locality"),
    [
        ("app.jar", Locality.SUBMITTER_LOCAL),
        ("/opt/app.jar", Locality.SUBMITTER_LOCAL),
        ("file:/opt/app.jar", Locality.SUBMITTER_LOCAL),
        ("file:///opt/app.jar", Locality.SUBMITTER_LOCAL),
        ("FILE:///opt/app.jar", Locality.SUBMITTER_LOCAL),
        ("local:///opt/app.jar", Locality.CONTAINER_LOCAL),
        ("s3a://bucket/app.jar", Locality.REMOTE),
        ("hdfs:///app.jar", Locality.REMOTE),
        ("foo:bar", Locality.REMOTE),
    ],
)
def test_the_scheme_decides_where_a_dependency_lies(text: str, locality: Locality) -> None:
    assert DependencyUri.parse(text).locality is locality


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("env.tar.gz", "env.tar.gz"),
        ("env.tar.gz#env", "env"),
        ("https://host/a%20b.jar?version=1", "a b.jar"),
        ("/jobs/a%20b.jar", "a%20b.jar"),
        ("file:///jobs/a%20b.jar", "a b.jar"),
    ],
)
def test_the_target_is_the_fragment_or_the_decoded_name(text: str, target: str) -> None:
    assert DependencyUri.parse(text).target == target


@pytest.mark.parametrize(
    "text", ["https://host/%2e%2e", "https://host/a%2Fb", "https://host/%ff", "s3://bucket/a%00b", "x#../up", "x#a/b"]
)
def test_a_target_never_leaves_its_folder(text: str) -> None:
    with pytest.raises(InvalidRequest):
        _ = DependencyUri.parse(text).target


@pytest.mark.parametrize("text", ["", "  ", "a\nb", "https://host", "https://host/", "file://other/x.jar", "s3:"])
def test_what_names_no_file_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        DependencyUri.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://user:hunter2@host/x.jar",
        "https://host/x.jar?X-Amz-Signature=hunter2",
        "https://host/x.jar?a=b&sig=hunter2",
        "https://hunter2@host/x.jar",
    ],
)
def test_secrets_in_a_uri_are_known_and_not_shown(text: str) -> None:
    uri = DependencyUri.parse(text)
    assert uri.has_credentials
    assert "hunter2" not in f"{uri} {uri!r} {uri!s}"
    assert uri.text == text


def test_an_ordinary_query_is_no_secret() -> None:
    assert not DependencyUri.parse("https://host/x.jar?version=1").has_credentials
