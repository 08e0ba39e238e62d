"""What an HDFS may answer and the real one of the tests does not: refusals, tokens, HttpFS, Hadoop 3, and lies."""

import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from resolver.sources.base import Checksum
from resolver.sources.hdfs import cluster
from resolver.sources.hdfs.source import HdfsSource
from staging_protocol.errors import (
    Denied,
    InvalidRequest,
    NotFound,
    RefusedByPolicy,
    SourceChanged,
    SourceUnavailable,
    StagingError,
    TooManyRequests,
    Unauthenticated,
)
from staging_protocol.sources import HdfsNameservice, HdfsSources
from staging_protocol.uris import DependencyUri
from tests.contracts.source import CONTENT, read
from tests.resolver.fake_hdfs import FakeHdfs, Said, listing_of, says, status_of, throws
from tests.resolver.hdfs import way_out

A_JAR = DependencyUri.parse("hdfs://ns/a.jar")
FOLDER = DependencyUri(scheme="hdfs", authority="ns", path="/libs/")
TOKEN = "HAAEaGRmcwRoZGZzAIoBogSGY2mKAaIokudpAQ"


@pytest.fixture
def hdfs() -> Iterator[FakeHdfs]:
    with FakeHdfs() as server:
        server.has(CONTENT)
        yield server


@pytest.fixture
def source(hdfs: FakeHdfs) -> Iterator[HdfsSource]:
    with way_out(HdfsSources(nameservices={"ns": HdfsNameservice(urls=(hdfs.url,))}, user="alice")) as out:
        yield HdfsSource(out)


# --- refusals


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        (
            throws("FileNotFoundException", "File does not exist: /a.jar", status=404),
            NotFound,
            "does not exist: /a.jar",
        ),
        (throws("AccessControlException", "Permission denied: user=alice"), Denied, "the user alice (hdfs.user"),
        (throws("AuthorizationException"), Denied, "the user alice"),
        (throws("SecurityException", "about a token"), Unauthenticated, "does not take the user alice"),
        (throws("InvalidToken", "about a token"), Unauthenticated, "expired, cancelled or wrong"),
        (throws("StandbyException"), SourceUnavailable, "answers StandbyException: a word from Java"),
        (throws("RetriableException", "Namenode is in startup mode"), SourceUnavailable, "in startup mode"),
        (throws("SafeModeException"), SourceUnavailable, "SafeModeException"),
        (throws("BlockMissingException"), SourceUnavailable, "BlockMissingException"),
        (throws("IOException", "No active nodes contain this block"), SourceUnavailable, "No active nodes"),
        (throws("RuntimeException", status=500), SourceUnavailable, "RuntimeException"),
        (throws("UnsupportedOperationException", status=400), InvalidRequest, "is refused by http://127.0.0.1:"),
        (throws("IllegalArgumentException", status=400), InvalidRequest, "is refused by"),
        (throws("UnresolvedPathException"), InvalidRequest, "is refused by"),
        (Said(401, b"<html>"), Unauthenticated, "fetch a delegation token (hdfs fetchdt)"),
        (Said(407), Denied, "the proxy before"),
        (Said(429, headers={"Retry-After": "7"}), TooManyRequests, "answers 429"),
        (Said(502, b"<html>"), SourceUnavailable, "answers 502"),
        (Said(403, b"<html>"), InvalidRequest, "does not serve WebHDFS"),
        (Said(404, b"<html>"), InvalidRequest, "does not serve WebHDFS"),
        (Said(403, b"{", {"Content-Type": "application/json"}), InvalidRequest, "does not serve WebHDFS"),
        (Said(200, b"<html>"), InvalidRequest, "does not serve WebHDFS"),
        (says({"FileStatus": {"type": "FILE", "length": -1}}), SourceUnavailable, "is not understood"),
        (Said(200, b"{", {"Content-Type": "application/json"}), SourceUnavailable, "is not understood"),
    ],
)
def test_each_refusal_has_its_error(
    hdfs: FakeHdfs, source: HdfsSource, said: Said, error: type[StagingError], words: str
) -> None:
    hdfs.answers["GETFILESTATUS"] = [said]
    with pytest.raises(error) as caught:
        source.stat(A_JAR)
    assert type(caught.value) is error
    assert words in caught.value.detail
    assert "\n" not in caught.value.detail
    assert "about a token" not in caught.value.detail


def test_a_word_from_java_cannot_write_to_a_terminal(hdfs: FakeHdfs, source: HdfsSource) -> None:
    hdfs.answers["GETFILESTATUS"] = [throws("IOException", "\x1b[2J" + "long " * 1000)]
    with pytest.raises(SourceUnavailable) as caught:
        source.stat(A_JAR)
    assert "\x1b" not in caught.value.detail
    assert len(caught.value.detail) < 500


