"""Objects of Google Cloud Storage on their way: spoilt, replaced, behind TLS and proxies, listed by liars."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final

import msgspec
import pytest
import trustme
from hypothesis import given, settings

from resolver.resolve import resolve
from resolver.settings import ResolveSettings
from resolver.sources.base import Reading, Version
from resolver.sources.choose import Sources
from resolver.sources.gcs.source import GcsSource
from staging_io.files import HIDDEN_PREFIX
from staging_protocol.errors import (
    DigestMismatch,
    ExitCode,
    PeerNotTrusted,
    SourceChanged,
    SourceUnavailable,
    StagingError,
)
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, Manifest, ManifestEntry
from staging_protocol.sources import GcsSources
from staging_protocol.uris import DependencyUri
from tests.conftest import missing
from tests.contracts.source import CONTENT, read
from tests.end_to_end.faulted import SHORT, SMALL_PARTS, Plan, Tree, tree_of
from tests.resolver.gcs import HASTY, anonymous, way_out
from tests.resolver.google import Google, account_file
from tests.services.connect_proxy import connect_proxy
from tests.services.fake_gcs import FakeGcs, FakeGcsMissing, running_fake_gcs
from tests.services.fault_plans import on_the_way_down
from tests.services.fault_proxy import FaultProxy
from tests.services.faults import Corrupt, Place, Rule
from tests.services.nginx import NginxMissing, NginxTls, running_nginx

pytestmark = pytest.mark.services

BUCKET: Final = "bucket"
FILES: Final = {f"{size}.jar": os.urandom(size) for size in (0, 1, 5000, 16_384, 70_000)}
EXPECTED: Final[Tree] = {name: (0o644, content) for name, content in FILES.items()}
PATHS: Final = ("", "/0.jar", "/1.jar", "5000.jar", "16384.jar", "70000.jar")
EXAMPLES: Final = settings.default.max_examples if settings.default is not None else 100
ENTRIES: Final = tuple(
    ManifestEntry(uri=f"gs://{BUCKET}/{name}", kind=Kind.JAR, target=FileName(name)) for name in FILES
)
"""Without size or digest: everything that is known comes from Google."""


@pytest.fixture(scope="module")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeGcs]:
    try:
        with running_fake_gcs(tmp_path_factory.mktemp("gcs")) as server:
            server.make_bucket(BUCKET)
            server.put_many(BUCKET, FILES)
            yield server
    except FakeGcsMissing as error:
        missing(str(error))


@pytest.fixture(scope="module")
def proxy(gcs: FakeGcs) -> Iterator[FaultProxy]:
    running = FaultProxy(gcs.url)
    yield running
    running.close()


def attempt(
    url: str, folder: Path, *, entries: tuple[ManifestEntry, ...] = ENTRIES, settings: ResolveSettings = SMALL_PARTS
) -> StagingError | None:
    """Resolve into `folder`; return the error it ends with."""
    with way_out(anonymous(url)) as outside:
        try:
            resolve(Manifest(entries=entries), folder_of=lambda _: folder, sources=Sources(outside), settings=settings)
        except StagingError as error:
            return error
    return None


# --- spoilt bytes


@pytest.mark.parametrize("name", ["1.jar", "5000.jar", "70000.jar"])
def test_a_flipped_bit_is_noticed_though_the_manifest_has_no_digest(
    proxy: FaultProxy, tmp_path: Path, name: str
) -> None:
    entries = tuple(one for one in ENTRIES if one.target == name)
    proxy.plan(Rule(fault=Corrupt(Place(at=0)), path=name))
    assert attempt(proxy.url, tmp_path, entries=entries) is None
    assert (tmp_path / name).read_bytes() == FILES[name]
    assert proxy.struck(Corrupt) == 1


def test_bytes_that_are_always_spoilt_are_never_seen(proxy: FaultProxy, tmp_path: Path) -> None:
    proxy.plan(Rule(fault=Corrupt(Place(at=100)), path="70000.jar", times=1000))
    assert isinstance(attempt(proxy.url, tmp_path), DigestMismatch)
    assert not (tmp_path / "70000.jar").exists()


@given(plan=on_the_way_down(size=70_000, paths=PATHS))
@settings(max_examples=EXAMPLES // 2)
def test_whatever_happens_on_the_way_what_is_seen_is_what_is_stored(proxy: FaultProxy, plan: Plan) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        proxy.plan(*plan)
        error = attempt(proxy.url, folder, settings=SHORT)
        if error is None:
            assert jars(folder) == EXPECTED
        else:
            assert error.exit_code in {ExitCode.UNAVAILABLE, ExitCode.DIGEST_MISMATCH, ExitCode.DEADLINE}
            assert jars(folder).items() <= EXPECTED.items()
        proxy.plan()
        assert attempt(proxy.url, folder) is None, "a second run did not mend it"
        assert jars(folder) == EXPECTED


def jars(folder: Path) -> Tree:
    """Return what is not the resolver's own."""
    return {name: node for name, node in tree_of(folder).items() if not name.startswith(HIDDEN_PREFIX)}


# --- objects that are replaced


