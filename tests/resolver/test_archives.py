"""Archives: a corpus of bad ones, each refused with nothing left behind, and good ones that come out equal."""

import io
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from resolver.archives import unpack
from resolver.records import Records
from resolver.settings import ArchiveLimits, ResolveSettings
from staging_protocol.errors import BadArchive, Terminated
from staging_protocol.manifest import Kind
from tests.resolver.conftest import QUICK, Resolving, entry
from tests.resolver.faulty_server import FaultyServer

LIMITS = ArchiveLimits(entries=50, size=100_000, depth=5, ratio=100)
Member = tuple[tarfile.TarInfo, bytes]


def file(name: str, content: bytes = b"x", *, mode: int = 0o644) -> Member:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(content), mode, 1_600_000_000
    return info, content


def special(name: str, kind: bytes, *, target: str = "") -> Member:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, 0o755
    return info, b""


def link(name: str, target: str) -> Member:
    return special(name, tarfile.SYMTYPE, target=target)


def hard(name: str, target: str) -> Member:
    return special(name, tarfile.LNKTYPE, target=target)


def folder(name: str) -> Member:
    return special(name, tarfile.DIRTYPE)


def tar(*members: Member, mode: str = "w", **options: object) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode=mode, format=tarfile.PAX_FORMAT, **options) as archive:  # type: ignore[call-overload]
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return raw.getvalue()


def pax(headers: dict[str, str], info: Member) -> Member:
    info[0].pax_headers = headers
    return info


def bad_header(*, kind: bytes, size: int) -> bytes:
    """A header whose size tarfile itself would not write."""
    info = tarfile.TarInfo("a")
    info.type = kind
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = size.to_bytes(12, "big", signed=True) if size < 0 else f"{size:011o} ".encode()
    if size < 0:
        block[124] = 0xFF
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block[:512]):06o}\0 ".encode()
    return bytes(block[:512]) + bytes(1024)


def zipped(*entries: tuple[zipfile.ZipInfo | str, bytes]) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, content in entries:
            archive.writestr(info, content)
    return raw.getvalue()


