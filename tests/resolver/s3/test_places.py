"""What URIs name, and where AWS and others are asked for it."""

import pytest

from resolver.sources.s3.buckets import Identity, bucket_of
from resolver.sources.s3.objects import S3Object, object_of, uri_of
from resolver.sources.s3.places import AwsConfig, Place, place_of
from resolver.sources.s3.sessions import config_of, open_session
from staging_io.http import HttpSettings
from staging_protocol.errors import InvalidRequest
from staging_protocol.sources import S3AccessKey, S3Bucket, S3Sources
from staging_protocol.uris import DependencyUri


def place(bucket: str = "b-1", config: AwsConfig | None = None, **settings: object) -> Place:
    sources = S3Sources(**settings)  # type: ignore[arg-type] # what the test says
    return place_of(bucket_of(bucket, settings=sources), config=config or AwsConfig())


def url(found: Place, key: str = "a/b.jar") -> str:
    return found.origin + found.path(S3Object(bucket="", key=key))


# --- URIs


@pytest.mark.parametrize(
    ("uri", "key"),
    [
        ("s3://bucket/a/b.jar", "a/b.jar"), ("s3a://bucket/a%20b%2B", "a b+"), ("s3n://bucket/a+b.jar", "a+b.jar"),
        ("s3://bucket//a//b/", "/a//b/"), ("s3://bucket/a/../b", "a/../b"), ("s3://bucket/%252F", "%2F"),
        ("s3://bucket/a%20", "a "), ("s3://bucket/gr%C3%B6%C3%9Fe", "größe"), ("s3://bucket/100%.txt", "100%.txt"),
    ],
)  # fmt: skip
def test_a_key_is_the_path_decoded_once(uri: str, key: str) -> None:
    assert object_of(DependencyUri.parse(uri)) == S3Object(bucket="bucket", key=key)


def test_a_version_may_be_named() -> None:
    uri = DependencyUri.parse("s3a://bucket/a.jar?versionId=3sL4kqtJlcpXroDTDmJ%2BrmSpXd3dIbrHY")
    assert object_of(uri).query == {"versionId": "3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY"}


@pytest.mark.parametrize(
    "uri",
    ["s3:///a.jar", "s3://x/a.jar", "s3://b_/a.jar", "s3://bucket/a.jar?partNumber=1", "s3://bucket/a.jar?",
     "s3://bucket/%ff", "s3://user--use1-az4--x-s3/a.jar", "s3://bucket:80/a.jar"],
)  # fmt: skip
def test_what_names_no_object_is_refused(uri: str) -> None:
    with pytest.raises(InvalidRequest):
        object_of(DependencyUri.parse(uri))


def test_keys_in_uris_are_refused_without_being_shown() -> None:
    with pytest.raises(InvalidRequest) as caught:
        object_of(DependencyUri.parse("s3n://AKIAEXAMPLE:very-secret@bucket/a.jar"))
    assert "secret" not in caught.value.detail


@pytest.mark.parametrize("key", ["a b.jar", "a*?[]{}#.jar", "../x", "a\nb", "//a", "größe", "100%25", " "])
def test_the_uri_of_a_listed_key_names_it(key: str) -> None:
    like = DependencyUri.parse("s3a://bucket/x")
    assert object_of(uri_of(key, like=like)).key == key


# --- places


@pytest.mark.parametrize(
    ("bucket", "config", "expected"),
    [
        ("b-1", AwsConfig(), "https://b-1.s3.us-east-1.amazonaws.com/a/b.jar"),
        ("b-1", AwsConfig(region="eu-west-1"), "https://b-1.s3.eu-west-1.amazonaws.com/a/b.jar"),
        ("b.1", AwsConfig(), "https://s3.us-east-1.amazonaws.com/b.1/a/b.jar"),
        ("Old_B", AwsConfig(), "https://s3.us-east-1.amazonaws.com/Old_B/a/b.jar"),
        ("b-1", AwsConfig(addressing_style="path"), "https://s3.us-east-1.amazonaws.com/b-1/a/b.jar"),
        ("b-1", AwsConfig(dual_stack=True), "https://b-1.s3.dualstack.us-east-1.amazonaws.com/a/b.jar"),
        ("b-1", AwsConfig(fips=True), "https://b-1.s3-fips.us-east-1.amazonaws.com/a/b.jar"),
        ("b-1", AwsConfig(fips=True, dual_stack=True), "https://b-1.s3-fips.dualstack.us-east-1.amazonaws.com/a/b.jar"),
        ("b-1", AwsConfig(endpoint="https://s3.corp:9000/"), "https://s3.corp:9000/b-1/a/b.jar"),
        ("b-1", AwsConfig(endpoint="https://S3.corp:443"), "https://s3.corp/b-1/a/b.jar"),
        ("b-1", AwsConfig(endpoint="http://s3.corp:80"), "http://s3.corp/b-1/a/b.jar"),
        ("b-1", AwsConfig(endpoint="http://[::1]:9000"), "http://[::1]:9000/b-1/a/b.jar"),
        ("b-1", AwsConfig(endpoint="https://s3.corp", addressing_style="virtual"), "https://b-1.s3.corp/a/b.jar"),
    ],
)  # fmt: skip
def test_where_a_bucket_is_asked(bucket: str, config: AwsConfig, expected: str) -> None:
    assert url(place(bucket, config)) == expected


