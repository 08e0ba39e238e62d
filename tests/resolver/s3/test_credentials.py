"""Who asks: every way to say it, right and wrong, directly and behind TLS and proxies, against a real service."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest
import trustme

from resolver.sources.s3.source import S3Source
from staging_io.http import HttpSettings
from staging_protocol.errors import (
    Denied,
    InvalidRequest,
    PeerNotTrusted,
    RefusedByPolicy,
    StagingError,
    Unauthenticated,
)
from staging_protocol.sources import S3Bucket, S3Sources
from staging_protocol.uris import DependencyUri
from tests.conftest import missing
from tests.contracts.source import CONTENT, read
from tests.resolver.s3.conftest import BUCKET
from tests.resolver.s3.fake_aws import FakeAws, Reply, error
from tests.resolver.s3.served import HASTY, reached, way_out, write_key
from tests.services.connect_proxy import connect_proxy
from tests.services.nginx import Nginx, NginxMissing, NginxTls, running_nginx
from tests.services.seaweedfs import READABLE, SeaweedFs

pytestmark = pytest.mark.services

WAYS: Final = ["environment", "profile", "credentials", "access key"]
URI: Final = DependencyUri.parse(f"s3a://{BUCKET}/who/a.jar")
READABLE_URI: Final = DependencyUri.parse(f"s3a://{READABLE}-bucket/a.jar")
AUTHORITY: Final = trustme.CA()


@pytest.fixture(scope="module")
def stored(s3: SeaweedFs) -> SeaweedFs:
    s3.client.create_bucket(Bucket=READABLE_URI.authority)
    for uri in (URI, READABLE_URI):
        s3.client.put_object(Bucket=uri.authority, Key=uri.path[1:], Body=CONTENT)
    return s3


@pytest.fixture(scope="module")
def secure(s3: SeaweedFs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """The service behind TLS."""
    folder = tmp_path_factory.mktemp("secure")
    pair = AUTHORITY.issue_cert("s3.test", "127.0.0.1")
    pair.private_key_pem.write_to_path(folder / "key.pem")
    for number, part in enumerate(pair.cert_chain_pems):
        part.write_to_path(folder / "cert.pem", append=number > 0)
    # The host is signed.
    locations = f"location / {{ proxy_pass {s3.url}; proxy_set_header Host $http_host; }}"
    try:
        with running_nginx(
            folder, locations=locations, tls=NginxTls(folder / "cert.pem", folder / "key.pem")
        ) as server:
            yield server
    except NginxMissing as problem:
        missing(str(problem))


class Saying:
    """Says who asks, in one of `WAYS`."""

    def __init__(self, way: str, secrets: Path, environment: pytest.MonkeyPatch) -> None:
        self.way, self.secrets, self.environment = way, secrets, environment

    def __call__(self, url: str, *, key: str, secret: str) -> S3Sources:
        named = f"aws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
        self.secrets.mkdir(exist_ok=True)
        anybody = reached(url, key=None)
        match self.way:
            case "environment":
                self.environment.setenv("AWS_ACCESS_KEY_ID", key)
                self.environment.setenv("AWS_SECRET_ACCESS_KEY", secret)
                return anybody
            case "profile":
                (self.secrets / "config").write_text(f"[profile jobs]\n{named}")
                self.environment.setenv("AWS_CONFIG_FILE", str(self.secrets / "config"))
                return msgspec.structs.replace(anybody, profile="jobs")
            case "credentials":
                # What a file of the settings says counts for more than the environment.
                self.environment.setenv("AWS_ACCESS_KEY_ID", "somebody")
                self.environment.setenv("AWS_SECRET_ACCESS_KEY", "else")
                (self.secrets / "credentials").write_text(f"[default]\n{named}")
                return msgspec.structs.replace(anybody, credentials="credentials")
            case _:
                return reached(url, key=write_key(self.secrets, key=key, secret=secret))


@pytest.fixture(params=WAYS)
def saying(request: pytest.FixtureRequest, secrets: Path, environment: pytest.MonkeyPatch) -> Saying:
    return Saying(request.param, secrets, environment)


def outcome(
    s3: S3Sources, secrets: Path, *, uri: DependencyUri = URI, http: HttpSettings = HASTY
) -> bytes | StagingError:
    """Return what is read, or the error; both ways to ask have to agree."""
    with way_out(s3, secrets=secrets, http=http) as outside:
        source = S3Source(outside)
        try:
            found = read(source, uri)
        except StagingError as problem:
            with pytest.raises(type(problem)):
                source.stat(uri)
            return problem
        assert source.stat(uri).size == len(found)
        return found


def test_the_right_key_opens(stored: SeaweedFs, saying: Saying, secrets: Path) -> None:
    assert outcome(saying(stored.url, key=stored.access_key, secret=stored.secret_key), secrets) == CONTENT


def test_a_wrong_secret_is_told_with_the_key_and_where_it_was_found(
    stored: SeaweedFs, saying: Saying, secrets: Path
) -> None:
    problem = outcome(saying(stored.url, key=stored.access_key, secret="wrong-secret"), secrets)
    assert isinstance(problem, Unauthenticated)
    assert "SignatureDoesNotMatch" in problem.detail
    assert "test…-all" in problem.detail
    where = {"environment": "the environment", "profile": "profile jobs", "credentials": "profile default in",
             "access key": "s3/id"}  # fmt: skip
    assert where[saying.way] in problem.detail
    assert "wrong-secret" not in problem.detail


def test_an_unknown_key_is_told(stored: SeaweedFs, saying: Saying, secrets: Path) -> None:
    problem = outcome(saying(stored.url, key="unknown-key-of-no-one", secret="x"), secrets)
    assert isinstance(problem, Unauthenticated)
    assert "InvalidAccessKeyId" in problem.detail


def test_a_key_for_one_bucket_does_not_open_another(stored: SeaweedFs, saying: Saying, secrets: Path) -> None:
    settings = saying(stored.url, key=stored.reader_key, secret=stored.reader_secret)
    assert outcome(settings, secrets, uri=READABLE_URI) == CONTENT
    problem = outcome(settings, secrets)
    assert isinstance(problem, Denied)
    assert "test…read" in problem.detail


@pytest.mark.parametrize("by_proxy", [False, True], ids=["direct", "by a proxy"])
@pytest.mark.parametrize("trusted", [False, True], ids=["unknown authority", "own authority"])
@pytest.mark.parametrize("right", [False, True], ids=["wrong secret", "right secret"])
@pytest.mark.parametrize("way", ["environment", "access key"])
def test_the_same_behind_tls_and_proxies(
    stored: SeaweedFs, secure: Nginx, secrets: Path, environment: pytest.MonkeyPatch, way: str,
    *, right: bool, trusted: bool, by_proxy: bool,
) -> None:  # fmt: skip
    secrets.mkdir()
    (AUTHORITY if trusted else trustme.CA()).cert_pem.write_to_path(secrets / "ca.pem")
    url = f"https://{'s3.test' if by_proxy else '127.0.0.1'}:{secure.port}"
    settings = Saying(way, secrets, environment)(
        url, key=stored.access_key, secret=stored.secret_key if right else "wrong"
    )  # fmt: skip
    with connect_proxy({"s3.test": secure.port}) as proxy:
        http = msgspec.structs.replace(
            HASTY, ca_file=str(secrets / "ca.pem"), proxies={"https": proxy.url} if by_proxy else {}
        )
        found = outcome(settings, secrets, http=http)
        assert bool(proxy.asked) is by_proxy
    expected = (bytes if right else Unauthenticated) if trusted else PeerNotTrusted
    assert isinstance(found, expected)


# --- nobody


def test_nothing_found_says_what_to_do(stored: SeaweedFs, secrets: Path) -> None:
    problem = outcome(reached(stored.url, key=None), secrets)
    assert isinstance(problem, Unauthenticated)
    assert "sources.json" in problem.detail


@pytest.mark.parametrize(
    "settings",
    [S3Sources(profile="nowhere"), S3Sources(credentials="nowhere"), S3Sources(access_key=reached("").access_key)],
    ids=["profile", "credentials", "access key"],
)
def test_what_is_configured_and_not_there_is_told(stored: SeaweedFs, secrets: Path, settings: S3Sources) -> None:
    named = msgspec.structs.replace(settings, endpoint=stored.url, region="us-east-1")
    assert isinstance(outcome(named, secrets), InvalidRequest | Unauthenticated)
    with way_out(named, secrets=secrets) as outside:
        assert S3Source(outside).identity(URI).startswith("nobody: ")


def test_a_credentials_file_without_keys_is_not_made_up_for_by_a_machine(stored: SeaweedFs, secrets: Path) -> None:
    secrets.mkdir()
    (secrets / "credentials").write_text("[default]\nregion = x\n")
    with pytest.MonkeyPatch.context() as environment, FakeAws() as machine:
        environment.setenv("AWS_EC2_METADATA_DISABLED", "false")
        environment.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", machine.url)
        environment.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{machine.url}/container")
        named = msgspec.structs.replace(reached(stored.url, key=None), credentials="credentials")
        assert isinstance(outcome(named, secrets), Unauthenticated)
        anonymous = S3Sources(endpoint=stored.url, anonymous=True)
        assert isinstance(outcome(anonymous, secrets), Denied)
        assert machine.asked == []


def test_a_public_bucket_needs_nobody(stored: SeaweedFs, secrets: Path) -> None:
    stored.client.create_bucket(Bucket="public-bucket")
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:ListBucket"],
             "Resource": ["arn:aws:s3:::public-bucket", "arn:aws:s3:::public-bucket/*"]}
        ],
    }  # fmt: skip
    stored.client.put_bucket_policy(Bucket="public-bucket", Policy=msgspec.json.encode(policy).decode())
    stored.client.put_object(Bucket="public-bucket", Key="a.jar", Body=CONTENT)
    nobody = msgspec.structs.replace(reached(stored.url, key=None), buckets={"public-bucket": S3Bucket(anonymous=True)})
    assert outcome(nobody, secrets, uri=DependencyUri.parse("s3a://public-bucket/a.jar")) == CONTENT
    with way_out(nobody) as outside:
        assert S3Source(outside).identity(DependencyUri.parse("s3a://public-bucket/a.jar")) == "anonymous"
        assert "nobody: no credentials" in S3Source(outside).identity(URI)


# --- keys that are replaced


def test_files_that_are_replaced_count_from_the_next_request_on(stored: SeaweedFs, secrets: Path) -> None:
    key = write_key(secrets, key=stored.access_key, secret="not-yet")
    with way_out(reached(stored.url, key=key), secrets=secrets) as outside:
        source = S3Source(outside)
        with pytest.raises(Unauthenticated):
            read(source, URI)
        write_key(secrets, key=stored.access_key, secret=stored.secret_key)
        assert read(source, URI) == CONTENT


def test_a_credentials_file_that_is_replaced_counts_from_the_next_request_on(stored: SeaweedFs, secrets: Path) -> None:
    secrets.mkdir()
    form = "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n"
    (secrets / "credentials").write_text(form.format(stored.access_key, "not-yet"))
    settings = msgspec.structs.replace(reached(stored.url, key=None), credentials="credentials")
    with way_out(settings, secrets=secrets) as outside:
        source = S3Source(outside)
        with pytest.raises(Unauthenticated):
            read(source, URI)
        (secrets / "new").write_text(form.format(stored.access_key, stored.secret_key))
        (secrets / "new").rename(secrets / "credentials")
        assert read(source, URI) == CONTENT


def test_a_session_that_ended_is_looked_for_anew_once(secrets: Path) -> None:
    with FakeAws() as fake:
        key = write_key(secrets, key="ASIAOLDOLDOLDOLDOLD1", secret="x", token="old-token")
        with way_out(reached(fake.url, key=key), secrets=secrets) as outside:
            source = S3Source(outside)
            fake.answers = [error("ExpiredToken", status=400)]
            with pytest.raises(Unauthenticated, match="ExpiredToken"):
                read(source, URI)
            assert len(fake.asked) == 1
            assert fake.asked[0].headers["x-amz-security-token"] == "old-token"

            fake.before_answer = lambda: write_key(secrets, key="ASIANEWNEWNEWNEWNEW1", secret="x", token="new-token")
            fake.answers = [error("ExpiredToken", status=400), Reply(200, CONTENT)]
            assert read(source, URI) == CONTENT
            assert [one.key for one in fake.asked[1:]] == ["ASIAOLDOLDOLDOLDOLD1", "ASIANEWNEWNEWNEWNEW1"]


def test_a_session_token_does_not_travel_in_clear_text(secrets: Path) -> None:
    key = write_key(secrets, key="ASIAOLDOLDOLDOLDOLD1", secret="x", token="a-token")
    with FakeAws() as fake, connect_proxy({"s3.test": fake.port}) as proxy:
        http = msgspec.structs.replace(HASTY, proxies={"http": proxy.url})
        fake.answers = [Reply(200, CONTENT)]
        with way_out(reached("http://s3.test", key=key), secrets=secrets, http=http) as outside:
            with pytest.raises(RefusedByPolicy, match="clear text"):
                read(S3Source(outside), URI)
            assert fake.asked == []
            settings = msgspec.structs.replace(outside.settings, allow_plain_http=True)
            assert read(S3Source(msgspec.structs.replace(outside, settings=settings)), URI) == CONTENT