def unix(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    info.filename = info.orig_filename = name  # the constructor mends names
    return info


def overlapping() -> bytes:
    """Two directory entries for the same local header."""
    data = bytearray(zipped(("aaaa", b"x" * 1000), ("bbbb", b"y")))
    directory = data.rindex(b"PK\x01\x02", 0, data.rindex(b"PK\x01\x02"))
    second = data.index(b"PK\x01\x02", directory + 4)
    struct.pack_into("<L", data, second + 42, 0)
    return bytes(data)


def patched(data: bytes, old: bytes, new: bytes, *, last: bool = False) -> bytes:
    at = data.rindex(old) if last else data.index(old)
    return data[:at] + new + data[at + len(old) :]


def lying_size() -> bytes:
    """The directory says that 200,000 zeros are 10 bytes."""
    data = bytearray(zipped(("a", bytes(200_000))))
    struct.pack_into("<L", data, data.index(b"PK\x01\x02") + 24, 10)
    return bytes(data)


def encrypted() -> bytes:
    data = bytearray(zipped(("secret", b"x")))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


TAR_CORPUS: dict[str, Callable[[], bytes]] = {
    "absolute": lambda: tar(file("/etc/evil")),
    "parent": lambda: tar(file("../evil")),
    "parent inside": lambda: tar(file("a/../../evil")),
    "parent that stays": lambda: tar(file("a/../b")),
    "only parent": lambda: tar(folder("..")),
    "backslash": lambda: tar(file("..\\evil")),
    "drive": lambda: tar(file("C:/evil")),
    "newline": lambda: tar(file("a\nb")),
    "NUL by PAX": lambda: tar(pax({"path": "a\0b"}, file("a"))),
    "long component": lambda: tar(file("n" * 256)),
    "trailing space": lambda: tar(file("a ")),
    "no name": lambda: tar(file(".")),
    "twice": lambda: tar(file("a"), file("a")),
    "twice by another spelling": lambda: tar(file("d/a"), file("./d//a")),
    "file and folder": lambda: tar(file("a"), folder("a")),
    "folder and file": lambda: tar(folder("a"), file("a")),
    "below a file": lambda: tar(file("a"), file("a/b")),
    "two Unicode forms": lambda: tar(file("\u00f6"), file("o\u0308")),
    "two Unicode forms of a folder": lambda: tar(file("\u00f6/a"), file("o\u0308/b")),
    "absolute link": lambda: tar(link("bin/python", "/usr/bin/python3")),
    "link outside": lambda: tar(link("a", "../etc")),
    "link outside from deep": lambda: tar(link("d/e/a", "../../../x")),
    "link outside and back": lambda: tar(link("a", "../tree/b")),
    "empty link": lambda: tar(pax({"linkpath": ""}, link("a", ""))),
    "backslash link": lambda: tar(link("a", "..\\x")),
    "file through a link": lambda: tar(link("d", "e"), folder("e"), file("d/evil")),
    "file through a link outside": lambda: tar(link("work", "/etc"), file("work/hostname")),
    "link over a file": lambda: tar(file("a"), link("a", "b")),
    "link through a link": lambda: tar(link("a/up", "."), link("b", "a/up/../..")),
    "link through a later link": lambda: tar(link("x", "d/../.."), folder("s/deep"), link("d", "s")),
    "chain of links to outside": lambda: tar(link("a/b/1", "../.."), link("a/2", "b/1/..")),
    "link in a circle": lambda: tar(link("a", "b"), link("b", "a")),
    "link to itself": lambda: tar(link("a", "a")),
    "hard link outside": lambda: tar(hard("a", "../../etc/passwd")),
    "absolute hard link": lambda: tar(hard("a", "/etc/passwd")),
    "hard link to nothing": lambda: tar(hard("a", "b")),
    "hard link to a link": lambda: tar(link("b", "c"), hard("a", "b")),
    "hard link to a later file": lambda: tar(hard("a", "b"), file("b")),
    "device": lambda: tar(special("a", tarfile.CHRTYPE)),
    "block device": lambda: tar(special("a", tarfile.BLKTYPE)),
    "fifo": lambda: tar(special("a", tarfile.FIFOTYPE)),
    "sparse": lambda: bad_header(kind=tarfile.GNUTYPE_SPARSE, size=0),
    "unknown type": lambda: bad_header(kind=b"Q", size=0),
    "negative size": lambda: bad_header(kind=tarfile.REGTYPE, size=-512),
    "negative size of a long name": lambda: bad_header(kind=tarfile.GNUTYPE_LONGNAME, size=-512),
    "negative size by PAX": lambda: tar(pax({"size": "-1024"}, file("a")), file("b")),
    "huge long name": lambda: bad_header(kind=tarfile.GNUTYPE_LONGNAME, size=2**30),
    "huge PAX header": lambda: bad_header(kind=tarfile.XHDTYPE, size=2**30),
    "too many entries": lambda: tar(*(file(str(number)) for number in range(51))),
    "too deep": lambda: tar(file("a/b/c/d/e/f")),
    "too large": lambda: tar(file("a", bytes(100_001))),
    "too large together": lambda: tar(file("a", bytes(60_000)), file("b", bytes(60_000))),
    "cut in a file": lambda: tar(file("a", bytes(5000)))[:2000],
    "cut in a header": lambda: tar(file("a"), file("b"))[:1300],
    "cut between files": lambda: tar(file("a"), file("b"))[:1024],
    "no tar": lambda: b"this is no archive" * 100,
    "empty": lambda: b"",
}

ZIP_CORPUS: dict[str, Callable[[], bytes]] = {
    "parent": lambda: zipped((unix("../evil", 0o644), b"x")),
    "absolute": lambda: zipped((unix("/evil", 0o644), b"x")),
    "backslash": lambda: zipped((unix("..\\evil", 0o644), b"x")),
    "link outside": lambda: zipped((unix("a", stat.S_IFLNK | 0o777), b"../etc")),
    "absolute link": lambda: zipped((unix("a", stat.S_IFLNK | 0o777), b"/etc")),
    "huge link": lambda: zipped((unix("a", stat.S_IFLNK | 0o777), b"x" * 5000)),
    "through a link": lambda: zipped((unix("d", stat.S_IFLNK | 0o777), b"e"), ("d/x", b"x")),
    "device": lambda: zipped((unix("a", stat.S_IFCHR | 0o644), b"")),
    "fifo": lambda: zipped((unix("a", stat.S_IFIFO | 0o644), b"")),
    "two Unicode forms": lambda: zipped(("\u00f6", b"x"), ("o\u0308", b"x")),
    "too large": lambda: zipped(("a", bytes(100_001))),
    "too many entries": lambda: zipped(*((str(number), b"") for number in range(51))),
    "encrypted": encrypted,
    "overlapping": overlapping,
    "another local name": lambda: patched(zipped(("good", b"x")), b"good", b"evil"),
    "another listed name": lambda: patched(zipped(("good", b"x")), b"good", b"evil", last=True),
    "NUL in a name": lambda: zipped(("a\x01b", b"x")).replace(b"a\x01b", b"a\0b"),
    "wrong checksum": lambda: (
        patched(zipped((unix("a", 0o644), b"x" * 10)), b"x" * 10, b"x" * 9 + b"y")
        if b"x" * 10 in zipped((unix("a", 0o644), b"x" * 10))
        else b""
    ),
    "trailing bytes": lambda: zipped(("a", b"x")) + b"garbage",
    "cut": lambda: zipped(("a", b"x" * 500))[:-30],
    "a zip with a lying size": lying_size,
    "no zip": lambda: b"this is no archive",
    "empty": lambda: b"",
}


CORPUS = [pytest.param("x.tar", make, id=f"tar: {name}") for name, make in TAR_CORPUS.items()]
CORPUS += [pytest.param("x.zip", make, id=f"zip: {name}") for name, make in ZIP_CORPUS.items()]


def unpacked(tmp_path: Path, data: bytes, *, limits: ArchiveLimits = LIMITS) -> Path:
    archive, tree = tmp_path / "archive", tmp_path / "tree"
    archive.write_bytes(data)
    tree.mkdir()
    unpack(archive, tree, limits=limits, durable=False, check=lambda: None)
    return tree


def test_the_corpus_is_not_small() -> None:
    assert len(CORPUS) >= 60


@pytest.mark.parametrize(("name", "make"), CORPUS)
def test_a_bad_archive_is_refused_and_leaves_nothing(
    tmp_path: Path, resolving: Resolving, faulty: FaultyServer, name: str, make: Callable[[], bytes]
) -> None:
    data = make()
    uri = faulty.put(name, data)
    settings = ResolveSettings(retry=QUICK, archives=LIMITS)
    with pytest.raises(BadArchive) as caught:
        resolving(entry(uri, "env", kind=Kind.ARCHIVE, content=data), settings=settings)
    assert caught.value.exit_code == 47
    assert uri in caught.value.detail
    assert resolving.names() == set()
    assert {path.name for path in tmp_path.iterdir()} == {"volume"}


def test_an_absolute_link_is_told_how_to_pack(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match=r"conda-pack.*--copies"):
        unpacked(tmp_path, tar(link("bin/python", "/usr/bin/python3"), mode="w:gz"))


@pytest.mark.parametrize("data", [b"", b"text", b"Rar!\x1a\x07" + bytes(600), b"\x28\xb5\x2f\xfd" + bytes(600)])
def test_what_can_be_unpacked_is_said_for_other_formats(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BadArchive, match=r"\.tar\.gz"):
        unpacked(tmp_path, data)


def test_the_format_follows_from_the_content_as_staged_archives_have_the_name_of_their_target(
    resolving: Resolving, faulty: FaultyServer
) -> None:
    data = tar(*GOOD, mode="w:gz")
    resolving(entry(faulty.put("env", data), "env", kind=Kind.ARCHIVE, content=data))
    assert "env" in resolving.names()


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
def test_damaged_compression_is_a_bad_archive(tmp_path: Path, suffix: str) -> None:
    data = bytearray(tar(file("a", os.urandom(5000)), mode=f"w:{suffix}"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(BadArchive):
        unpacked(tmp_path, bytes(data))


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
def test_a_bomb_is_stopped(tmp_path: Path, suffix: str) -> None:
    quick = {"preset": 0} if suffix == "xz" else {"compresslevel": 1}
    bomb = tar(*(file(str(number), bytes(10_000_000)) for number in range(7)), mode=f"w:{suffix}", **quick)
    with pytest.raises(BadArchive, match="unpacks to more"):
        unpacked(tmp_path, bomb, limits=ArchiveLimits(ratio=50))
    assert sum(path.stat().st_size for path in (tmp_path / "tree").iterdir()) < 70_000_000


GOOD = (
    folder("./"),
    folder("bin"),
    file("./bin/tool", b"#!/bin/sh\n", mode=0o4755),
    file("lib/deep/er/data.bin", os.urandom(10_000)),
    file("lib/größe.txt", "größe".encode()),
    file("lib/" + "n" * 200 + ".txt", b"long"),
    file("lib/empty", b""),
    file("lib/secret", b"s", mode=0o600),
    link("bin/tool2", "tool"),
    link("lib64", "lib"),
    link("bin/data", "../lib64/deep/er/data.bin"),
    link("dangling", "lib/not-there"),
    link("back", "lib/deep/../deep"),
    hard("bin/hard", "bin/tool"),
    folder("empty-folder"),
)


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tgz", "tar.bz2", "tar.xz", "TAR.GZ"])
def test_a_good_tar_comes_out_equal(tmp_path: Path, suffix: str) -> None:
    form = suffix.lower().replace("tgz", "tar.gz").partition(".")[2]
    tree = unpacked(tmp_path, tar(*GOOD, mode=f"w:{form}"))
    assert (tree / "lib/deep/er/data.bin").read_bytes() == GOOD[3][1]
    assert (tree / "lib/größe.txt").read_text() == "größe"
    assert (tree / ("lib/" + "n" * 200 + ".txt")).read_bytes() == b"long"
    assert (tree / "bin/data").read_bytes() == GOOD[3][1]
    assert (tree / "lib64").readlink() == Path("lib")
    assert (tree / "dangling").is_symlink()
    assert (tree / "bin/hard").samefile(tree / "bin/tool")
    assert list((tree / "empty-folder").iterdir()) == []
    modes = {name: (tree / name).stat().st_mode & 0o7777 for name in ("bin/tool", "lib/secret", "lib", "lib/deep")}
    assert modes == {"bin/tool": 0o755, "lib/secret": 0o644, "lib": 0o755, "lib/deep": 0o755}
    assert (tree / "bin/tool").stat().st_mtime == 1_600_000_000


def test_a_good_zip_comes_out_equal(tmp_path: Path) -> None:
    data = zipped(
        (unix("bin/tool", stat.S_IFREG | 0o755), b"tool"), ("lib/", b""), ("lib/größe.txt", b"x"),
        (unix("python", stat.S_IFLNK | 0o777), b"bin/tool"), ("stored/empty", b""),
    )  # fmt: skip
    tree = unpacked(tmp_path, data)
    assert (tree / "python").read_bytes() == b"tool"
    assert (tree / "bin/tool").stat().st_mode & 0o7777 == 0o755
    assert (tree / "lib/größe.txt").read_bytes() == b"x"


def test_names_that_differ_in_letter_case_are_two_names_here(tmp_path: Path) -> None:
    tree = unpacked(tmp_path, tar(file("terminfo/E/eterm", b"1"), file("terminfo/e/eterm", b"2")))
    assert (tree / "terminfo/E/eterm").read_bytes() + (tree / "terminfo/e/eterm").read_bytes() == b"12"


def test_a_jar_is_unpacked_when_its_kind_is_archive_only(resolving: Resolving, faulty: FaultyServer) -> None:
    data = zipped(("a.class", b"x"))
    uri = faulty.put("x.jar", data)
    resolving(entry(uri, "tree", kind=Kind.ARCHIVE, content=data), entry(uri, "x.jar", kind=Kind.JAR, content=data))
    assert (resolving.folder / "tree/a.class").read_bytes() == b"x"
    assert (resolving.folder / "x.jar").read_bytes() == data


def test_a_second_run_does_not_unpack_again(resolving: Resolving, faulty: FaultyServer) -> None:
    data = tar(*GOOD, mode="w:gz")
    one = entry(faulty.put("e.tgz", data), "env", kind=Kind.ARCHIVE, content=data)
    assert [resolved.reused for resolved in resolving(one)] == [False]
    asked = len(faulty.requests)
    again = resolving(one)
    assert [(resolved.reused, resolved.size) for resolved in again] == [(True, len(data))]
    assert len(faulty.requests) == asked


def test_a_tree_that_changed_without_a_record_is_not_taken_for_the_one_before(
    resolving: Resolving, faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        msg = "between tree and record"
        raise Terminated(msg)

    one, two = tar(file("a", b"one")), tar(file("a", b"two"))
    first = entry(faulty.put("1.tar", one), "env", kind=Kind.ARCHIVE, content=one)
    resolving(first)
    second = entry(faulty.put("2.tar", two), "env", kind=Kind.ARCHIVE, content=two)
    with monkeypatch.context() as patched:
        patched.setattr(Records, "remember", killed)
        with pytest.raises(Terminated):
            resolving(second)
    assert (resolving.folder / "env/a").read_bytes() == b"two"
    assert not resolving(first)[0].reused
    assert (resolving.folder / "env/a").read_bytes() == b"one"
    assert resolving(first)[0].reused


def test_another_archive_replaces_the_tree(resolving: Resolving, faulty: FaultyServer) -> None:
    for content in (b"one", b"two"):
        data = tar(file("a", content))
        resolving(entry(faulty.put("e.tar", data), "env", kind=Kind.ARCHIVE, content=data))
        assert (resolving.folder / "env/a").read_bytes() == content
    assert {name for name in resolving.names() if not name.endswith(".jsonl")} == {"env"}


def test_unpacking_can_be_ended(tmp_path: Path) -> None:
    archive, tree = tmp_path / "archive", tmp_path / "tree"
    archive.write_bytes(tar(*GOOD))
    tree.mkdir()

    def end() -> None:
        msg = "the run was ended"
        raise Terminated(msg)

    with pytest.raises(Terminated):
        unpack(archive, tree, limits=LIMITS, durable=False, check=end)
    assert list(tree.iterdir()) == []