# --- tokens


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "hdfs" / "token"
    path.parent.mkdir()
    path.write_text(f"{TOKEN}\n")
    return path


@pytest.fixture
def with_token(hdfs: FakeHdfs, token_file: Path) -> Iterator[HdfsSource]:
    service = HdfsNameservice(urls=(hdfs.url,), user="alice", delegation_token="hdfs/token")
    with way_out(HdfsSources(nameservices={"ns": service}), secrets=token_file.parent.parent) as out:
        yield HdfsSource(out)


def test_a_token_is_sent_instead_of_a_user(hdfs: FakeHdfs, with_token: HdfsSource, token_file: Path) -> None:
    assert read(with_token, A_JAR) == CONTENT
    for asked in hdfs.asked:
        if asked.operation != "DATA":
            assert asked.parameters["delegation"] == TOKEN
            assert "user.name" not in asked.parameters
    assert with_token.identity(A_JAR).startswith(f"the delegation token in {token_file} (hdfs.nameservices.ns.")


def test_a_token_that_was_replaced_is_used_at_once(hdfs: FakeHdfs, with_token: HdfsSource, token_file: Path) -> None:
    with_token.stat(A_JAR)
    token_file.write_text("BETTER" + TOKEN)
    with_token.stat(A_JAR)
    assert hdfs.asked[0].parameters["delegation"] == TOKEN
    assert hdfs.asked[-1].parameters["delegation"] == f"BETTER{TOKEN}"


def test_a_datanode_gets_what_the_namenode_put_into_the_redirect(hdfs: FakeHdfs, source: HdfsSource) -> None:
    hdfs.answers["OPEN"] = [hdfs.redirect(more="&delegation=for-this-file-only&namenoderpcaddress=nn:8020")]
    assert read(source, A_JAR) == CONTENT
    (data,) = (asked for asked in hdfs.asked if asked.operation == "DATA")
    assert data.parameters == {"delegation": "for-this-file-only", "namenoderpcaddress": "nn:8020"}


@pytest.mark.parametrize("said", [throws("InvalidToken", TOKEN), throws("SecurityException", TOKEN), Said(401)])
def test_a_token_that_is_not_taken_is_not_repeated(hdfs: FakeHdfs, with_token: HdfsSource, said: Said) -> None:
    hdfs.answers["GETFILESTATUS"] = [said]
    with pytest.raises(Unauthenticated) as caught:
        with_token.stat(A_JAR)
    assert TOKEN not in caught.value.detail
    assert "the delegation token in" in caught.value.detail


def test_a_token_does_not_travel_in_clear_text(token_file: Path) -> None:
    service = HdfsNameservice(urls=("http://namenode.invalid:9870",), delegation_token=str(token_file))
    given = HdfsSources(nameservices={"ns": service})
    with way_out(given) as out, pytest.raises(RefusedByPolicy) as caught:
        HdfsSource(out).stat(A_JAR)
    assert TOKEN not in caught.value.detail
    with way_out(given, allow_plain_http=True) as out, pytest.raises(SourceUnavailable):
        HdfsSource(out).stat(A_JAR)


def test_a_redirect_does_not_carry_a_token_in_clear_text(hdfs: FakeHdfs, with_token: HdfsSource) -> None:
    hdfs.answers["OPEN"] = [hdfs.redirect(f"http://datanode.invalid:9864/webhdfs/v1/a.jar?delegation={TOKEN}")]
    with pytest.raises(RefusedByPolicy) as caught:
        read(with_token, A_JAR)
    assert TOKEN not in caught.value.detail


def test_a_token_file_that_is_not_there_is_named(hdfs: FakeHdfs) -> None:
    service = HdfsNameservice(urls=(hdfs.url,), delegation_token="/nonexistent/token")
    with way_out(HdfsSources(nameservices={"ns": service})) as out, pytest.raises(InvalidRequest, match="/nonexistent"):
        HdfsSource(out).stat(A_JAR)


# --- redirects


@pytest.mark.parametrize("place", ["", "file:///etc/passwd", "http://", "http://a:b/", "//127.0.0.1/a"])
def test_a_redirect_to_what_is_no_url_is_not_followed(hdfs: FakeHdfs, source: HdfsSource, place: str) -> None:
    hdfs.answers["OPEN"] = [Said(307, headers={"Location": place})]
    with pytest.raises(InvalidRequest, match="redirects to what is no URL"):
        read(source, A_JAR)