class Replacing(GcsSource):
    """Has somebody replace the object after each of the first reads."""

    def after(self, count: int, replace: Callable[[], object]) -> "Replacing":
        self._left, self._replace = count, replace
        return self

    def read(
        self, uri: DependencyUri, *, version: Version | None, start: int, stop: int | None
    ) -> AbstractContextManager[Reading]:
        reading = super().read(uri, version=version, start=start, stop=stop)
        if self._left:
            self._left -= 1
            self._replace()
        return reading


def resolve_replacing(gcs: FakeGcs, folder: Path, *, times: int) -> bytes:
    """Resolve an object that is replaced so often meanwhile; return its last content."""
    contents = [bytes([number]) * 70_000 for number in range(times + 1)]
    gcs.put(BUCKET, "changing.jar", contents[0])
    later = iter(contents[1:])
    entry = ManifestEntry(uri=f"gs://{BUCKET}/changing.jar", kind=Kind.JAR, target=FileName("changing.jar"))
    with way_out(anonymous(gcs.url)) as outside:
        sources = Sources(outside)
        sources._made["gcs"] = Replacing(outside).after(times, lambda: gcs.put(BUCKET, "changing.jar", next(later)))
        one = msgspec.structs.replace(SMALL_PARTS, connections=1)
        resolve(Manifest(entries=(entry,)), folder_of=lambda _: folder, sources=sources, settings=one)
    return contents[-1]


def test_an_object_that_is_replaced_meanwhile_is_fetched_anew(gcs: FakeGcs, tmp_path: Path) -> None:
    content = resolve_replacing(gcs, tmp_path, times=1)
    assert (tmp_path / "changing.jar").read_bytes() == content


def test_an_object_that_is_replaced_again_and_again_is_given_up(gcs: FakeGcs, tmp_path: Path) -> None:
    with pytest.raises(SourceChanged):
        resolve_replacing(gcs, tmp_path, times=50)
    assert not (tmp_path / "changing.jar").exists()


def test_every_part_but_the_first_is_asked_for_by_its_generation(gcs: FakeGcs, tmp_path: Path) -> None:
    one_by_one = msgspec.structs.replace(SMALL_PARTS, connections=1)
    with Google(gcs.url) as google:
        google.public = True
        assert attempt(google.url, tmp_path, entries=ENTRIES[-1:], settings=one_by_one) is None
        parts = [path for _, path in google.asked if "alt=media" in path]
    assert tree_of(tmp_path) == {"70000.jar": EXPECTED["70000.jar"]}
    assert len(parts) == 5
    assert ["generation=" in path for path in parts] == [False, True, True, True, True]


# --- TLS and proxies


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secure(
    gcs: FakeGcs, authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[int, Google]]:
    """Google behind TLS: the port, and its services."""
    folder = tmp_path_factory.mktemp("secure")
    pair = authority.issue_cert("storage.test", "127.0.0.1")
    pair.private_key_pem.write_to_path(folder / "key.pem")
    for number, part in enumerate(pair.cert_chain_pems):
        part.write_to_path(folder / "cert.pem", append=number > 0)
    with ExitStack() as stack:
        google = stack.enter_context(Google(gcs.url))
        locations = f"location / {{ proxy_pass {google.url}; proxy_set_header Host $host; }}"
        tls = NginxTls(folder / "cert.pem", folder / "key.pem")
        try:
            nginx = stack.enter_context(running_nginx(folder, locations=locations, tls=tls))
        except NginxMissing as error:
            missing(str(error))
        yield nginx.port, google


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "by a proxy"])
@pytest.mark.parametrize("trusted", [False, True], ids=["unknown authority", "own authority"])
def test_token_and_bytes_come_by_the_same_authorities_and_proxies(
    secure: tuple[int, Google], authority: trustme.CA, tmp_path: Path, *, proxied: bool, trusted: bool
) -> None:
    port, google = secure
    (authority if trusted else trustme.CA()).cert_pem.write_to_path(tmp_path / "ca.pem")
    host = "storage.test" if proxied else "127.0.0.1"
    asked_before = len(google.asked)
    account_file(tmp_path / "key.json", token_url=f"https://{host}:{port}/token")
    with connect_proxy({"storage.test": port}) as proxy:
        http = msgspec.structs.replace(
            HASTY, ca_file=str(tmp_path / "ca.pem"), proxies={"https": proxy.url} if proxied else {}
        )
        gcs = GcsSources(endpoint=f"https://{host}:{port}", credentials="key.json")
        with way_out(gcs, secrets=tmp_path, http=http) as outside:
            uri = DependencyUri.parse(f"gs://{BUCKET}/5000.jar")
            if trusted:
                assert read(GcsSource(outside), uri) == FILES["5000.jar"]
            else:
                with pytest.raises(PeerNotTrusted):
                    read(GcsSource(outside), uri)
        assert len(proxy.asked) == (2 if trusted else 1) * proxied
    assert [path.partition("?")[0] for _, path in google.asked[asked_before:]] == (
        ["/token", f"/storage/v1/b/{BUCKET}/o/5000.jar"] if trusted else []
    )


