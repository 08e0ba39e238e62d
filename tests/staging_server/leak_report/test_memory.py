"""Memory does not grow with the number of folders."""

import os
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from staging_server.leak_report.judging import Jobs
from staging_server.leak_report.making import make_report
from staging_server.leak_report.places import open_store
from staging_server.leak_report.stores import Problems, StoredFile, UploadFolder, UploadStore
from staging_server.leak_report.summing import Rules

_FOLDERS = 30_000
_MIB = 1024 * 1024
_RULES = Rules(jobs=Jobs(), now=datetime(2026, 11, 22, tzinfo=UTC))


@contextmanager
def _at_most(size: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size


def test_tens_of_thousands_of_folders_are_listed_and_summed_up_in_flat_memory(tmp_path: Path) -> None:
    for number in range(_FOLDERS):
        folder = f"{tmp_path}/spark-upload-{UUID(int=number)}"
        os.mkdir(folder)  # noqa: PTH102 - a Path for each takes as long as making it
        os.mknod(f"{folder}/app.jar")
    with open_store(str(tmp_path)) as store, _at_most(2 * _MIB):
        report = make_report(store, _RULES, delete="", was_read=None)
    assert report.total.folders == report.total.files == _FOLDERS


class _Endless:
    """A store with so many folders, whose files have other contents and sizes that come twice."""

    deletes = "true"

    def __init__(self, folders: int) -> None:
        self._folders = folders

    def shown(self, path: str) -> str:
        return path

    def folders(self, _problems: Problems) -> Iterator[UploadFolder]:
        return (UploadFolder(path=f"{number:032}", modified=0) for number in range(self._folders))

    def files(self, folder: UploadFolder, _problems: Problems) -> Iterator[StoredFile]:
        yield StoredFile(name="app.jar", size=10**9 + int(folder.path) // 2, modified=0)

    def sha256(self, folder: UploadFolder, _file: StoredFile, _problems: Problems) -> bytes | None:
        return folder.path.encode()


_: type[UploadStore] = _Endless


def test_what_is_remembered_of_sizes_and_contents_is_bounded() -> None:
    with _at_most(32 * _MIB):
        report = make_report(_Endless(130_000), _RULES, delete="", was_read=lambda _size: None)
    assert report.equal is not None
    assert (report.equal.files, report.equal.at_least) == (0, True)
