"""Globs and folders of a store become concrete dependencies when a job is submitted or locked."""

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest

from staging_protocol.digests import Digest
from staging_protocol.errors import ExitCode
from staging_protocol.tokens import Token
from tests.conftest import missing
from tests.services.seaweedfs import SeaweedFs, SeaweedFsMissing, running_seaweedfs
from tests.submission.conftest import Command, Server

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFs]:
    try:
        with running_seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as running:
            yield running
    except SeaweedFsMissing as error:
        missing(str(error))


class Bucket:
    """A bucket with some jars and a file deeper down."""

    def __init__(self, store: SeaweedFs) -> None:
        self._client = store.client
        self.name = f"bucket-{uuid4().hex[:12]}"
        self._client.create_bucket(Bucket=self.name)
        for key in ("libs/b.jar", "libs/a.jar", "libs/deeper/c.jar", "libs/readme.txt"):
            self.put(key, key.encode())

    def put(self, key: str, content: bytes) -> None:
        self._client.put_object(Bucket=self.name, Key=key, Body=content)

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self.name, Key=key)

    def uri(self, key: str) -> str:
        return f"s3a://{self.name}/{key}"


@pytest.fixture
def bucket(store: SeaweedFs) -> Bucket:
    return Bucket(store)


@pytest.fixture
def shopper(command: Command, store: SeaweedFs) -> Command:
    """The command with the key of the store."""
    command.file("key/id", store.access_key)
    command.file("key/secret", store.secret_key)
    reached = {
        "endpoint": store.url,
        "path_style": True,
        "region": "us-east-1",
        "access_key": {"id": "key/id", "secret": "key/secret"},
    }
    command.file("sources.json", json.dumps({"s3": reached}))
    command.environment["SPARK_STAGING_SOURCES"] = "sources.json"
    return command


def test_check_lists_what_they_name_and_says_as_whom(shopper: Command, bucket: Bucket, store: SeaweedFs) -> None:
    done = shopper.inside("check", bucket.uri("libs/*.jar"), bucket.uri("libs/deeper/"), "-o", "json")

    assert done.returncode == 0, done.stdout
    found = json.loads(done.stdout)
    assert [(one["uri"], one["size"]) for one in found] == [
        (bucket.uri("libs/a.jar"), 10), (bucket.uri("libs/b.jar"), 10), (bucket.uri("libs/deeper/c.jar"), 17),
    ]  # fmt: skip
    assert all(one["version"]["strong"] for one in found)
    assert all(one["identity"] for one in found)
    assert store.secret_key not in done.stdout


def test_spark_is_told_each_jar_and_the_manifest_its_size(shopper: Command, bucket: Bucket, server: Server) -> None:
    line = ("--into", "pods", "--spark-version", "4.3", "--jars", bucket.uri("libs/*.jar"))

    told = shopper.json("template", *line)
    staged = shopper.json("stage", *line[4:], "--show-token")

    folder = "local:///var/spark-data/spark-jars"
    assert told["properties"]["spark.jars"] == f"{folder}/a.jar,{folder}/b.jar"
    manifest = server.client(Token.parse(staged["token"])).manifest(staged["namespace"], staged["bundle"])
    assert [(entry.uri, entry.size) for entry in manifest.entries] == [
        (bucket.uri("libs/a.jar"), 10), (bucket.uri("libs/b.jar"), 10),
    ]  # fmt: skip


def test_files_of_two_folders_that_collide_are_both_named(shopper: Command, bucket: Bucket) -> None:
    bucket.put("libs/deeper/a.jar", b"another")

    done = shopper.inside("stage", "--jars", f"{bucket.uri('libs/*.jar')},{bucket.uri('libs/deeper/')}")

    assert done.returncode == ExitCode.USAGE
    assert bucket.uri("libs/a.jar") in done.stderr
    assert bucket.uri("libs/deeper/a.jar") in done.stderr


def test_a_glob_without_a_match_and_a_missing_bucket_are_told_together(shopper: Command, bucket: Bucket) -> None:
    done = shopper.inside("stage", "--jars", f"{bucket.uri('none/*.jar')},s3a://no-such-bucket-here/a.jar")

    assert done.returncode == ExitCode.NOT_FOUND
    assert bucket.uri("none/*.jar") in done.stderr
    assert "no-such-bucket-here" in done.stderr


def test_a_locked_folder_is_used_as_it_was_and_each_drift_of_it_refused(
    shopper: Command, bucket: Bucket, server: Server
) -> None:
    jars = ("--jars", bucket.uri("libs/*.jar"))
    locked = shopper.json("lock", *jars)
    assert locked["entries"] == 2
    again = shopper.json("lock", *jars)
    staged = shopper.json("stage", "--frozen", *jars, "--show-token")
    manifest = server.client(Token.parse(staged["token"])).manifest(staged["namespace"], staged["bundle"])

    assert again["read"] == 0, "a listing names another version than a reading"
    assert [entry.digest for entry in manifest.entries] == [Digest.of(b"libs/a.jar"), Digest.of(b"libs/b.jar")]

    bucket.put("libs/c.jar", b"new")
    bucket.delete("libs/a.jar")
    refused, blind = (shopper.inside("stage", "--frozen", *more, *jars) for more in ((), ("--no-check",)))

    assert refused.returncode == ExitCode.REFUSED_BY_POLICY
    assert bucket.uri("libs/c.jar") in refused.stderr
    assert bucket.uri("libs/a.jar") in refused.stderr
    assert blind.returncode == 0, blind.stderr


def test_wrong_credentials_are_told_without_repeating_them(shopper: Command, bucket: Bucket) -> None:
    shopper.file("key/secret", "not-the-secret-of-this-key")

    done = shopper.inside("check", bucket.uri("libs/*.jar"))

    assert done.returncode == ExitCode.DENIED, done.stdout
    assert "not-the-secret" not in done.stdout + done.stderr
