"""Objects of S3 on their way to the disk: pinned, replaced, spoilt, cut off, killed and begun again."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
import pytest
from hypothesis import given, settings

from resolver.resolve import resolve
from resolver.settings import ResolveSettings
from resolver.sources.choose import Sources
from resolver.sources.outside import Outside
from staging_io.files import HIDDEN_PREFIX
from staging_io.http import Answer, Body, HttpClient
from staging_protocol.errors import DigestMismatch, ExitCode, SourceChanged, StagingError
from staging_protocol.manifest import Manifest, ManifestEntry
from staging_protocol.sources import SourceSettings
from tests.end_to_end.faulted import SHORT, SMALL_PARTS, Plan, Tree, tree_of
from tests.resolver.s3.by_hand import entry
from tests.resolver.s3.conftest import BUCKET
from tests.resolver.s3.served import HASTY, reached, way_out, write_key
from tests.services.fault_plans import on_the_way_down
from tests.services.fault_proxy import FaultProxy
from tests.services.faults import Corrupt, Place, Rule, Stall
from tests.services.seaweedfs import SeaweedFs

pytestmark = pytest.mark.services

FILES: Final = {f"{size}.jar": os.urandom(size) for size in (0, 1, 5000, 16_384, 70_000)}
EXPECTED: Final[Tree] = {name: (0o644, content) for name, content in FILES.items()}
PATHS: Final = ("", "/0.jar", "/1.jar", "5000.jar", "16384.jar", "70000.jar")
EXAMPLES: Final = settings.default.max_examples if settings.default is not None else 100
FOLDER: Final = f"s3a://{BUCKET}/engine"
PARTS: Final = b"".join(bytes([number]) * 1024 * 1024 for number in range(12))
"""An object that is uploaded in parts of 5 MiB."""


@pytest.fixture(scope="module")
def filled(s3: SeaweedFs) -> SeaweedFs:
    for name, content in FILES.items():
        s3.client.put_object(Bucket=BUCKET, Key=f"engine/{name}", Body=content)
    return s3


@pytest.fixture(scope="module")
def proxy(filled: SeaweedFs) -> Iterator[FaultProxy]:
    running = FaultProxy(filled.url)
    yield running
    running.close()


@pytest.fixture(scope="module")
def keys(filled: SeaweedFs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    secrets = tmp_path_factory.mktemp("secrets")
    write_key(secrets, key=filled.access_key, secret=filled.secret_key)
    return secrets


def attempt(
    url: str, folder: Path, *, keys: Path, names: Mapping[str, bytes] = FILES, settings: ResolveSettings = SMALL_PARTS
) -> StagingError | None:
    """Resolve into `folder`; return the error it ends with."""
    with way_out(reached(url), secrets=keys) as outside:
        return resolved([entry(f"{FOLDER}/{name}") for name in names], folder, outside=outside, settings=settings)


def resolved(
    entries: list[ManifestEntry], folder: Path, *, outside: Outside, settings: ResolveSettings
) -> StagingError | None:
    manifest = Manifest(entries=tuple(entries))
    try:
        resolve(manifest, folder_of=lambda _: folder, sources=Sources(outside), settings=settings)
    except StagingError as error:
        return error
    return None


def jars(folder: Path) -> Tree:
    """Return what is not the resolver's own."""
    return {name: node for name, node in tree_of(folder).items() if not name.startswith(HIDDEN_PREFIX)}


class Noting(HttpClient):
    """Notes what is asked, and lets something happen after some requests."""

    def __init__(self) -> None:
        super().__init__(HASTY)
        self.sent: list[tuple[str, dict[str, str]]] = []
        self.events: dict[int, object] = {}

    def open(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: Body | None = None
    ) -> Answer:
        self.sent.append((method, {name.lower(): value for name, value in (headers or {}).items()}))
        answer = super().open(method, url, headers=headers, body=body)
        happens = self.events.pop(len(self.sent), None)
        if callable(happens):
            happens()
        return answer


@pytest.fixture
def noting(filled: SeaweedFs, keys: Path) -> Iterator[tuple[Noting, Outside]]:
    http = Noting()
    yield http, Outside(http=http, settings=SourceSettings(s3=reached(filled.url)), secrets=keys)
    http.close()


ONE_BY_ONE: Final = msgspec.structs.replace(SMALL_PARTS, connections=1)


# --- versions


def test_every_part_but_the_first_is_asked_for_by_its_version(
    noting: tuple[Noting, Outside], tmp_path: Path, filled: SeaweedFs
) -> None:
    http, outside = noting
    assert resolved([entry(f"{FOLDER}/70000.jar")], tmp_path, outside=outside, settings=ONE_BY_ONE) is None
    tag = filled.client.head_object(Bucket=BUCKET, Key="engine/70000.jar")["ETag"]
    parts = [headers for method, headers in http.sent if method == "GET"]
    assert len(parts) == 5
    assert [headers.get("if-match") for headers in parts] == [None, *[tag] * 4]
    assert jars(tmp_path) == {"70000.jar": EXPECTED["70000.jar"]}


