"""Keys that AWS's chain finds elsewhere: by web identity, of a container, of a machine; asked for once, renewed."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import trustme

from resolver.sources.s3.chain import Chain
from resolver.sources.s3.source import S3Source
from staging_io.http import HttpSettings
from staging_protocol.errors import PeerNotTrusted, SourceUnavailable, StagingError, Unauthenticated
from staging_protocol.sources import S3Sources
from staging_protocol.uris import DependencyUri
from tests.contracts.source import CONTENT, read
from tests.resolver.s3.fake_aws import CONTAINER_TOKEN, ROLE, WEB_TOKEN, FakeAws, Reply, error
from tests.resolver.s3.served import HASTY, reached, way_out
from tests.services.connect_proxy import ConnectProxy, connect_proxy

URI = DependencyUri.parse("s3a://bucket/a.jar")
AUTHORITY = trustme.CA()
STS = "sts.eu-west-1.amazonaws.com"


@pytest.fixture
def fake() -> Iterator[FakeAws]:
    with FakeAws() as running:
        yield running


def found_by(fake: FakeAws, *, of: S3Sources | None = None) -> str | None:
    """Return the id of the key that signs a request."""
    fake.answers = [Reply(200, CONTENT)]
    with way_out(of or reached(fake.url, key=None)) as outside:
        read(S3Source(outside), URI)
    return fake.of_s3()[-1].key


# --- containers and machines


@pytest.fixture
def container(fake: FakeAws, environment: pytest.MonkeyPatch, tmp_path: Path) -> FakeAws:
    """A container as EKS Pod Identity makes one."""
    (tmp_path / "token").write_text(CONTAINER_TOKEN)
    environment.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{fake.url}/container")
    environment.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    # botocore waits for a second after each of its three tries.
    environment.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    return fake


@pytest.fixture
def machine(fake: FakeAws, environment: pytest.MonkeyPatch) -> FakeAws:
    """A machine with a role."""
    environment.setenv("AWS_EC2_METADATA_DISABLED", "false")
    environment.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", fake.url)
    return fake


def test_a_container_has_keys(container: FakeAws) -> None:
    assert found_by(container) == container.key
    assert container.of_s3()[0].headers["x-amz-security-token"] == "a-session-token"


def test_a_machine_has_keys(machine: FakeAws) -> None:
    assert found_by(machine) == machine.key
    assert [one.method for one in machine.asked] == ["PUT", "GET", "GET", "GET"]


@pytest.mark.parametrize(("which", "said"), [("container", "the container's role"), ("machine", "the machine's role")])
def test_it_is_told_whose_keys_they_are(request: pytest.FixtureRequest, which: str, said: str) -> None:
    fake: FakeAws = request.getfixturevalue(which)
    with way_out(reached(fake.url, key=None)) as outside:
        assert S3Source(outside).identity(URI) == f"access key ASIA…TEST of {said}"
    assert fake.of_s3() == []


def test_keys_that_soon_end_are_renewed(container: FakeAws) -> None:
    container.lifetime = timedelta(seconds=60)
    chain = Chain(HttpSettings())
    chain.current()
    container.key = "ASIANEWNEWNEWNEWNEW1"
    found = chain.current()
    assert found.id == "ASIANEWNEWNEWNEWNEW1"


def test_keys_that_s3_does_not_take_are_looked_for_anew_once(container: FakeAws) -> None:
    with way_out(reached(container.url, key=None)) as outside:
        source = S3Source(outside)
        container.answers = [Reply(200, CONTENT), *[error("ExpiredToken", status=400)] * 2, Reply(200, CONTENT)]
        read(source, URI)
        with pytest.raises(Unauthenticated, match="the container's role"):
            read(source, URI)
        container.key = "ASIANEWNEWNEWNEWNEW1"
        container.answers = [error("InvalidToken", status=400), Reply(200, CONTENT)]
        with pytest.raises(Unauthenticated):
            read(source, URI)  # the same key was refused before; whoever gives keys is not asked each time
        assert sum(one.path == "/container" for one in container.asked) == 2


def test_many_threads_ask_once(container: FakeAws) -> None:
    chain = Chain(HttpSettings())
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(lambda _: chain.current().id, range(32)))
    assert keys == {container.key}
    assert len(container.asked) == 1


class Gate:
    """A lock that tells how many have come to it."""

    def __init__(self) -> None:
        self._lock, self._count, self.came = threading.Lock(), threading.Lock(), 0

    def __enter__(self) -> None:
        with self._count:
            self.came += 1
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_threads_that_waited_share_a_failure(container: FakeAws, environment: pytest.MonkeyPatch) -> None:
    container.refusals = [Reply(500, b"{}")] * 100
    chain, gate = Chain(HttpSettings()), Gate()
    environment.setattr(chain, "_lock", gate)
    with ThreadPoolExecutor(8) as threads:
        with gate:
            asking = [threads.submit(chain.current) for _ in range(8)]
            deadline = time.monotonic() + 20
            while gate.came < 9:
                assert time.monotonic() < deadline
                time.sleep(0.001)
        for one in asking:
            with pytest.raises(SourceUnavailable):
                one.result()
    assert len(container.asked) == 3  # as often as botocore itself tries


def test_a_container_that_gives_no_keys_now_may_give_some_later(container: FakeAws) -> None:
    container.refusals = [Reply(500, b"{}")] * 10
    with pytest.raises(SourceUnavailable):
        found_by(container)
    container.refusals = []
    assert found_by(container) == container.key


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"AccessKeyId": 1}', b"<html>", b'{"AccessKeyId": "a"'])
def test_what_is_no_key_is_none(container: FakeAws, body: bytes) -> None:
    container.refusals = [Reply(200, body)] * 10
    with pytest.raises(StagingError):
        found_by(container)


def test_a_machine_without_a_role_is_asked_once(machine: FakeAws) -> None:
    machine.refusals = [Reply(404)] * 100
    with way_out(reached(machine.url, key=None)) as outside:
        source = S3Source(outside)
        with pytest.raises(Unauthenticated, match="no credentials"):
            read(source, URI)
        asked = len(machine.asked)
        with pytest.raises(Unauthenticated, match="no credentials"):
            read(source, URI)
        assert len(machine.asked) == asked


# --- web identity, as clusters give it


class Cluster:
    """AWS behind a proxy, and a pod with a token."""

    def __init__(self, aws: FakeAws, proxy: ConnectProxy, http: HttpSettings) -> None:
        self.aws, self.proxy, self.http = aws, proxy, http
        self.sources = S3Sources()


@pytest.fixture
def cluster(environment: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "token").write_text(WEB_TOKEN)
    AUTHORITY.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name, value in {
        "AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), "AWS_REGION": "eu-west-1",
    }.items():  # fmt: skip
        environment.setenv(name, value)
    hosts = [STS, "bucket.s3.eu-west-1.amazonaws.com"]
    with ExitStack() as stack:
        aws = stack.enter_context(FakeAws(AUTHORITY, *hosts))
        proxy = stack.enter_context(connect_proxy(dict.fromkeys(hosts, aws.port)))
        http = msgspec.structs.replace(HASTY, ca_file=str(tmp_path / "ca.pem"), proxies={"https": proxy.url})
        yield Cluster(aws, proxy, http)


def test_a_role_is_assumed_by_web_identity_over_our_proxy_and_authorities(cluster: Cluster) -> None:
    cluster.aws.answers = [Reply(200, CONTENT)]
    with way_out(S3Sources(), http=cluster.http) as outside:
        source = S3Source(outside)
        assert read(source, URI) == CONTENT
        assert source.identity(URI) == f"access key ASIA…TEST of {ROLE}, by web identity"
    sts, s3 = cluster.aws.asked
    assert (sts.host, s3.host) == (STS, "bucket.s3.eu-west-1.amazonaws.com")
    assert (s3.key, s3.region) == (cluster.aws.key, "eu-west-1")
    assert {target for _, target in cluster.proxy.asked} == {f"{STS}:443", "bucket.s3.eu-west-1.amazonaws.com:443"}


def test_a_token_that_is_not_accepted_is_told(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("expired")
    with (
        way_out(S3Sources(), http=cluster.http) as outside,
        pytest.raises(Unauthenticated, match="InvalidIdentityToken"),
    ):
        read(S3Source(outside), URI)
    assert len(cluster.aws.asked) == 1


def test_a_token_file_that_is_not_there_is_told(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "token").unlink()
    with way_out(S3Sources(), http=cluster.http) as outside, pytest.raises(Unauthenticated, match="token"):
        read(S3Source(outside), URI)


def test_sts_that_fails_now_may_answer_later(cluster: Cluster) -> None:
    cluster.aws.refusals = [Reply(503, b"<ErrorResponse><Error><Code>X</Code></Error></ErrorResponse>")]
    cluster.aws.answers = [Reply(200, CONTENT)]
    with way_out(S3Sources(), http=cluster.http) as outside:
        source = S3Source(outside)
        with pytest.raises(SourceUnavailable):
            read(source, URI)
        assert len(cluster.aws.asked) == 1  # the engine tries again, not botocore
        assert read(source, URI) == CONTENT


def test_sts_of_an_unknown_authority_is_not_trusted(cluster: Cluster, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    with way_out(S3Sources(), http=cluster.http) as outside, pytest.raises(PeerNotTrusted):
        read(S3Source(outside), URI)
    assert cluster.aws.asked == []


def test_sts_that_does_not_answer_may_answer_later(cluster: Cluster) -> None:
    http = msgspec.structs.replace(cluster.http, proxies={"https": "http://127.0.0.1:9"})
    with way_out(S3Sources(), http=http) as outside, pytest.raises(SourceUnavailable):
        read(S3Source(outside), URI)
