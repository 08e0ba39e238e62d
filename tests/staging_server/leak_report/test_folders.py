"""Folders are listed as they are, whoever may write into them, and never written to."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from staging_protocol.errors import InvalidRequest, NotFound
from staging_server.leak_report.places import open_store
from staging_server.leak_report.stores import Problems, StoredFile
from tests.staging_server.leak_report.asking import report, run
from tests.staging_server.leak_report.conftest import GOLDEN, Uploads, read_golden

_NOBODY = 65534


def _listed(root: Path, problems: Problems | None = None) -> dict[str, list[str]]:
    told = problems or Problems()
    with open_store(str(root)) as store:
        return {folder.path: sorted(file.name for file in store.files(folder, told)) for folder in store.folders(told)}


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_what_stock_spark_uploads_is_found(golden: Path, uploads: Uploads) -> None:
    record = read_golden(golden)
    uploads.add_golden(record)

    assert _listed(uploads.root) == {
        folder: [file] for folder, _, file in (path.partition("/") for path in record["tree"])
    }


def test_folders_are_found_below_paths_that_change_by_month(uploads: Uploads) -> None:
    name = uploads.add({"app.jar": b"x", "deep/er/data": b""}, at="2026/10")
    (uploads.root / f"spark-upload-{'x' * 36}").mkdir()
    (uploads.root / f"spark-upload-{str(uuid4()).upper()}-old").mkdir()
    (uploads.root / f"spark-upload-{uuid4()}").write_bytes(b"a file")

    assert _listed(uploads.root) == {f"2026/10/{name}": ["app.jar", "deep/er/data"]}


def test_links_lead_nowhere(uploads: Uploads, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    Uploads(outside).add({"secret": b"x" * 100})
    name = uploads.add({"app.jar": b"x"})
    (uploads.root / name / "out").symlink_to(outside)
    (uploads.root / f"spark-upload-{uuid4()}").symlink_to(next(outside.iterdir()))
    (uploads.root / "month").symlink_to(outside)
    (uploads.root / "loop").symlink_to(uploads.root)

    found = report(uploads.root)

    assert found["total"]["folders"] == 1
    assert found["total"]["bytes"] == 1
    assert found["complete"]


def test_a_folder_that_becomes_a_link_while_it_is_looked_at_leads_nowhere(uploads: Uploads, tmp_path: Path) -> None:
    outside = Uploads(tmp_path / "outside")
    name = uploads.add({"app.jar": b"x"}, at="month")
    problems, file = Problems(), StoredFile(name="app.jar", size=1, modified=0)
    with open_store(str(uploads.root)) as store:
        (folder,) = store.folders(problems)
        (uploads.root / "month").rename(outside.root / "month")
        (uploads.root / "month").symlink_to(outside.root / "month")

        assert list(store.files(folder, problems)) == []
        assert store.sha256(folder, file, problems) is None

    assert [path for path, _ in problems.first] == [f"{uploads.root}/month/{name}{rest}" for rest in ("", "/app.jar")]


def test_pipes_are_not_waited_for(uploads: Uploads) -> None:
    name = uploads.add({"app.jar": b"x"})
    os.mkfifo(uploads.root / name / "pipe")
    with open_store(str(uploads.root)) as store:
        (folder,) = store.folders(Problems())
        sizes = {file.name: file.size for file in store.files(folder, Problems())}
        assert sizes == {"app.jar": 1, "pipe": 0}
        store.sha256(folder, StoredFile(name="pipe", size=1, modified=0), Problems())


def test_what_vanishes_meanwhile_is_no_problem(uploads: Uploads) -> None:
    name, problems = uploads.add({"app.jar": b"x"}), Problems()
    with open_store(str(uploads.root)) as store:
        (folder,) = store.folders(problems)
        (file,) = store.files(folder, problems)
        (uploads.root / name / "app.jar").unlink()
        assert store.sha256(folder, file, problems) is None
        (uploads.root / name).rmdir()
        assert list(store.files(folder, problems)) == []
    assert problems.count == 0


def test_a_folder_that_is_too_deep_is_told_and_the_others_are_counted(uploads: Uploads) -> None:
    uploads.add({"app.jar": b"x"})
    uploads.add({"app.jar": b"x"}, at="d/" * 64 + "d")

    found = report(uploads.root, code=41)

    assert found["total"]["folders"] == 1
    assert found["unreadable"] == [
        {"path": str(uploads.root / ("d/" * 64 + "d")), "reason": "more than 64 folders deep"}
    ]
    assert "could not be read, so the sums are too small" in run(uploads.root).stdout


@contextmanager
def _as_somebody_else() -> Iterator[None]:
    before = os.geteuid()
    os.seteuid(_NOBODY if before == 0 else before)
    try:
        yield
    finally:
        os.seteuid(before)


def test_reading_needs_no_right_to_write_and_what_may_not_be_read_is_listed() -> None:
    with tempfile.TemporaryDirectory(prefix="uploads-") as folder:
        Path(folder).chmod(0o755)
        uploads = Uploads(Path(folder) / "root")
        names = [uploads.add({"same.jar": b"x" * 10}) for _ in range(4)]
        closed = uploads.root / names[0], uploads.root / names[1] / "same.jar"
        for path in uploads.root.rglob("*"):
            path.chmod(0o555 if path.is_dir() else 0o444)
        for path in closed:
            path.chmod(0)
        with _as_somebody_else():
            found = report(uploads.root, code=41)
        for path in uploads.root.rglob("*"):
            path.chmod(0o755)

    assert found["unreadable"] == [{"path": str(path), "reason": "Permission denied"} for path in closed]
    assert found["unreadable_count"] == 2
    assert not found["complete"]
    assert found["total"] | {"per_month": 0, "until_now": 0} == {
        "folders": 4, "files": 3, "bytes": 30, "per_month": 0, "until_now": 0,
    }  # fmt: skip
    assert found["equal"]["files"] == 1


def test_a_file_uri_is_a_folder(uploads: Uploads, tmp_path: Path) -> None:
    name = uploads.add({"app.jar": b"x"})
    uploads.root.rename(tmp_path / "up loads")
    with open_store(f"file://{tmp_path}/up%20loads") as store:
        assert [folder.path for folder in store.folders(Problems())] == [name]
    with open_store(f"file:{tmp_path}/up%20loads") as store:
        assert [folder.path for folder in store.folders(Problems())] == [name]


@pytest.mark.parametrize("place", ["hdfs://nn:8020/tmp", "gs://bucket", "abfss://c@a/x"])
def test_another_store_says_what_is_possible(place: str) -> None:
    done = run(place)

    assert done.exit_code == 2
    assert f"{place.partition(':')[0]}:// cannot be listed; only folders and s3a://" in done.stderr
    assert "mount it read-only" in done.stderr


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="is not there"), open_store(str(tmp_path / "missing")):
        pass
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InvalidRequest, match="Not a directory"), open_store(str(tmp_path / "file")):
        pass
    assert run(tmp_path / "missing").exit_code == 40