@pytest.mark.parametrize(("times", "error"), [(1, None), (50, SourceChanged)])
def test_an_object_that_is_replaced_meanwhile_is_fetched_anew_once(
    noting: tuple[Noting, Outside], tmp_path: Path, filled: SeaweedFs, times: int, error: type[StagingError] | None
) -> None:
    http, outside = noting
    contents = iter(bytes([number]) * 70_000 for number in range(100))

    def replace() -> None:
        filled.client.put_object(Bucket=BUCKET, Key="engine/changing.jar", Body=next(contents))

    replace()
    http.events = {2 * number + 2: replace for number in range(times)}
    found = resolved([entry(f"{FOLDER}/changing.jar")], tmp_path, outside=outside, settings=ONE_BY_ONE)
    if error is None:
        assert found is None
        assert jars(tmp_path) == {"changing.jar": (0o644, b"\x01" * 70_000)}
    else:
        assert isinstance(found, error)
        assert jars(tmp_path) == {}


# --- spoilt bytes


@pytest.fixture(scope="module")
def in_parts(filled: SeaweedFs) -> str:
    """The name of an object whose checksum is one of the checksums of its parts."""
    from boto3.s3.transfer import TransferConfig

    transfer = TransferConfig(multipart_threshold=1, multipart_chunksize=5 * 1024 * 1024)
    with tempfile.TemporaryFile() as file:
        file.write(PARTS)
        file.seek(0)
        filled.client.upload_fileobj(file, BUCKET, "engine/parts.jar", Config=transfer)
    return "parts.jar"


@pytest.mark.parametrize("name", ["1.jar", "5000.jar", "70000.jar"])
def test_a_flipped_bit_is_noticed_though_the_manifest_has_no_digest(
    proxy: FaultProxy, tmp_path: Path, keys: Path, name: str
) -> None:
    proxy.plan(Rule(fault=Corrupt(Place(at=0)), method="GET", path=name))
    assert attempt(proxy.url, tmp_path, keys=keys, names={name: b""}) is None
    assert jars(tmp_path) == {name: EXPECTED[name]}
    assert proxy.struck(Corrupt) == 1


def test_bytes_of_an_object_in_parts_that_are_always_spoilt_are_never_seen(
    proxy: FaultProxy, tmp_path: Path, keys: Path, in_parts: str
) -> None:
    whole_mebibytes = msgspec.structs.replace(SMALL_PARTS, part_size=1024 * 1024, buffer_size=256 * 1024)
    proxy.plan(Rule(fault=Corrupt(Place(at=1000)), method="GET", path=in_parts, skip=3, times=1000))
    error = attempt(proxy.url, tmp_path, keys=keys, names={in_parts: b""}, settings=whole_mebibytes)
    assert isinstance(error, DigestMismatch)
    assert error.exit_code is ExitCode.DIGEST_MISMATCH
    assert jars(tmp_path) == {}
    proxy.plan()
    assert attempt(proxy.url, tmp_path, keys=keys, names={in_parts: b""}, settings=whole_mebibytes) is None
    assert jars(tmp_path) == {in_parts: (0o644, PARTS)}


@given(plan=on_the_way_down(size=70_000, paths=PATHS))
@settings(max_examples=EXAMPLES // 2)
def test_whatever_happens_on_the_way_what_is_seen_is_what_is_stored(proxy: FaultProxy, keys: Path, plan: Plan) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        proxy.plan(*plan)
        error = attempt(proxy.url, folder, keys=keys, settings=SHORT)
        if error is None:
            assert jars(folder) == EXPECTED
        else:
            assert error.exit_code in {ExitCode.UNAVAILABLE, ExitCode.DIGEST_MISMATCH, ExitCode.DEADLINE}
            assert jars(folder).items() <= EXPECTED.items()
        proxy.plan()
        assert attempt(proxy.url, folder, keys=keys) is None, "a second run did not mend it"
        assert jars(folder) == EXPECTED


# --- kill -9


def test_what_a_killed_resolver_has_is_not_fetched_again(proxy: FaultProxy, tmp_path: Path, keys: Path) -> None:
    folder = tmp_path / "folder"
    uris = [f"{FOLDER}/{name}" for name in FILES]
    command = [sys.executable, "-m", "tests.resolver.s3.by_hand", proxy.url, str(keys), str(folder), *uris]
    # Everything but the last part of the largest file.
    proxy.plan(Rule(fault=Stall(Place(at=0)), method="GET", path="70000.jar", skip=4))
    with subprocess.Popen(command, cwd=Path(__file__).parents[3]) as process:
        proxy.wait_until(
            lambda one: one.struck(Stall) == 1 and one.bytes_down() >= sum(map(len, FILES.values())) - 16_384
        )
        os.kill(process.pid, signal.SIGKILL)
    assert "70000.jar" not in jars(folder)
    proxy.plan()
    subprocess.run(command, cwd=Path(__file__).parents[3], check=True)
    assert jars(folder) == EXPECTED
    assert proxy.bytes_down() < len(FILES["70000.jar"])
    proxy.plan()
    subprocess.run(command, cwd=Path(__file__).parents[3], check=True)
    assert jars(folder) == EXPECTED
    # The empty object is asked for again, and refused: there is no byte to begin with.
    assert {one.status for one in proxy.exchanges if one.method == "GET"} <= {416}
