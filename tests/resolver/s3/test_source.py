"""The source for S3: the contracts against SeaweedFS, versions, checksums of parts, and what keys may be."""

import base64
import os
from collections.abc import Callable
from typing import Final

import pytest

from resolver.sources.base import Checksum, Stat, Version
from resolver.sources.s3.part_sizes import MOST_QUESTIONS, part_sizes
from resolver.sources.s3.stated import stat_of
from staging_protocol.errors import NotFound, SourceChanged
from tests.contracts.source import (
    CONTENT,
    ChecksumContract,
    ListingContract,
    SourceContract,
    check_stated,
    expected,
    read,
)
from tests.resolver.s3.served import ServedByS3
from tests.services.fault_proxy import FaultProxy

pytestmark = pytest.mark.services

PART: Final = 5 * 1024 * 1024
"""S3 takes no smaller parts, but for the last one."""


class TestS3Source(SourceContract, ListingContract, ChecksumContract):
    pass


@pytest.mark.parametrize(
    "key",
    [
        "a//b.jar",
        "//a.jar",
        "tail .jar ",
        " ",
        "100%.jar",
        "a%2Fb",
        "ß/ü/ñ.jar",
        "日本語.jar",
        "a\tb.jar",
        "~!@$^()_-.jar",
    ],
)
def test_any_key_that_the_service_takes_can_be_read(served: ServedByS3, key: str) -> None:
    assert read(served.source, served.put(key, key.encode())) == key.encode()


# --- versions


def test_a_version_is_the_entity_tag(served: ServedByS3) -> None:
    uri = served.put("a.jar", CONTENT)
    tag = served.s3.client.head_object(Bucket=served.bucket, Key=served.prefix + "a.jar")["ETag"]
    assert served.source.stat(uri).version == Version(tag, strong=True)


def test_a_replaced_object_is_not_read_under_its_old_version(served: ServedByS3) -> None:
    uri = served.put("a.jar", CONTENT)
    version = served.source.stat(uri).version
    served.put("a.jar", CONTENT[::-1])
    with pytest.raises(SourceChanged):
        read(served.source, uri, version=version, start=10, stop=20)


def test_a_version_that_the_uri_names_is_read_whatever_came_later(served: ServedByS3) -> None:
    client, bucket = served.s3.client, f"versions-{served.prefix[:8]}"
    client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = client.put_object(Bucket=bucket, Key="a.jar", Body=b"first")["VersionId"]
    second = client.put_object(Bucket=bucket, Key="a.jar", Body=b"second")["VersionId"]
    marker = client.delete_object(Bucket=bucket, Key="a.jar")["VersionId"]
    versions = ServedByS3(served.s3, served.outside, bucket, prefix="")
    assert read(versions.source, versions.uri("a.jar", query=f"?versionId={first}")) == b"first"
    assert versions.source.stat(versions.uri("a.jar", query=f"?versionId={second}")).size == len(b"second")
    for query in ("", f"?versionId={marker}", "?versionId=nothing"):
        with pytest.raises(NotFound):
            read(versions.source, versions.uri("a.jar", query=query))


def test_no_bucket_is_told_from_no_object(served: ServedByS3) -> None:
    nowhere = ServedByS3(served.s3, served.outside, "no-such-bucket")
    for uri, said in ((served.missing(), "no such object"), (nowhere.missing(), "no such bucket")):
        with pytest.raises(NotFound, match=said):
            read(served.source, uri)
        with pytest.raises(NotFound, match=said):
            served.source.stat(uri)


def test_one_request_reads_a_small_object_with_its_checksums(
    served: ServedByS3, fault_proxy: Callable[[str], FaultProxy]
) -> None:
    uri, proxy = served.put("a.jar", CONTENT), fault_proxy(served.s3.url)
    source = served.source_at(proxy.url)
    for stop in (None, 8 * 1024 * 1024):
        with source.read(uri, version=None, start=0, stop=stop) as reading:
            check_stated(reading.stat, CONTENT)
            assert not reading.stat.says_less
    assert len(proxy.exchanges) == 2


# --- checksums


