"""Small disks of their own for tests: real mounts, which need root and are gone afterwards."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import missing


@dataclass(frozen=True, kw_only=True)
class Disk:
    """A file system of a few MiB at `folder`."""

    folder: Path

    def fill(self, *, leave: int = 0) -> None:
        """Take all the room but `leave` bytes away."""
        status = os.statvfs(self.folder)
        size = status.f_bfree * status.f_frsize - leave
        with self._ballast.open("ab") as ballast:
            try:
                os.posix_fallocate(ballast.fileno(), ballast.tell(), max(size, 1))
            except OSError:
                _write_until_full(ballast.fileno())

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)

    def read_only(self, on: bool) -> None:  # noqa: FBT001 - it is the state
        """Remount it; the kernel refuses that while a file on it is open for writing."""
        _mount("-o", f"remount,{'ro' if on else 'rw'}", str(self.folder))

    def break_down(self) -> None:
        """Let it be read-only as after an error of the disk, whoever writes to it (ext4)."""
        _mount("-o", "remount,abort", str(self.folder))

    def repair(self, image: Path) -> None:
        """Mount it anew, as after an administrator's work; nobody may use it."""
        unmount(self.folder)
        subprocess.run(["fsck.ext4", "-p", str(image)], check=False, capture_output=True)
        mount_image(image, self.folder)

    @property
    def _ballast(self) -> Path:
        return (
            self.folder / "lost+found" / "ballast" if (self.folder / "lost+found").is_dir() else self.folder / "ballast"
        )


def _write_until_full(descriptor: int) -> None:
    for size in (1 << 20, 1 << 12, 1):
        try:
            while True:
                os.write(descriptor, bytes(size))
        except OSError:
            continue


@contextmanager
def tmpfs(folder: Path, *, size: int) -> Iterator[Disk]:
    """Mount a disk in memory."""
    _require_root()
    folder.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield Disk(folder=folder)
    finally:
        # Lazily: after a failure somebody may still be at it, and what failed must be what the test tells.
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


def make_image(image: Path, *, size: int) -> None:
    """Make an empty file system of the kind that servers have, with blocks reserved for root."""
    _require_root()
    with image.open("wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "1", str(image)], check=True, capture_output=True)


def mount_image(image: Path, folder: Path) -> None:
    """Mount an image; nothing is written to it but what is asked for.

    No commit of the journal every 5 seconds, no bytes before a commit (data=writeback), none because of a rename.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _mount("-o", "loop,commit=300,data=writeback,noauto_da_alloc", str(image), str(folder))


def unmount(folder: Path) -> None:
    """Take a disk away."""
    subprocess.run(["umount", str(folder)], check=True, capture_output=True)


@contextmanager
def ext4(image: Path, folder: Path, *, size: int) -> Iterator[Disk]:
    """Make an image, mount it, and take it away at the end."""
    make_image(image, size=size)
    mount_image(image, folder)
    try:
        yield Disk(folder=folder)
    finally:
        # Lazily: after a failure somebody may still be at it, and what failed must be what the test tells.
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


def cut_power(image: Path, folder: Path) -> None:
    """Take the power away: of the disk at `folder` stays what was written to `image` until now, and is mounted again.

    Whoever used it must be dead.  What the kernel still had in memory goes to the old image, which is thrown away.
    """
    after = image.with_suffix(".after")
    shutil.copyfile(image, after)
    unmount(folder)
    after.rename(image)
    mount_image(image, folder)


def _mount(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["mount", *arguments], check=False, capture_output=True, text=True)
    if check and done.returncode != 0:
        missing(f"cannot mount: {done.stderr.strip()}")
    return done


def _require_root() -> None:
    if os.geteuid() != 0:
        missing("mounting a small disk needs root")
    for program in ("mount", "umount", "mkfs.ext4"):
        if shutil.which(program) is None:
            missing(f"{program} is missing; on Debian: apt-get install mount e2fsprogs")
