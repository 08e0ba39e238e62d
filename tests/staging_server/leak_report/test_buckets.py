"""A bucket is looked at as a folder is: what Spark left in it is found, and nothing is written to it."""

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest

from staging_server.leak_report.buckets import open_bucket
from staging_server.leak_report.places import open_store
from staging_server.leak_report.stores import Problems
from tests.conftest import missing
from tests.services.seaweedfs import REGION, SeaweedFs, SeaweedFsMissing, running_seaweedfs
from tests.staging_server.leak_report.asking import report, run

pytestmark = pytest.mark.services

_LAST = f"spark-upload-{'f' * 8}-ffff-ffff-ffff-{'f' * 12}"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFs]:
    try:
        with running_seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
            yield server
    except SeaweedFsMissing as error:
        missing(str(error))


@pytest.fixture
def bucket(s3: SeaweedFs, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a new bucket, which the environment has the keys for."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:  # noqa: TID251 - nothing is found by chance
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": s3.url, "AWS_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": s3.access_key, "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    name = f"uploads-{uuid4()}"
    s3.client.create_bucket(Bucket=name)
    return name


def put(s3: SeaweedFs, bucket: str, **contents: bytes) -> None:
    for key, content in contents.items():
        s3.client.put_object(Bucket=bucket, Key=key, Body=content)


def test_what_spark_left_in_a_bucket_is_found_at_any_depth_and_nothing_else(s3: SeaweedFs, bucket: str) -> None:
    first, second = f"spark-upload-{uuid4()}", f"spark-upload-{uuid4()}"
    put(s3, bucket, **{
        f"up/{first}/app.jar": b"12345", f"up/{first}/conf/a b.xml": b"1", f"up/2026/10/{second}/app.jar": b"12345",
        f"up/{_LAST}": b"a file of that name", "up/data.parquet": b"data", f"other/{second}/x": b"not below it",
    })  # fmt: skip

    found = report(f"s3a://{bucket}/up/")

    assert found["complete"]
    assert {(one["path"].rpartition("/")[2], one["files"], one["bytes"]) for one in found["largest"]} == {
        (first, 2, 6), (second, 1, 5),
    }  # fmt: skip
    assert found["equal"]["files"] == 1, "the two jars have the same content"
    assert {one["path"] for one in found["largest"]} == {
        f"s3://{bucket}/up/{first}", f"s3://{bucket}/up/2026/10/{second}",
    }  # fmt: skip


def test_a_listing_of_more_than_a_page_is_whole(s3: SeaweedFs, bucket: str) -> None:
    names = [f"spark-upload-{uuid4()}" for _ in range(350)]
    put(s3, bucket, **{f"{name}/{file}": b"" for name in names for file in "abc"})
    problems = Problems()
    with open_store(f"s3://{bucket}") as store:
        folders = list(store.folders(problems))
        assert sorted(folder.path for folder in folders) == sorted(names)
        assert [file.name for file in store.files(folders[0], problems)] == ["a", "b", "c"]
    assert problems.count == 0


def test_the_command_to_delete_is_for_the_bucket_and_only_below_the_folder(s3: SeaweedFs, bucket: str) -> None:
    put(s3, bucket, **{f"up/{_LAST}/app.jar": b"1"})
    with open_bucket(f"s3a://{bucket}/up") as store:
        assert store.deletes.endswith("aws s3 rm --recursive {}/")
        assert store.shown(_LAST) == f"s3://{bucket}/up/{_LAST}"


def test_a_bucket_that_is_not_there_is_told(bucket: str) -> None:
    done = run(f"s3a://no-{bucket}/up")
    assert (done.exit_code, "is not there" in done.stderr) == (40, True)


def test_who_may_not_ask_is_told(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    done = run(f"s3a://{bucket}/up")
    assert (done.exit_code, "may not be read: S3 says SignatureDoesNotMatch" in done.stderr) == (41, True)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    done = run(f"s3a://{bucket}/up")
    assert (done.exit_code, "no credentials are found" in done.stderr) == (41, True)


def test_a_store_that_does_not_answer_is_told(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    done = run(f"s3a://{bucket}/up")
    assert (done.exit_code, "127.0.0.1:1" in done.stderr) == (44, True)


def test_a_place_without_a_bucket_is_refused() -> None:
    done = run("s3a:///up")
    assert (done.exit_code, "names no bucket" in done.stderr) == (2, True)