# --- storages that lie


@pytest.fixture
def liar(gcs: FakeGcs) -> Iterator[Google]:
    with Google(gcs.url) as google:
        google.public = True
        yield google


def listed(url: str, *bodies: bytes, google: Google) -> list[str]:
    google.refusals = [(200, body, {}) for body in bodies]
    with way_out(anonymous(url)) as outside:
        return [one.uri.path for one in GcsSource(outside).list(DependencyUri.parse("gs://bucket/a"), deep=True)]


def test_hostile_names_are_listed_as_what_they_are(liar: Google) -> None:
    names = ["../../etc/passwd", "a/../b", "line\nbreak", "\x1b[2J", "a//b", "\u202egpj.jar", "%2e%2e/x", ""]
    page = msgspec.json.encode({"items": [{"name": name, "size": "1"} for name in names]})
    assert listed(liar.url, page, google=liar) == [
        "/../../etc/passwd", "/a/../b", "/line%0Abreak", "/%1B%5B2J", "/a//b", "/%E2%80%AEgpj.jar", "/%252e%252e/x",
        "/",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"<html>", b'{"items": 1}', b'{"items": [{"name": 1}]}', b'{"items": [{"name": "\\ud800"}]}',
        b'{"items": [{"name": "a', b'{"items": {}}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_listing_is_none(liar: Google, body: bytes) -> None:
    with pytest.raises(SourceUnavailable, match="no listing"):
        listed(liar.url, body, google=liar)


def test_a_hundred_thousand_names_are_listed_page_by_page(liar: Google) -> None:
    pages = [
        msgspec.json.encode(
            {
                "items": [{"name": f"a/{page:03}/{number:04}.jar", "size": "1"} for number in range(1000)],
                **({} if page == 99 else {"nextPageToken": str(page)}),
            }
        )
        for page in range(100)
    ]
    assert len(set(listed(liar.url, *pages, google=liar))) == 100_000
    tokens = [path.partition("pageToken=")[2].partition("&")[0] for _, path in liar.asked]
    assert tokens == ["", *map(str, range(99))]


def test_listings_end(liar: Google) -> None:
    again = b'{"items": [{"name": "a", "size": "1"}], "nextPageToken": "x"}'
    with pytest.raises(SourceUnavailable, match="does not end"):
        listed(liar.url, again, again, google=liar)
    nothing = [b'{"nextPageToken": "%d"}' % number for number in range(2000)]
    with pytest.raises(SourceUnavailable, match="does not end"):
        listed(liar.url, *nothing, google=liar)
    assert liar.refusals


@pytest.mark.parametrize("size", ['"-1"', '"1e3"', '"٣"', f'"{"9" * 5000}"', '""'])
def test_sizes_and_checksums_that_are_none_say_nothing(liar: Google, size: str) -> None:
    liar.refusals = [(200, f'{{"size": {size}, "generation": "x", "crc32c": "?", "md5Hash": "QUJD"}}'.encode(), {})]
    with way_out(anonymous(liar.url)) as outside:
        stat = GcsSource(outside).stat(DependencyUri.parse("gs://bucket/a"))
    assert (stat.size, stat.version, stat.checksums) == (None, None, ())


@pytest.mark.parametrize("body", [b"", b"[]", b'{"size": 1}', b"\xff"])
def test_what_are_no_metadata_are_none(liar: Google, body: bytes) -> None:
    liar.refusals = [(200, body, {})]
    with way_out(anonymous(liar.url)) as outside, pytest.raises(SourceUnavailable):
        GcsSource(outside).stat(DependencyUri.parse("gs://bucket/a"))


def test_an_object_that_is_unpacked_on_the_way_is_refused(liar: Google) -> None:
    liar.refusals = [(200, CONTENT, {"x-goog-generation": "1", "x-goog-stored-content-encoding": "gzip"})]
    with way_out(anonymous(liar.url)) as outside, pytest.raises(StagingError, match="was unpacked on the way"):
        read(GcsSource(outside), DependencyUri.parse("gs://bucket/a"))


def test_a_part_of_another_generation_is_no_part_of_this_one(liar: Google) -> None:
    liar.refusals = [(200, CONTENT, {"x-goog-generation": "2"})]
    with way_out(anonymous(liar.url)) as outside, pytest.raises(SourceChanged):
        read(GcsSource(outside), DependencyUri.parse("gs://bucket/a"), version=Version("1", strong=True))


@pytest.mark.parametrize(
    ("metadata", "error"),
    [({"size": "5", "generation": "2"}, SourceChanged), ({"size": "9", "generation": "1"}, SourceUnavailable)],
)
def test_an_end_that_metadata_contradict_is_none(
    liar: Google, metadata: dict[str, str], error: type[StagingError]
) -> None:
    liar.refusals = [(416, b"", {}), (200, msgspec.json.encode(metadata), {})]
    with way_out(anonymous(liar.url)) as outside, pytest.raises(error):
        read(GcsSource(outside), DependencyUri.parse("gs://bucket/a"), version=Version("1", strong=True), start=5)