def test_only_one_redirect_is_followed(hdfs: FakeHdfs, source: HdfsSource) -> None:
    hdfs.answers["DATA"] = [hdfs.redirect()]
    with pytest.raises(InvalidRequest, match="answers 307"):
        read(source, A_JAR)
    assert hdfs.operations().count("DATA") == 1


def test_a_dead_datanode_is_left_out_of_the_next_question(hdfs: FakeHdfs, source: HdfsSource) -> None:
    hdfs.answers["OPEN"] = [hdfs.redirect("http://localhost:9/webhdfs/v1/a.jar?op=OPEN"), hdfs.redirect()]
    assert read(source, A_JAR) == CONTENT
    assert [one.parameters.get("excludedatanodes") for one in hdfs.asked if one.operation == "OPEN"] == [
        None, "127.0.0.1",
    ]  # fmt: skip


def test_when_no_other_datanode_has_it_the_dead_one_is_named_and_asked_again_later(
    hdfs: FakeHdfs, source: HdfsSource
) -> None:
    dead = hdfs.redirect("http://127.0.0.1:9/webhdfs/v1/a.jar?op=OPEN")
    hdfs.answers["OPEN"] = [dead, throws("IOException", "No active nodes contain this block"), hdfs.redirect()]
    with pytest.raises(SourceUnavailable, match=r"http://127\.0\.0\.1:9 does not answer"):
        read(source, A_JAR)
    assert read(source, A_JAR) == CONTENT
    assert "excludedatanodes" not in next(one for one in reversed(hdfs.asked) if one.operation == "OPEN").parameters


def test_a_namenode_that_names_the_dead_one_again_is_not_asked_for_ever(hdfs: FakeHdfs, source: HdfsSource) -> None:
    hdfs.answers["OPEN"] = [hdfs.redirect("http://127.0.0.1:9/webhdfs/v1/a.jar?op=OPEN")]
    with pytest.raises(SourceUnavailable, match=r"http://127\.0\.0\.1:9 does not answer"):
        read(source, A_JAR)
    assert hdfs.operations().count("OPEN") == 2


# --- files


def test_a_file_without_an_id_has_a_weak_version(hdfs: FakeHdfs, source: HdfsSource) -> None:
    hdfs.has(CONTENT, fileId=0)
    version = source.stat(A_JAR).version
    assert version is not None
    assert not version.strong


def test_httpfs_gives_the_bytes_itself_and_does_not_say_how_many(hdfs: FakeHdfs, source: HdfsSource) -> None:
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(CONTENT), CONTENT)
    hdfs.answers["OPEN"] = [Said(200, chunked, {"Content-Length": "", "Transfer-Encoding": "chunked"})]
    with source.read(A_JAR, version=None, start=0, stop=None) as reading:
        assert reading.stop == len(CONTENT)
    assert read(source, A_JAR) == CONTENT


def test_a_file_that_is_still_being_written_is_not_taken_for_a_whole_one(hdfs: FakeHdfs, source: HdfsSource) -> None:
    hdfs.answers["GETFILESTATUS"] = [says({"FileStatus": status_of(b"")})]
    with pytest.raises(SourceChanged, match="still being written"):
        read(source, A_JAR)


@pytest.mark.parametrize(
    ("algorithm", "stated"),
    [
        ("COMPOSITE-CRC32C", (Checksum(algorithm="crc32c", value=b"\x01\x02\x03\x04"),)),
        ("COMPOSITE-CRC32", (Checksum(algorithm="crc32", value=b"\x01\x02\x03\x04"),)),
        ("MD5-of-0MD5-of-512CRC32C", ()),
    ],
)
def test_only_a_checksum_of_the_bytes_is_stated(
    hdfs: FakeHdfs, source: HdfsSource, algorithm: str, stated: tuple[Checksum, ...]
) -> None:
    answer = {"FileChecksum": {"algorithm": algorithm, "bytes": "01020304", "length": 4}}
    hdfs.answers["GETFILECHECKSUM"] = [hdfs.redirect(operation="SUM")]
    hdfs.answers["SUM"] = [says(answer)]
    with source.read(A_JAR, version=None, start=0, stop=None) as reading:
        assert reading.stat.checksums == stated
    assert source.stat(A_JAR).checksums == stated
    assert hdfs.operations().count("SUM") == (2 if stated else 1)


def test_a_checksum_that_fails_now_does_not_keep_the_bytes_back(hdfs: FakeHdfs, source: HdfsSource) -> None:
    value = zlib.crc32(CONTENT).to_bytes(4, "big")
    good = says({"FileChecksum": {"algorithm": "COMPOSITE-CRC32", "bytes": value.hex(), "length": 4}})
    hdfs.answers["GETFILECHECKSUM"] = [throws("IOException", "Fail to get block MD5"), good]
    assert read(source, A_JAR) == CONTENT
    assert source.stat(A_JAR).checksums == (Checksum(algorithm="crc32", value=value),)


