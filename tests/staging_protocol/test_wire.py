"""JSON in, checked values out; errors name the field."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staging_protocol.api.creation import NewBundle, NewFile
from staging_protocol.digests import Digest
from staging_protocol.errors import ERRORS, ExitCode, InvalidRequest, PermanentError, TransientError
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, Manifest, ManifestEntry
from staging_protocol.owners import OwnerReference, check_owner
from staging_protocol.wire import decode, encode
from tests.staging_protocol.strategies import digests, file_names

entries = st.builds(
    ManifestEntry,
    uri=st.just("staged:///jar/x"),
    kind=st.sampled_from(Kind),
    target=file_names,
    digest=st.none() | digests,
    size=st.none() | st.integers(min_value=0, max_value=2**50),
)
manifests = st.builds(Manifest, entries=st.lists(entries, max_size=5).map(tuple))


@given(manifests)
def test_a_manifest_survives_the_wire_with_its_digest(manifest: Manifest) -> None:
    read = decode(encode(manifest), into=Manifest)
    assert read == manifest
    assert read.digest() == manifest.digest()
    assert all(isinstance(entry.target, FileName) for entry in read.entries)


def test_an_error_names_the_path_of_the_bad_field() -> None:
    good = encode(
        NewBundle(application="a", files=(NewFile(kind=Kind.JAR, name=FileName("x"), size=1, digest=Digest.of(b"")),))
    )
    with pytest.raises(InvalidRequest, match=r"\$\.files\[0\]\.name"):
        decode(good.replace(b'"x"', b'"../x"'), into=NewBundle)


@given(st.binary(max_size=200))
def test_no_bytes_make_anything_but_a_value_or_an_invalid_request(data: bytes) -> None:
    with pytest.raises(InvalidRequest):
        decode(data, into=NewBundle)


@pytest.mark.parametrize("deep", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000])
@pytest.mark.parametrize("field", [b"files", b"unknown"])
def test_json_that_is_nested_too_deeply_is_not_valid(field: bytes, deep: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"nested|Expected"):
        decode(b'{"application":"a","%b":%b' % (field, deep), into=NewBundle)


@pytest.mark.parametrize("name", ["a\0", "a\nb", "a\n", "\x1b[2J", "\x9b2J", "", "a" * 254])
def test_a_name_that_is_shown_has_no_control_characters(name: str) -> None:
    with pytest.raises(InvalidRequest):
        decode(encode(NewBundle(application=name)), into=NewBundle)


def test_a_newer_peer_may_send_fields_that_we_do_not_know() -> None:
    assert decode(b'{"application":"a","since_v2":1}', into=NewBundle) == NewBundle(application="a")


def test_every_error_has_its_row_and_is_transient_or_permanent() -> None:
    assert len(ERRORS) > 25
    for code, error in ERRORS.items():
        assert issubclass(error, TransientError) != issubclass(error, PermanentError), code
        assert error.retryable == issubclass(error, TransientError)
        assert 400 <= error.status < 600
        assert error.exit_code is not ExitCode.DONE
        assert error.title


@pytest.mark.parametrize(
    ("owner", "reason"),
    [
        (OwnerReference(api_version="apps/v1", kind="Deployment", name="x"), "cannot own"),
        (OwnerReference(api_version="v1", kind="Pod", name=""), "characters"),
        (OwnerReference(api_version="v1", kind="Pod", name="x" * 254), "characters"),
        (OwnerReference(api_version="v1", kind="Pod", name="../x"), "characters"),
        (OwnerReference(api_version="v1", kind="Pod", name="x\n"), "characters"),
        (OwnerReference(api_version="v1", kind="Pod", name="x", uid="u\0"), "uid"),
        (OwnerReference(api_version="v1", kind="Pod", name="x", uid="u" * 65), "uid"),
    ],
)
def test_what_cannot_own_a_bundle_is_refused(owner: OwnerReference, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        check_owner(owner)


def test_a_pod_can_own_a_bundle() -> None:
    owner = OwnerReference(api_version="v1", kind="Pod", name="driver")
    assert check_owner(owner) is owner
