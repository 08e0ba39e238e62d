"""What S3 says instead of an object: regions, redirects, refusals; AWS's own hosts are played behind a proxy."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
import trustme

from resolver.sources.s3.source import S3Source
from staging_protocol.errors import (
    Denied,
    InvalidRequest,
    NotFound,
    RangeNotSatisfiable,
    SourceChanged,
    SourceUnavailable,
    StagingError,
    TooManyRequests,
    Unauthenticated,
)
from staging_protocol.sources import S3Sources
from staging_protocol.uris import DependencyUri
from tests.contracts.source import CONTENT, read
from tests.resolver.s3.fake_aws import FakeAws, Reply, error
from tests.resolver.s3.served import HASTY, way_out, write_key
from tests.services.connect_proxy import ConnectProxy, connect_proxy

URI = DependencyUri.parse("s3a://bucket/a.jar")
KEY = "AKIATESTTESTTESTTEST"
FOUND = Reply(200, CONTENT, {"ETag": '"1"'})
HOSTS = [
    "bucket.s3.us-east-1.amazonaws.com", "bucket.s3.eu-west-1.amazonaws.com", "bucket.s3-eu-west-1.amazonaws.com",
    "bucket.s3.cn-north-1.amazonaws.com.cn",
]  # fmt: skip


@pytest.fixture
def fake() -> Iterator[FakeAws]:
    with FakeAws() as running:
        yield running


@pytest.fixture
def source(fake: FakeAws, secrets: Path) -> Iterator[S3Source]:
    """A source for a service at an endpoint of its own."""
    key = write_key(secrets, key=KEY, secret="a-secret-key")
    with way_out(S3Sources(endpoint=fake.url, region="us-east-1", access_key=key), secrets=secrets) as outside:
        yield S3Source(outside)


class Aws:
    """AWS as it is reached by a proxy, and a source for it."""

    def __init__(self, fake: FakeAws, proxy: ConnectProxy, source: S3Source) -> None:
        self.fake, self.proxy, self.source = fake, proxy, source


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def aws(secrets: Path, authority: trustme.CA) -> Iterator[Aws]:
    key = write_key(secrets, key=KEY, secret="a-secret-key")
    authority.cert_pem.write_to_path(secrets / "ca.pem")
    with ExitStack() as stack:
        fake = stack.enter_context(FakeAws(authority, *HOSTS))
        proxy = stack.enter_context(connect_proxy(dict.fromkeys(HOSTS, fake.port)))
        http = msgspec.structs.replace(HASTY, ca_file=str(secrets / "ca.pem"), proxies={"https": proxy.url})
        outside = stack.enter_context(way_out(S3Sources(access_key=key), secrets=secrets, http=http))
        yield Aws(fake, proxy, S3Source(outside))


# --- AWS


def test_a_bucket_is_asked_at_its_region_from_then_on_when_aws_names_it(aws: Aws) -> None:
    aws.fake.answers = [
        error("AuthorizationHeaderMalformed", status=400, Region="eu-west-1"), FOUND, FOUND,
    ]  # fmt: skip
    assert read(aws.source, URI) == read(aws.source, URI) == CONTENT
    assert [(one.host, one.region) for one in aws.fake.asked] == [
        ("bucket.s3.us-east-1.amazonaws.com", "us-east-1"),
        ("bucket.s3.eu-west-1.amazonaws.com", "eu-west-1"),
        ("bucket.s3.eu-west-1.amazonaws.com", "eu-west-1"),
    ]


@pytest.mark.parametrize("status", [301, 307, 400, 403])
def test_the_answer_to_head_names_the_region_in_a_header(aws: Aws, status: int) -> None:
    aws.fake.answers = [Reply(status, b"", {"x-amz-bucket-region": "eu-west-1"}), FOUND]
    assert aws.source.stat(URI).size == len(CONTENT)
    assert [one.method for one in aws.fake.asked] == ["HEAD", "HEAD"]


def test_a_redirect_of_aws_to_itself_is_followed_with_a_signature_of_its_own(aws: Aws) -> None:
    other = {"Location": "https://bucket.s3-eu-west-1.amazonaws.com/a.jar"}
    aws.fake.answers = [error("TemporaryRedirect", status=307, headers=other), FOUND, FOUND]
    assert read(aws.source, URI) == read(aws.source, URI) == CONTENT
    first, second, third = aws.fake.asked
    assert (second.host, third.host) == ("bucket.s3-eu-west-1.amazonaws.com", first.host)
    assert first.headers["authorization"] != second.headers["authorization"]


@pytest.mark.parametrize("location", ["https://evil.example/a.jar", "http://bucket.s3.eu-west-1.amazonaws.com/a.jar"])
def test_a_redirect_to_elsewhere_is_not_followed(aws: Aws, location: str) -> None:
    aws.fake.answers = [error("TemporaryRedirect", status=307, headers={"Location": location}), FOUND]
    with pytest.raises(InvalidRequest):
        read(aws.source, URI)
    assert len(aws.fake.asked) == 1


@pytest.mark.parametrize("region", ["evil.example/", "../x", "EU", "a" * 40, "evil.example:443"])
def test_a_region_that_is_none_becomes_no_part_of_a_host(aws: Aws, region: str) -> None:
    aws.fake.answers = [error("AuthorizationHeaderMalformed", status=400, Region=region), FOUND]
    with pytest.raises(Unauthenticated):
        read(aws.source, URI)
    assert len(aws.fake.asked) == 1


def test_regions_that_lead_in_a_circle_end(aws: Aws) -> None:
    there, back = (error("PermanentRedirect", status=301, Region=name) for name in ("eu-west-1", "us-east-1"))
    aws.fake.answers = [there, back] * 10
    with pytest.raises(InvalidRequest, match="another region"):
        read(aws.source, URI)
    assert len(aws.fake.asked) == 4


def test_china_has_its_own_hosts(aws: Aws, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_REGION", "cn-north-1")
    aws.fake.answers = [FOUND]
    assert read(aws.source, URI) == CONTENT
    assert aws.fake.asked[0].host == "bucket.s3.cn-north-1.amazonaws.com.cn"


def test_another_service_may_name_its_region_too(source: S3Source, fake: FakeAws) -> None:
    fake.answers = [error("AuthorizationHeaderMalformed", status=400, Region="garage"), FOUND]
    assert read(source, URI) == CONTENT
    assert [one.region for one in fake.asked] == ["us-east-1", "garage"]


def test_another_service_does_not_redirect(source: S3Source, fake: FakeAws) -> None:
    fake.answers = [error("TemporaryRedirect", status=307, headers={"Location": f"{fake.url}/bucket/a.jar"}), FOUND]
    with pytest.raises(InvalidRequest):
        read(source, URI)


@pytest.mark.parametrize("by_proxy", [False, True], ids=["direct", "by a proxy"])
@pytest.mark.parametrize("key", ["a/../b.jar", "./a", "a//b", "a/", "a%2Fb", "a b+c", "~'()*!", "ß"])
def test_a_key_is_sent_as_it_was_signed(fake: FakeAws, secrets: Path, key: str, *, by_proxy: bool) -> None:
    fake.answers = [FOUND]
    with connect_proxy({"s3.test": fake.port}) as proxy:
        url = f"http://s3.test:{fake.port}" if by_proxy else fake.url
        http = msgspec.structs.replace(HASTY, proxies={"http": proxy.url} if by_proxy else {})
        with way_out(S3Sources(endpoint=url, anonymous=True), http=http) as outside:
            assert read(S3Source(outside), DependencyUri.parse(f"s3a://bucket/{quote(key)}")) == CONTENT
    # Behind a proxy the dots are encoded, because its client would resolve them.
    assert fake.asked[0].path.replace("%2E", ".") == f"/bucket/{quote(key)}"


# --- refusals


@pytest.mark.parametrize(
    ("reply", "expected", "said"),
    [
        (error("AccessDenied", status=403), Denied, "AKIA…TEST"),
        (error("InvalidAccessKeyId", status=403), Unauthenticated, "AKIA…TEST"),
        (error("SignatureDoesNotMatch", status=403), Unauthenticated, "AKIA…TEST"),
        (error("ExpiredToken", status=400), Unauthenticated, "ExpiredToken"),
        (error("RequestTimeTooSkewed", status=403, ServerTime="2026-01-01T00:00:00Z"), Unauthenticated, "clock"),
        (error("NoSuchKey", status=404), NotFound, "no such object"),
        (error("NoSuchBucket", status=404), NotFound, "no such bucket"),
        (error("NoSuchVersion", status=404), NotFound, "no such version"),
        (error("MethodNotAllowed", status=405), NotFound, "deleted"),
        (error("InvalidObjectState", status=403), InvalidRequest, "restore it first"),
        (error("PreconditionFailed", status=412), SourceChanged, "changed"),
        (error("SlowDown", status=503, headers={"Retry-After": "7"}), TooManyRequests, "slower"),
        (error("InternalError", status=500, headers={"Retry-After": "7"}), SourceUnavailable, "InternalError"),
        (error("RequestTimeout", status=400), SourceUnavailable, "RequestTimeout"),
        (error("SomethingNew", status=400), InvalidRequest, "SomethingNew"),
        (Reply(403), Denied, "AKIA…TEST"), (Reply(404), NotFound, "404"), (Reply(502), SourceUnavailable, "502"),
        (Reply(403, b"<html>proxy</html>"), Denied, "refused"), (Reply(503, b"\xff"), SourceUnavailable, "503"),
        (Reply(404, b'<!DOCTYPE x [<!ENTITY a "b">]><Error><Code>NoSuchKey</Code></Error>'), NotFound, "404"),
        (Reply(403, b"<Error><Code>AccessDenied</Code>" + b"<x>" * 100_000), Denied, "refused"),
    ],
)  # fmt: skip
def test_what_a_refusal_means(
    source: S3Source, fake: FakeAws, reply: Reply, expected: type[StagingError], said: str
) -> None:
    fake.answers = [reply] * 2
    with pytest.raises(expected) as caught:
        read(source, URI)
    assert said in caught.value.detail
    assert "a-secret-key" not in caught.value.detail
    assert caught.value.retry_after == (7.0 if "Retry-After" in reply.headers else None)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (error("NoSuchBucket", status=404), NotFound), (error("NoSuchKey", status=404), NotFound),
        (error("ExpiredToken", status=400), Unauthenticated), (error("AccessDenied", status=403), Denied),
    ],
)  # fmt: skip
def test_a_refused_head_is_explained_by_asking_for_a_byte(
    source: S3Source, fake: FakeAws, reply: Reply, expected: type[StagingError]
) -> None:
    fake.answers = [Reply(reply.status), reply]
    with pytest.raises(expected) as by_head:
        source.stat(URI)
    assert [(one.method, one.headers.get("range")) for one in fake.asked] == [("HEAD", None), ("GET", "bytes=0-0")]
    fake.answers = [reply]
    with pytest.raises(expected) as by_get:
        read(source, URI)
    assert by_head.value.detail == by_get.value.detail


def test_a_head_that_is_refused_where_get_is_not_stays_refused(source: S3Source, fake: FakeAws) -> None:
    fake.answers = [Reply(403), FOUND]
    with pytest.raises(Denied):
        source.stat(URI)


def test_a_service_in_trouble_is_not_asked_for_its_reasons(source: S3Source, fake: FakeAws) -> None:
    fake.answers = [Reply(503)]
    with pytest.raises(SourceUnavailable):
        source.stat(URI)
    assert len(fake.asked) == 1


def test_words_of_a_service_cannot_harm_a_terminal(source: S3Source, fake: FakeAws) -> None:
    fake.answers = [error("AccessDenied", status=403, message="\u202egnp.x" + "y" * 10_000)]
    with pytest.raises(Denied) as caught:
        read(source, URI)
    assert "\\u202e" in caught.value.detail
    assert len(caught.value.detail) < 1000


@pytest.mark.parametrize(
    ("headers", "archived"),
    [
        ({"x-amz-storage-class": "GLACIER"}, True), ({"x-amz-storage-class": "DEEP_ARCHIVE"}, True),
        ({"x-amz-storage-class": "GLACIER", "x-amz-restore": 'ongoing-request="true"'}, True),
        ({"x-amz-storage-class": "GLACIER", "x-amz-restore": 'ongoing-request="false", expiry-date="…"'}, False),
        ({"x-amz-storage-class": "INTELLIGENT_TIERING", "x-amz-archive-status": "ARCHIVE_ACCESS"}, True),
        ({"x-amz-storage-class": "GLACIER_IR"}, False), ({"x-amz-storage-class": "STANDARD_IA"}, False),
    ],
)  # fmt: skip
def test_an_archived_object_is_told_before_its_bytes_are_asked_for(
    source: S3Source, fake: FakeAws, headers: dict[str, str], *, archived: bool
) -> None:
    fake.answers = [
        Reply(200, CONTENT, {"ETag": '"1"', **{name: text.replace("…", "x") for name, text in headers.items()}})
    ]
    if archived:
        with pytest.raises(InvalidRequest, match="restore it first"):
            source.stat(URI)
    else:
        assert source.stat(URI).size == len(CONTENT)


def test_whoever_pays_is_told(fake: FakeAws, secrets: Path) -> None:
    fake.answers = [FOUND]
    s3 = S3Sources(
        endpoint=fake.url, region="us-east-1", requester_pays=True, access_key=write_key(secrets, key=KEY, secret="x")
    )
    with way_out(s3, secrets=secrets) as outside:
        read(S3Source(outside), URI)
    assert fake.asked[0].headers["x-amz-request-payer"] == "requester"
    assert "x-amz-request-payer" in fake.asked[0].headers["authorization"]


def test_an_empty_range_is_not_an_error_where_the_service_says_no_size(source: S3Source, fake: FakeAws) -> None:
    fake.answers = [error("InvalidRange", status=416), Reply(200, b"", {"ETag": '"e"'})]
    with source.read(URI, version=None, start=0, stop=100) as reading:
        assert (reading.stat.size, reading.start, reading.stop) == (0, 0, 0)
        assert reading.read_into(memoryview(bytearray(10))) == 0


def test_a_range_that_is_refused_within_an_object_is_an_error(source: S3Source, fake: FakeAws) -> None:
    fake.answers = [error("InvalidRange", status=416), FOUND]
    with pytest.raises(RangeNotSatisfiable):
        read(source, URI, start=10, stop=20)
