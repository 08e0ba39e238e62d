"""Credentials of S3, GCS and HDFS: good, wrong, missing and expired, with and without the authority, and by a proxy.

Web servers have the same in `test_http_credentials`; what each cloud says besides is in the tests of its source.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa

from resolver.sources.base import Source
from resolver.sources.gcs.source import GcsSource
from resolver.sources.hdfs.source import HdfsSource
from resolver.sources.outside import Outside
from resolver.sources.s3.source import S3Source
from staging_io.http import HttpSettings
from staging_protocol.errors import PeerNotTrusted, StagingError, Unauthenticated
from staging_protocol.sources import GcsSources, HdfsNameservice, HdfsSources
from staging_protocol.uris import DependencyUri
from tests.conftest import missing
from tests.contracts.source import CONTENT, read
from tests.resolver import gcs, hdfs
from tests.resolver.fake_hdfs import Asked, FakeHdfs, Said, throws
from tests.resolver.google import Google, account_file, workload_file
from tests.resolver.s3 import served
from tests.resolver.s3.fake_aws import FakeAws, Reply, error
from tests.services.connect_proxy import ConnectProxy, connect_proxy
from tests.services.fake_gcs import FakeGcs, FakeGcsMissing, running_fake_gcs
from tests.services.tls_front import tls_front

pytestmark = pytest.mark.services

NAME: Final = "store.example"
"""Known to the proxy only."""

AUTHORITY: Final = trustme.CA()
STATES: Final = ("good", "wrong", "missing", "expired")
SECRET: Final = "open-says-me"
"""What no error may repeat."""


@dataclass(frozen=True)
class Cloud:
    """A service behind TLS at `port`, whoever it knows, and how a source with credentials in some state is made."""

    port: int
    scheme: str
    source: Callable[[Outside], Source]
    settings: Callable[[str, str, Path], Any]
    way_out: Callable[..., AbstractContextManager[Outside]]
    told: dict[str, str]
    """What the error says of credentials in a state."""
    asks: tuple[str, ...] = STATES
    """With credentials in these states a question leaves the machine at all."""


# --- S3


class _Aws(FakeAws):
    """Knows one key; another one has ended."""

    def judge(self) -> None:
        match self.asked[-1].key:
            case "AKIAGOODGOODGOODGOOD":
                self.answers = [Reply(200, CONTENT, {"ETag": '"1"'})]
            case "ASIAENDEDENDEDENDED1":
                self.answers = [error("ExpiredToken", status=400)]
            case _:
                self.answers = [error("SignatureDoesNotMatch", status=403)]


_KEYS: Final = {
    "good": ("AKIAGOODGOODGOODGOOD", None), "wrong": ("AKIAWRONGWRONGWRONG1", None),
    "expired": ("ASIAENDEDENDEDENDED1", SECRET),
}  # fmt: skip


def _key_in(url: str, state: str, folder: Path) -> Any:
    if state == "missing":
        return served.reached(url, key=None)
    name, token = _KEYS[state]
    return served.reached(url, key=served.write_key(folder, key=name, secret=SECRET, token=token))


@pytest.fixture(scope="module")
def s3() -> Iterator[Cloud]:
    with _Aws() as aws, tls_front(aws.port, authority=AUTHORITY, names=(NAME, "127.0.0.1")) as port:
        aws.before_answer = aws.judge
        yield Cloud(
            port, "s3a", S3Source, _key_in, served.way_out,
            {"wrong": "SignatureDoesNotMatch", "missing": "s3.access_key", "expired": "ExpiredToken"},
            asks=("good", "wrong", "expired"),
        )  # fmt: skip


# --- Google


def _google_file(url: str, state: str, folder: Path) -> GcsSources:
    path = folder / "key.json"
    match state:
        case "good":
            account_file(path, token_url=f"{url}/token")
        case "wrong":
            unknown = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            account_file(path, token_url=f"{url}/token", key=unknown)
        case "expired":
            workload_file(path, google=url)
            (folder / "subject-token").write_text(SECRET)
        case _:
            return GcsSources(endpoint=url)
    return GcsSources(endpoint=url, credentials="key.json")


def _without_metadata(settings: GcsSources, *, secrets: Path, http: HttpSettings) -> AbstractContextManager[Outside]:
    return gcs.way_out(settings, secrets=secrets, http=http, environment={"NO_GCE_CHECK": "true"})


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    try:
        with running_fake_gcs(tmp_path_factory.mktemp("gcs")) as storage, Google(storage.url) as server:
            yield from _behind_tls(storage, server)
    except FakeGcsMissing as problem:
        missing(str(problem))


def _behind_tls(storage: FakeGcs, server: Google) -> Iterator[Cloud]:
    storage.make_bucket("bucket")
    storage.put("bucket", "a.jar", CONTENT)
    plain = int(server.url.rpartition(":")[2])
    with tls_front(plain, authority=AUTHORITY, names=(NAME, "127.0.0.1")) as port:
        yield Cloud(
            port, "gs", GcsSource, _google_file, _without_metadata,
            {"wrong": "It is not known", "missing": "workload identity", "expired": "The token is expired"},
            asks=("good", "wrong", "expired"),
        )  # fmt: skip


# --- HDFS


class _Hadoop(FakeHdfs):
    """A cluster with Kerberos, which takes one delegation token."""

    def answer_to(self, target: str) -> Said:
        said = super().answer_to(target)
        return said if self.asked[-1].operation == "DATA" else self._refusal(self.asked[-1]) or said

    def _refusal(self, asked: Asked) -> Said | None:
        match asked.parameters.get("delegation"):
            case "GOODGOODGOODGOODGOOD":
                return None
            case None:
                return Said(401, b"<html>", {"WWW-Authenticate": "Negotiate"})
            case "ENDEDENDEDENDEDENDED":
                return throws("InvalidToken", "token (owner=etl) is expired", status=403)
            case _:
                return throws("InvalidToken", "token (owner=etl) can't be found in cache", status=403)


_TOKENS: Final = {"good": "GOODGOODGOODGOODGOOD", "wrong": "WRONGWRONGWRONGWRONG", "expired": "ENDEDENDEDENDEDENDED"}


def _token_in(url: str, state: str, folder: Path) -> HdfsSources:
    if state == "missing":
        return HdfsSources(user="etl", nameservices={"bucket": HdfsNameservice(urls=(url,))})
    (folder / "token").write_text(_TOKENS[state])
    return HdfsSources(nameservices={"bucket": HdfsNameservice(urls=(url,), delegation_token="token")})


@pytest.fixture(scope="module")
def hadoop() -> Iterator[Cloud]:
    with _Hadoop() as server:
        server.has(CONTENT)

        def settings(url: str, state: str, folder: Path) -> HdfsSources:
            # The DataNode is reached as the NameNode is: over TLS, and by its name for the proxy.
            server.answers["OPEN"] = [server.redirect(f"{url}/webhdfs/v1/a.jar?op=DATA")]
            return _token_in(url, state, folder)

        plain = int(server.url.rpartition(":")[2])
        with tls_front(plain, authority=AUTHORITY, names=(NAME, "127.0.0.1")) as port:
            yield Cloud(
                port, "hdfs", HdfsSource, settings, hdfs.way_out,
                {
                    "wrong": "expired, cancelled or wrong", "missing": "fetch a delegation token (hdfs fetchdt)",
                    "expired": "expired, cancelled or wrong",
                },
            )  # fmt: skip


# --- all of them


@pytest.fixture
def cloud(request: pytest.FixtureRequest, kind: str) -> Cloud:
    found: Cloud = request.getfixturevalue(kind)
    return found


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of mounted Secrets, and nothing to be found anywhere else."""
    for name, value in served.with_environment({}).items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "secrets"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "by a proxy"])