# --- listings


def folder_entry(name: str, **fields: object) -> dict[str, object]:
    return status_of(b"", pathSuffix=name, **fields)


def batch(*names: str, remaining: int) -> Said:
    listing = listing_of(*(folder_entry(name) for name in names))
    return says({"DirectoryListing": {"partialListing": listing, "remainingEntries": remaining}})


def test_pages_follow_one_another(hdfs: FakeHdfs, source: HdfsSource) -> None:
    hdfs.answers["LISTSTATUS_BATCH"] = [batch("a", "ö&", remaining=1), batch("z", remaining=0)]
    assert [one.uri.text for one in source.list(FOLDER, deep=False)] == [
        "hdfs://ns/libs/a", "hdfs://ns/libs/%C3%B6%26", "hdfs://ns/libs/z",
    ]  # fmt: skip
    assert [asked.parameters.get("startAfter") for asked in hdfs.asked] == [None, "ö&"]


@pytest.mark.parametrize("names", [(), ("a",)])
def test_pages_that_do_not_go_on_are_an_error(hdfs: FakeHdfs, source: HdfsSource, names: tuple[str, ...]) -> None:
    hdfs.answers["LISTSTATUS_BATCH"] = [batch("a", remaining=5), batch(*names, remaining=5)]
    with pytest.raises(SourceUnavailable, match="does not go on"):
        list(source.list(FOLDER, deep=False))


def test_a_hundred_thousand_entries_are_listed(hdfs: FakeHdfs, source: HdfsSource) -> None:
    hdfs.answers["LISTSTATUS"] = [says(listing_of(*(folder_entry(f"{number}.jar") for number in range(100_000))))]
    assert sum(1 for _ in source.list(FOLDER, deep=True)) == 100_000


def test_a_listing_that_does_not_fit_into_memory_is_refused(
    hdfs: FakeHdfs, source: HdfsSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_MAX_JSON", 1000)
    hdfs.answers["LISTSTATUS"] = [says(listing_of(*(folder_entry(f"{number}.jar") for number in range(20))))]
    with pytest.raises(InvalidRequest, match="name a smaller folder"):
        list(source.list(FOLDER, deep=True))


@pytest.mark.parametrize("name", ["..", ".", "a/../../b", "line\nfeed", "\x1b[2J", "tab\t", "a\\b", "C:", "#?*[]"])
def test_whatever_a_name_is_it_stays_inside_its_place_in_the_uri(hdfs: FakeHdfs, source: HdfsSource, name: str) -> None:
    hdfs.answers["LISTSTATUS"] = [says(listing_of(folder_entry(name)))]
    (one,) = source.list(FOLDER, deep=False)
    prefix, _, last = one.uri.path.rpartition("/")
    assert prefix == "/libs"
    assert not set(last) & set("/\\\n\t\x1b#?*[]:")


@pytest.mark.parametrize("name", ["..", ".", "a/b"])
def test_a_folder_that_cannot_be_one_is_not_walked(hdfs: FakeHdfs, source: HdfsSource, name: str) -> None:
    hdfs.answers["LISTSTATUS"] = [says(listing_of(folder_entry(name, type="DIRECTORY")))]
    with pytest.raises(InvalidRequest, match="cannot have"):
        list(source.list(FOLDER, deep=True))


def test_folders_without_an_end_are_walked_until_a_path_is_too_long(hdfs: FakeHdfs, source: HdfsSource) -> None:
    hdfs.answers["LISTSTATUS"] = [says(listing_of(folder_entry("d" * 500, type="DIRECTORY")))]
    with pytest.raises(InvalidRequest, match="cannot have"):
        list(source.list(FOLDER, deep=True))


def test_more_folders_than_anybody_has_are_an_error(hdfs: FakeHdfs, source: HdfsSource) -> None:
    folders = (folder_entry(str(number), type="DIRECTORY") for number in range(10_001))
    hdfs.answers["LISTSTATUS"] = [says(listing_of(*folders)), says(listing_of())]
    with pytest.raises(InvalidRequest, match="more than 10000 folders"):
        list(source.list(FOLDER, deep=True))


def test_a_link_is_listed_and_says_nothing_of_itself(hdfs: FakeHdfs, source: HdfsSource) -> None:
    hdfs.answers["LISTSTATUS"] = [says(listing_of(folder_entry("link", type="SYMLINK", symlink="/etc")))]
    (one,) = source.list(FOLDER, deep=True)
    assert one.stat.size is None
