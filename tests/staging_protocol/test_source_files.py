"""`sources.json` is read as people write it, and what could not be found in a pod is refused where it is read."""

import json

import pytest

from staging_protocol.errors import InvalidRequest
from staging_protocol.source_files import read_sources, secret_keys
from staging_protocol.sources import SourceSettings


def settings(*files: str) -> SourceSettings:
    return read_sources(
        json.dumps({"http": {"hosts": {f"h{at}": {"bearer": one} for at, one in enumerate(files)}}}).encode()
    )


def test_relative_files_are_keys_of_secrets_each_once_in_their_order() -> None:
    given = settings("b/token", "a.b-c/.dockerconfigjson", "/abs/olute", "b/Other_1", "b/token")

    assert secret_keys(given) == {"b": ("token", "Other_1"), "a.b-c": (".dockerconfigjson",)}
    assert list(secret_keys(given)) == ["b", "a.b-c"]


@pytest.mark.parametrize(
    "name",
    [
        "token", "a/b/c", "../etc/passwd", "a/..", "../token", "a/.", "a/", "a/..data", "A/token", "a_b/token",
        "-a/token", "a./token", "a..b/token", "a/to ken", "a/tok\nen", f"{'a' * 254}/token", f"a/{'k' * 254}", "./a/b",
        "a//b", "~/token", "a\n/token",
    ],
)  # fmt: skip
def test_a_relative_file_that_can_be_no_key_of_a_secret_is_refused_with_what_to_write(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        settings(name)

    assert repr(name) in caught.value.detail
    assert "<secret>/<key>" in caught.value.detail
    assert "absolute path" in caught.value.detail


def test_a_typing_error_is_told_with_its_place() -> None:
    with pytest.raises(InvalidRequest, match=r"end_point.*\$\.s3\.buckets"):
        read_sources(b'{"s3": {"buckets": {"b": {"end_point": "https://x"}}}}')


@pytest.mark.parametrize(
    "uri", ["https://user:secret@host/", "host/path", "https://host/?token=secret", "https://ho st/"]
)
def test_a_mirror_holds_no_secret(uri: str) -> None:
    with pytest.raises(InvalidRequest, match=r"mirrors\[0\]\.to\[0\]") as caught:
        read_sources(json.dumps({"mirrors": [{"prefix": "https://a/", "to": [uri]}]}).encode())

    assert "secret" not in caught.value.detail


@pytest.mark.parametrize(
    "uri", ["https://host", "https://host:8443/maven2/", "s3://bucket/", "hdfs:///libs/", "gs://b/@x"]
)
def test_a_mirror_can_be_of_any_scheme(uri: str) -> None:
    read_sources(json.dumps({"mirrors": [{"prefix": uri, "to": [uri]}]}).encode())
