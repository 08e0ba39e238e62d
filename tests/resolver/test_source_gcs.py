"""The source for Google Cloud Storage: the contract against fake-gcs-server, and what is special about GCS."""

import gzip
from collections.abc import Callable, Iterator

import pytest

from resolver.sources.base import Checksum, Stat, Version
from resolver.sources.gcs import listing
from resolver.sources.gcs.objects import stat_of
from resolver.sources.gcs.source import GcsSource
from staging_protocol.errors import InvalidRequest, NotFound, SourceChanged
from staging_protocol.sources import GcsBucket, GcsSources
from staging_protocol.uris import DependencyUri
from tests.conftest import missing
from tests.contracts.source import CONTENT, ChecksumContract, ListingContract, SourceContract, check_stated, read
from tests.resolver.gcs import ServedByGcs, anonymous, way_out
from tests.services.fake_gcs import FakeGcs, FakeGcsMissing, running_fake_gcs
from tests.services.fault_proxy import FaultProxy

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeGcs]:
    try:
        with running_fake_gcs(tmp_path_factory.mktemp("gcs")) as server:
            yield server
    except FakeGcsMissing as error:
        missing(str(error))


@pytest.fixture
def served(gcs: FakeGcs) -> Iterator[ServedByGcs]:
    with way_out(anonymous(gcs.url)) as outside:
        yield ServedByGcs(gcs, outside)


class TestGcsSource(SourceContract, ListingContract, ChecksumContract):
    pass


# --- versions


def test_a_version_is_a_generation(served: ServedByGcs) -> None:
    generation = served.gcs.put(served.bucket, "a.jar", CONTENT)
    assert served.source.stat(served.uri("a.jar")).version == Version(generation, strong=True)


def test_a_replaced_object_is_not_read_under_its_old_version(served: ServedByGcs) -> None:
    uri = served.put("a.jar", CONTENT)
    version = served.source.stat(uri).version
    served.put("a.jar", CONTENT[::-1])
    with pytest.raises(SourceChanged):
        read(served.source, uri, version=version, start=10, stop=20)


def test_an_object_that_is_deleted_under_a_download_has_changed_and_then_is_not_there(served: ServedByGcs) -> None:
    uri = served.put("a.jar", CONTENT)
    version = served.source.stat(uri).version
    served.gcs.delete(served.bucket, "a.jar")
    with pytest.raises(SourceChanged):
        read(served.source, uri, version=version)
    with pytest.raises(NotFound):
        read(served.source, uri)


def test_a_uri_may_name_a_generation(served: ServedByGcs) -> None:
    generation = served.gcs.put(served.bucket, "a.jar", CONTENT)
    pinned = served.uri("a.jar", query=f"?generation={generation}")
    assert read(served.source, pinned) == CONTENT
    assert served.source.stat(pinned).version == Version(generation, strong=True)
    served.put("a.jar", b"another")
    with pytest.raises(NotFound):
        read(served.source, pinned)
    with pytest.raises(NotFound):
        served.source.stat(pinned)


def test_a_uri_with_a_generation_has_no_other_version(served: ServedByGcs) -> None:
    generation = served.gcs.put(served.bucket, "a.jar", CONTENT)
    with pytest.raises(SourceChanged):
        read(served.source, served.uri("a.jar", query=f"?generation={generation}"), version=Version("1", strong=True))


@pytest.mark.parametrize("query", ["?version=1", "?generation=", "?generation=one", "?generation=1&x=2"])
def test_a_query_that_is_not_a_generation_is_refused(served: ServedByGcs, query: str) -> None:
    with pytest.raises(InvalidRequest, match="generation=<number>"):
        served.source.stat(served.uri("a.jar", query=query))


# --- names


@pytest.mark.parametrize(
    "name",
    ["a/b/c.jar", "a//b.jar", "/a.jar", "a/../b.jar", "?x=1", "#1", "a%2Fb", "line\nbreak", "\U0001f4a3", "*[x]"],
)
def test_every_name_that_an_object_can_have_can_be_read(served: ServedByGcs, name: str) -> None:
    assert read(served.source, served.put(name, name.encode())) == name.encode()