def test_settings_count_for_more_than_what_aws_files_say() -> None:
    config = AwsConfig(endpoint="https://other", region="eu-west-1", addressing_style="virtual")
    found = place("b-1", config, endpoint="https://s3.corp/store", region="eu-north-1")
    assert (url(found), found.region) == ("https://s3.corp/store/b-1/a/b.jar", "eu-north-1")
    assert url(place("b-1", config, endpoint="https://s3.corp", path_style=False)) == "https://b-1.s3.corp/a/b.jar"


def test_a_key_does_not_lead_out_of_a_bucket_that_is_in_the_path() -> None:
    in_path, in_host = place("b-1", endpoint="https://s3.corp"), place("b-1")
    for key in ("../other/a.jar", "a/../../other/a.jar", "./..", "a//../../../x"):
        with pytest.raises(InvalidRequest, match="leads out of the bucket"):
            url(in_path, key)
        assert url(in_host, key).endswith(f"/{key}")
    assert url(in_path, "a/../b").endswith("/b-1/a/../b")


@pytest.mark.parametrize(
    ("location", "origin"),
    [
        ("https://b-1.s3-us-west-2.amazonaws.com/a", "https://b-1.s3-us-west-2.amazonaws.com"),
        ("https://b-1.s3.amazonaws.com.evil.example/a", None), ("http://b-1.s3-us-west-2.amazonaws.com/a", None),
        ("https://evilamazonaws.com/", None), ("https://user@evil.example/", None), ("https://[", None),
        ("https://b-1.s3.amazonaws.com:8443/", None), ("/a", None), ("https://x.execute-api.amazonaws.com/", None),
    ],
)  # fmt: skip
def test_only_aws_redirects_and_only_to_itself(location: str, origin: str | None) -> None:
    found = place().redirected(location)
    assert (found and found.origin) == origin
    assert place(endpoint="https://s3.corp").redirected(location) is None


# --- what AWS's own files and variables say


def read_config(monkeypatch: pytest.MonkeyPatch, **variables: str) -> AwsConfig:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return config_of(open_session(HttpSettings(), profile=None, credentials=None))


@pytest.mark.parametrize(
    ("region", "suffix"),
    [("us-gov-west-1", "amazonaws.com"), ("cn-north-1", "amazonaws.com.cn"), ("eu-west-3", "amazonaws.com"),
     ("mars-north-1", "amazonaws.com"), ("us-iso-east-1", "c2s.ic.gov")],
)  # fmt: skip
def test_each_partition_has_its_own_host_names(monkeypatch: pytest.MonkeyPatch, region: str, suffix: str) -> None:
    config = read_config(monkeypatch, AWS_REGION=region)
    assert place("b-1", config).origin == f"https://b-1.s3.{region}.{suffix}"


def test_both_variables_name_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_config(monkeypatch, AWS_DEFAULT_REGION="eu-west-1").region == "eu-west-1"
    assert read_config(monkeypatch, AWS_REGION="eu-west-2").region == "eu-west-2"


def test_variables_for_endpoints_count(monkeypatch: pytest.MonkeyPatch) -> None:
    config = read_config(monkeypatch, AWS_USE_DUALSTACK_ENDPOINT="true", AWS_USE_FIPS_ENDPOINT="true")
    assert (config.dual_stack, config.fips, config.endpoint) == (True, True, None)
    assert read_config(monkeypatch, AWS_ENDPOINT_URL="https://all").endpoint == "https://all"
    assert read_config(monkeypatch, AWS_ENDPOINT_URL_S3="https://s3").endpoint == "https://s3"
    assert read_config(monkeypatch, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS="true").endpoint is None


CONFIG = """
[default]
region = eu-central-1
services = mine
endpoint_url = https://all.corp
s3 =
  addressing_style = virtual
  use_dualstack_endpoint = true
[services mine]
s3 =
  endpoint_url = https://s3.corp
[profile fast]
s3 =
  use_accelerate_endpoint = true
"""


def test_the_config_file_counts(monkeypatch: pytest.MonkeyPatch, secrets: object) -> None:
    from pathlib import Path

    file = Path(str(secrets)) / "config"
    file.parent.mkdir()
    file.write_text(CONFIG)
    config = read_config(monkeypatch, AWS_CONFIG_FILE=str(file))
    assert (config.region, config.endpoint, config.addressing_style) == ("eu-central-1", "https://s3.corp", "virtual")
    assert config.dual_stack
    assert read_config(monkeypatch, AWS_ENDPOINT_URL="https://all").endpoint == "https://all"
    with pytest.raises(InvalidRequest, match="acceleration"):
        read_config(monkeypatch, AWS_PROFILE="fast")


# --- settings of buckets


def test_an_identity_comes_from_one_section_as_a_whole() -> None:
    key = S3AccessKey(id="s/id", secret="s/key")
    settings = S3Sources(anonymous=True, region="eu-west-1", buckets={"own": S3Bucket(access_key=key)})
    assert bucket_of("other", settings=settings).identity == Identity(anonymous=True)
    own = bucket_of("own", settings=settings)
    assert (own.identity, own.region) == (Identity(access_key=key), "eu-west-1")
    again = S3Sources(access_key=key, buckets={"public": S3Bucket(anonymous=True), "chain": S3Bucket(anonymous=False)})
    assert bucket_of("public", settings=again).identity == Identity(anonymous=True)
    assert bucket_of("chain", settings=again).identity == Identity()


def test_two_identities_at_once_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="two identities"):
        bucket_of("b", settings=S3Sources(anonymous=True, profile="p"))