@pytest.mark.parametrize(("size", "says_less"), [(1024 * 1024, False), (1024 * 1024 + 1, True)])
def test_a_better_checksum_than_md5_is_asked_for_where_a_range_was_the_whole_of_a_large_object(
    served: ServedByS3, *, size: int, says_less: bool
) -> None:
    content = os.urandom(size)
    served.s3.client.put_object(
        Bucket=served.bucket, Key=served.prefix + "a.jar", Body=content, ChecksumAlgorithm="CRC32"
    )
    uri = served.uri("a.jar")
    with served.source.read(uri, version=None, start=0, stop=8 * 1024 * 1024) as reading:
        assert {one.algorithm for one in reading.stat.checksums} == {"md5"}
        assert reading.stat.says_less == says_less
    with served.source.read(uri, version=None, start=0, stop=None) as reading:
        assert {one.algorithm for one in reading.stat.checksums} == {"md5", "crc32"}
        assert not reading.stat.says_less


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA1", "CRC32", "CRC32C"])
def test_each_algorithm_is_stated_as_it_is_stored(served: ServedByS3, algorithm: str) -> None:
    # boto3 can compute all but CRC-32C, for which it wants another library.
    crc32c = base64.b64encode(expected(Checksum(algorithm="crc32c", value=b""), CONTENT)).decode()
    stored = {"ChecksumCRC32C": crc32c} if algorithm == "CRC32C" else {"ChecksumAlgorithm": algorithm}
    served.s3.client.put_object(Bucket=served.bucket, Key=served.prefix + "a.jar", Body=CONTENT, **stored)
    stat = served.source.stat(served.uri("a.jar"))
    check_stated(stat, CONTENT)
    if algorithm == "SHA256":
        assert stat.digest is not None
    else:
        assert algorithm.lower() in {one.algorithm for one in stat.checksums}


@pytest.mark.parametrize("algorithm", ["SHA256", "CRC32"])
@pytest.mark.parametrize("sizes", [(PART, PART, 1000), (PART, PART + 1000, 500), (3000,)])
def test_the_checksum_of_an_object_in_parts_is_of_its_parts(
    served: ServedByS3, algorithm: str, sizes: tuple[int, ...]
) -> None:
    content = os.urandom(sum(sizes))
    uri = served.put_in_parts("parts.jar", content, sizes=sizes, algorithm=algorithm)
    stat = served.source.stat(uri)
    check_stated(stat, content)
    assert [(one.algorithm, one.parts) for one in stat.checksums] == [(algorithm.lower(), sizes)]
    with served.source.read(uri, version=None, start=0, stop=None) as reading:
        assert reading.stat.says_less


TAG = "5d41402abc4b2a76b9719d911017c592"
CRC = {"x-amz-checksum-crc32": "NhCmhg=="}


@pytest.mark.parametrize(
    ("headers", "algorithms"),
    [
        ({}, ["md5"]), ({"x-amz-server-side-encryption": "AES256"}, ["md5"]), (CRC, ["crc32", "md5"]),
        ({"x-amz-server-side-encryption": "aws:kms"}, []), ({"x-amz-server-side-encryption": "aws:kms:dsse"}, []),
        ({"x-amz-server-side-encryption-customer-algorithm": "AES256"}, []), ({"ETag": f'"{TAG}-2"'}, []),
        ({"ETag": f'W/"{TAG}"'}, []), ({"ETag": TAG}, []), ({"ETag": ""}, []), ({"ETag": f'"{TAG.upper()}"'}, []),
        ({"x-amz-checksum-crc32": "NhCmhg"}, ["md5"]), ({"x-amz-checksum-crc32": "NhCmhgAA"}, ["md5"]),
        ({"x-amz-checksum-crc32": "NhCmhg==-0"}, ["md5"]), ({"x-amz-checksum-crc64nvme": "AAAAAAAAAAA="}, ["md5"]),
        ({**CRC, "x-amz-checksum-type": "FULL_OBJECT", "ETag": f'"{TAG}-2"'}, ["crc32"]),
    ],
)  # fmt: skip
def test_what_is_not_surely_a_checksum_is_none(headers: dict[str, str], algorithms: list[str]) -> None:
    stat, of_parts = stat_of({"ETag": f'"{TAG}"', **headers}, size=5)
    assert [one.algorithm for one in stat.checksums] == algorithms
    assert (stat.digest, of_parts) == (None, ())


def test_a_composite_checksum_is_none_of_the_whole() -> None:
    headers = {"x-amz-checksum-sha256": "jfJCSaTeI+ylntezgajhaj+t+ka0mWVloqHWVQjZx6Y=-3"}
    stat, of_parts = stat_of(headers, size=5)
    assert stat == Stat(size=5)
    assert [(one.algorithm, one.count) for one in of_parts] == [("sha256", 3)]


@pytest.mark.parametrize(
    ("sizes", "questions"),
    [((7,), 0), ((8, 3), 2), ((8, 8, 8, 8), 2), ((8, 8, 1), 2), ((8, 9, 8, 3), 4), ((3, 8), 2), ((5, 7, 3), 3)],
)
def test_sizes_of_parts_are_asked_for_only_as_far_as_needed(sizes: tuple[int, ...], questions: int) -> None:
    asked: list[int] = []

    def size_of(number: int) -> int:
        asked.append(number)
        return sizes[number - 1]

    assert part_sizes(size_of, count=len(sizes), size=sum(sizes)) == sizes
    assert len(asked) == questions


def test_sizes_of_parts_that_cannot_be_known_are_not_guessed() -> None:
    assert part_sizes(lambda _: None, count=3, size=30) is None
    assert part_sizes(lambda _: 10, count=3, size=40) is None
    many = [1, *[2] * MOST_QUESTIONS]
    assert part_sizes(lambda number: many[number - 1], count=len(many), size=sum(many)) is None