@pytest.mark.parametrize("known", [False, True], ids=["unknown authority", "own authority"])
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("kind", ["s3", "google", "hadoop"])
def test_every_cloud_with_credentials_in_every_state(
    cloud: Cloud, secrets: Path, tmp_path: Path, state: str, *, known: bool, proxied: bool
) -> None:
    (AUTHORITY if known else trustme.CA()).cert_pem.write_to_path(tmp_path / "ca.pem")
    url = f"https://{NAME if proxied else '127.0.0.1'}:{cloud.port}"
    with connect_proxy({NAME: cloud.port}, credentials="me:p@ss") as proxy:
        http = HttpSettings(
            connect_timeout=5, stall_timeout=5, ca_file=str(tmp_path / "ca.pem"),
            proxies={"https": proxy.url.replace("//", "//me:p%40ss@")} if proxied else {},
        )  # fmt: skip
        with cloud.way_out(cloud.settings(url, state, secrets), secrets=secrets, http=http) as outside:
            found = _outcome(cloud, outside)
        assert _tunnels(proxy, cloud) is (proxied and state in cloud.asks)
    if known or state not in cloud.asks:
        assert found == CONTENT if state == "good" else _is_told(found, cloud.told[state])
    else:
        assert isinstance(found, PeerNotTrusted)


def _outcome(cloud: Cloud, outside: Outside) -> bytes | StagingError:
    uri = DependencyUri.parse(f"{cloud.scheme}://bucket/a.jar")
    try:
        return read(cloud.source(outside), uri)
    except StagingError as problem:
        return problem


def _is_told(found: bytes | StagingError, word: str) -> bool:
    assert isinstance(found, Unauthenticated), found
    assert word in found.detail
    assert not any(secret in found.detail for secret in (SECRET, *_TOKENS.values(), "PRIVATE KEY", "p@ss"))
    return True


def _tunnels(proxy: ConnectProxy, cloud: Cloud) -> bool:
    """Whether the proxy was asked for the service, and for nothing else."""
    assert set(proxy.asked) <= {("CONNECT", f"{NAME}:{cloud.port}")}
    return bool(proxy.asked)
