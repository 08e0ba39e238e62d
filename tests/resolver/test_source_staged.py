"""The source of staged files: the contract against the real staging server."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from resolver.sources.base import Reading, Source, Stat, Version
from resolver.sources.staged import StagedSource
from staging_io.http import HttpClient
from staging_io.staging import StagingClient
from staging_protocol.api.creation import NewBundle, NewFile
from staging_protocol.digests import Digest
from staging_protocol.errors import BundleExpired, InvalidRequest, NotFound
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind
from staging_protocol.tokens import BundleId, Token, TokenKind
from staging_protocol.uris import DependencyUri
from tests.contracts.source import CONTENT, SourceContract, read
from tests.end_to_end.programs import Server

NAMESPACE = "spark"


class ServedByStaging:
    """Stages each file in a bundle of its own; the source reads from the last one."""

    def __init__(self, url: str, http: HttpClient) -> None:
        self.url = url
        self._http = http
        self.submitter = StagingClient(url=url, token=None, http=http)
        self.bundle = BundleId.generate()
        self._last: Source = self.source_with(Token.generate(TokenKind.BUNDLE))

    @property
    def source(self) -> Source:
        return self

    def put(self, name: str, content: bytes) -> DependencyUri:
        digest = Digest.of(content)
        file = NewFile(kind=Kind.FILE, name=FileName(name), size=len(content), digest=digest)
        bundle = NewBundle(application="test", files=(file,))
        made = self.submitter.create(NAMESPACE, bundle, idempotency_key=BundleId.generate())
        if not made.sealed:
            self.submitter.put_blob(NAMESPACE, digest, size=len(content), content=iter([content]))
            self.submitter.seal(NAMESPACE, made.id)
        self.bundle = made.id
        self._last = self.source_with(Token.parse(made.token))
        return DependencyUri.staged(Kind.FILE, FileName(name))

    def missing(self) -> DependencyUri:
        self.put("another.jar", b"x")
        return DependencyUri.staged(Kind.FILE, FileName("nothing-here.jar"))

    def unreachable(self) -> tuple[Source, DependencyUri]:
        source = self.source_with(Token.generate(TokenKind.BUNDLE), url="http://127.0.0.1:9")
        return source, DependencyUri.staged(Kind.FILE, FileName("a.jar"))

    def source_with(self, token: Token, *, url: str | None = None) -> StagedSource:
        client = StagingClient(url=url or self.url, token=token, http=self._http)
        return StagedSource(client, namespace=NAMESPACE, bundle=self.bundle)

    def stat(self, uri: DependencyUri) -> Stat:
        return self._last.stat(uri)

    def read(
        self, uri: DependencyUri, *, version: Version | None, start: int, stop: int | None
    ) -> AbstractContextManager[Reading]:
        return self._last.read(uri, version=version, start=start, stop=stop)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(folder=tmp_path_factory.mktemp("staging"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def served(server: Server, http: HttpClient) -> ServedByStaging:
    return ServedByStaging(server.url, http)


class TestStagedSource(SourceContract):
    pass


def test_the_server_states_the_digest_and_the_version_is_strong(served: ServedByStaging) -> None:
    stat = served.stat(served.put("a.bin", CONTENT))
    assert stat.digest == Digest.of(CONTENT)
    assert stat.version == Version(Digest.of(CONTENT).etag, strong=True)


def test_a_wrong_token_and_a_missing_bundle_look_the_same(served: ServedByStaging) -> None:
    uri = served.put("a.bin", CONTENT)
    wrong = served.source_with(Token.generate(TokenKind.BUNDLE, identifier=served.bundle))
    with pytest.raises(NotFound) as of_token:
        read(wrong, uri)
    served.bundle = BundleId.generate()
    with pytest.raises(NotFound) as of_bundle:
        read(served.source_with(Token.generate(TokenKind.BUNDLE, identifier=served.bundle)), uri)
    assert of_token.value.detail == of_bundle.value.detail


def test_an_ended_bundle_says_so(served: ServedByStaging) -> None:
    uri = served.put("a.bin", CONTENT)
    served.submitter.delete(NAMESPACE, served.bundle)
    with pytest.raises(BundleExpired):
        read(served.source, uri)


def test_a_server_in_the_uri_is_refused(served: ServedByStaging) -> None:
    with pytest.raises(InvalidRequest, match="names a server"):
        read(served.source, DependencyUri.parse("staged://elsewhere/file/a.bin"))


def test_it_needs_no_urllib3_for_reading(server: Server, tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from staging_io.http import HttpClient\n"
        f"with HttpClient().open('GET', '{server.url}/livez') as answer: assert answer.status == 200\n"
        "assert 'urllib3' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