@pytest.mark.parametrize(
    "uri",
    [
        "gs://bucket/", "gs:///a.jar", "gs:/a.jar", "gs://user@bucket/a.jar", "gs://bucket:80/a.jar", "gs://UP/a.jar",
        "gs://a/b.jar", "gs://bucket/..", "gs://bucket/%2e", "gs://bucket/%ff",
    ],
)  # fmt: skip
def test_what_names_no_object_is_refused_before_anybody_is_asked(served: ServedByGcs, uri: str) -> None:
    scheme, _, rest = uri.partition(":")
    authority, _, path = rest.removeprefix("//").partition("/")
    parsed = DependencyUri(scheme=scheme, authority=authority, path=f"/{path}")
    with pytest.raises(InvalidRequest):
        served.source.stat(parsed)


# --- what is stored is what is delivered


def test_an_object_stored_as_gzip_comes_as_it_is_stored(served: ServedByGcs) -> None:
    stored = gzip.compress(CONTENT)
    served.gcs.put(served.bucket, "a.csv", stored, encoding="gzip")
    uri = served.uri("a.csv")
    assert read(served.source, uri) == stored
    assert read(served.source, uri, start=5, stop=50) == stored[5:50]
    check_stated(served.source.stat(uri), stored)
    assert served.source.stat(uri).size == len(stored)


def test_a_composed_object_has_its_own_checksum(served: ServedByGcs) -> None:
    served.put("1", CONTENT[:1000])
    served.put("2", CONTENT[1000:])
    served.gcs.compose(served.bucket, "a.jar", ["1", "2"])
    uri = served.uri("a.jar")
    assert read(served.source, uri) == CONTENT
    assert isinstance(served.source.stat(uri).checksums[0], Checksum)
    check_stated(served.source.stat(uri), CONTENT)


def test_a_size_that_only_google_states_is_taken() -> None:
    assert stat_of(Stat(), {"x-goog-stored-content-length": "5"}).size == 5


# --- how often is asked


@pytest.fixture
def counted(gcs: FakeGcs, fault_proxy: Callable[[str], FaultProxy]) -> Iterator[tuple[ServedByGcs, FaultProxy]]:
    proxy = fault_proxy(gcs.url)
    with way_out(anonymous(proxy.url)) as outside:
        yield ServedByGcs(gcs, outside), proxy


def test_a_small_object_takes_one_request(counted: tuple[ServedByGcs, FaultProxy]) -> None:
    served, proxy = counted
    uri = served.put("a.jar", CONTENT)
    with served.source.read(uri, version=None, start=0, stop=8_000_000) as reading:
        assert reading.stat.size == reading.stop == len(CONTENT)
        assert reading.stat.version is not None
        check_stated(reading.stat, CONTENT)
    assert len(proxy.exchanges) == 1


def test_a_listing_takes_a_request_for_each_page(
    counted: tuple[ServedByGcs, FaultProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_PAGE", "10")
    served, proxy = counted
    served.put_many(f"{number:04}" for number in range(25))
    found = list(GcsSource(served.outside).list(served.folder(), deep=False))
    assert (len(found), len(proxy.exchanges)) == (25, 3)


# --- settings


def test_each_bucket_may_have_an_endpoint_of_its_own(served: ServedByGcs) -> None:
    uri = served.put("a.jar", CONTENT)
    own = GcsBucket(endpoint=served.gcs.url + "/", anonymous=True)
    with way_out(GcsSources(endpoint="http://127.0.0.1:9", buckets={served.bucket: own})) as outside:
        assert read(GcsSource(outside), uri) == CONTENT


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_the_emulator_of_the_environment_is_asked_anonymously(served: ServedByGcs, scheme: str) -> None:
    uri = served.put("a.jar", CONTENT)
    host = served.gcs.url.replace("http://", scheme)
    with way_out(GcsSources(), environment={"STORAGE_EMULATOR_HOST": host}) as outside:
        assert read(GcsSource(outside), uri) == CONTENT
        assert GcsSource(outside).identity(uri) == "anonymous"


def test_an_endpoint_that_is_set_goes_before_the_emulator_of_the_environment(served: ServedByGcs) -> None:
    uri = served.put("a.jar", CONTENT)
    with way_out(anonymous(served.gcs.url), environment={"STORAGE_EMULATOR_HOST": "http://127.0.0.1:9"}) as outside:
        assert read(GcsSource(outside), uri) == CONTENT
