"""The journal of uploads: private, whole or absent, used by one run at a time, and never in the way."""

import json
import os
import stat
from pathlib import Path

import pytest

from staging_protocol.digests import Digest
from staging_protocol.uploads import UploadId
from submission.staging.upload_journal import Entry, UploadJournal

DIGEST = Digest.of(b"one")
OTHER = Digest.of(b"two")
FILE = Path("/somewhere/large.bin")
SERVER = "https://staging.example"


class Told:
    """Remembers what the person was told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def told() -> Told:
    return Told()


def journal(folder: Path, told: Told | None = None, *, server: str = SERVER, namespace: str = "team") -> UploadJournal:
    return UploadJournal(folder, server=server, namespace=namespace, notice=told or Told())


def recorded(folder: Path, *, digest: Digest = DIGEST, path: Path = FILE, max_age: int = 3600) -> UploadId:
    """Let a run begin an upload and end."""
    upload = UploadId.generate()
    with journal(folder).claimed(digest, size=10, path=path) as claim:
        claim.record(upload, {"max-age": max_age})
    return upload


def known(folder: Path, *, digest: Digest = DIGEST, server: str = SERVER, namespace: str = "team") -> UploadId | None:
    """Return what the next run finds."""
    with journal(folder, server=server, namespace=namespace).claimed(digest, size=10, path=FILE) as claim:
        return None if claim.entry is None else claim.entry.upload


def files(folder: Path) -> list[Path]:
    return sorted((folder / "uploads").iterdir())


def test_the_next_run_finds_what_was_begun(tmp_path: Path) -> None:
    upload = recorded(tmp_path)

    assert known(tmp_path) == upload
    assert known(tmp_path) == upload, "looking changes nothing"


def test_an_upload_is_found_for_its_server_namespace_and_digest_only(tmp_path: Path) -> None:
    recorded(tmp_path)

    assert known(tmp_path, server="https://other.example") is None
    assert known(tmp_path, namespace="other") is None
    assert known(tmp_path, digest=OTHER) is None


def test_entries_are_private_and_hold_no_secret(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with journal(tmp_path, server="https://user:secret@staging.example/").claimed(
            DIGEST, size=10, path=FILE
        ) as claim:
            claim.record(UploadId.generate(), {})
    finally:
        os.umask(before)

    (file,) = files(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    content = json.loads(file.read_bytes())
    assert content["server"] == SERVER
    assert content["path"] == str(FILE)
    assert set(content) == set(Entry.__struct_fields__)


def test_a_path_that_is_no_text_can_be_remembered(tmp_path: Path) -> None:
    path = Path(os.fsdecode(b"/somewhere/\xff.bin"))
    upload = recorded(tmp_path, path=path)

    assert known(tmp_path) == upload
    assert list(journal(tmp_path).outdated({path: OTHER})) == [upload]


def test_what_is_whole_leaves_no_entry(tmp_path: Path) -> None:
    recorded(tmp_path)
    with journal(tmp_path).claimed(DIGEST, size=10, path=FILE) as claim:
        claim.forget()

    assert files(tmp_path) == []


def test_a_run_that_begins_nothing_leaves_no_entry(tmp_path: Path) -> None:
    with journal(tmp_path).claimed(DIGEST, size=10, path=FILE):
        pass

    assert files(tmp_path) == []


def test_two_runs_at_once_do_not_share_an_upload(tmp_path: Path, told: Told) -> None:
    upload = recorded(tmp_path)
    with journal(tmp_path).claimed(DIGEST, size=10, path=FILE) as first:
        with journal(tmp_path, told).claimed(DIGEST, size=10, path=FILE) as second:
            assert second.entry is None
            second.record(UploadId.generate(), {})
            assert not second.is_kept
        assert first.entry is not None

    assert known(tmp_path) == upload
    assert told.texts == []


def test_an_upload_that_was_begun_anew_is_locked_as_well(tmp_path: Path) -> None:
    recorded(tmp_path)
    with journal(tmp_path).claimed(DIGEST, size=10, path=FILE) as first:
        first.record(UploadId.generate(), {})
        with journal(tmp_path).claimed(DIGEST, size=10, path=FILE) as second:
            assert second.entry is None

    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"\x00" * 100, b'{"upload": 5}', b"[]" * 20_000])
def test_a_damaged_entry_is_none(tmp_path: Path, told: Told, content: bytes) -> None:
    recorded(tmp_path)
    files(tmp_path)[0].write_bytes(content)

    with journal(tmp_path, told).claimed(DIGEST, size=10, path=FILE) as claim:
        assert claim.entry is None
        claim.record(upload := UploadId.generate(), {})

    assert known(tmp_path) == upload
    assert told.texts == []


def test_old_and_damaged_entries_are_removed(tmp_path: Path) -> None:
    recorded(tmp_path, max_age=60)
    upload = recorded(tmp_path, digest=OTHER, max_age=3600)
    for file in files(tmp_path):
        os.utime(file, (file.stat().st_mtime - 100,) * 2)
    (tmp_path / "uploads" / "damaged.json").write_bytes(b"{")
    (tmp_path / "uploads" / "folder.json").mkdir()

    assert list(journal(tmp_path).outdated({})) == []
    assert (known(tmp_path), known(tmp_path, digest=OTHER)) == (None, upload)
    assert not (tmp_path / "uploads" / "damaged.json").exists()


def test_an_upload_that_advances_stays(tmp_path: Path) -> None:
    recorded(tmp_path, max_age=60)
    (file,) = files(tmp_path)
    os.utime(file, (file.stat().st_mtime - 100,) * 2)
    with journal(tmp_path).claimed(DIGEST, size=10, path=FILE) as claim:
        claim.touch()

    list(journal(tmp_path).outdated({}))

    assert files(tmp_path) == [file]


def test_the_upload_of_a_file_that_has_other_content_now_is_named_and_removed(tmp_path: Path) -> None:
    upload = recorded(tmp_path)
    elsewhere = journal(tmp_path, namespace="other")

    assert list(elsewhere.outdated({FILE: OTHER})) == []
    assert list(journal(tmp_path).outdated({FILE: DIGEST, Path("/other"): OTHER})) == []
    assert list(journal(tmp_path).outdated({FILE: OTHER})) == [upload]
    assert files(tmp_path) == []


def test_an_upload_in_use_is_never_outdated(tmp_path: Path) -> None:
    recorded(tmp_path)
    with journal(tmp_path).claimed(DIGEST, size=10, path=FILE):
        assert list(journal(tmp_path).outdated({FILE: OTHER})) == []


def test_a_cache_folder_that_cannot_be_used_is_told_once(tmp_path: Path, told: Told) -> None:
    (tmp_path / "cache").write_text("this is no folder")
    broken = journal(tmp_path / "cache", told)

    for digest in (DIGEST, OTHER):
        with broken.claimed(digest, size=10, path=FILE) as claim:
            claim.record(UploadId.generate(), {})
            claim.touch()
            assert not claim.is_kept

    assert list(broken.outdated({FILE: OTHER})) == []
    assert len(told.texts) == 1
    assert "will begin anew" in told.texts[0]


def test_what_a_killed_run_left_half_written_is_in_nobodys_way(tmp_path: Path, told: Told) -> None:
    recorded(tmp_path)
    half = files(tmp_path)[0].with_suffix(".new")
    half.write_bytes(b"{" * 1000)

    with journal(tmp_path, told).claimed(DIGEST, size=10, path=FILE) as claim:
        claim.record(upload := UploadId.generate(), {})

    assert known(tmp_path) == upload
    assert not half.exists()
    assert told.texts == []


def test_an_entry_that_is_not_written_whole_leaves_none(tmp_path: Path, told: Told) -> None:
    with journal(tmp_path, told).claimed(DIGEST, size=10, path=FILE) as claim:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "submission.staging.upload_journal.os.write", lambda _descriptor, _data: 3
            )  # as on a full disk
            claim.record(UploadId.generate(), {})
        assert not claim.is_kept

    assert files(tmp_path) == []
    assert len(told.texts) == 1
