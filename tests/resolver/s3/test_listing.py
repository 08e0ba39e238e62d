"""Listings of services that lie, and of names that would do harm; the honest ones are in the contract."""

from collections.abc import Iterator
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.sources.base import Listed
from resolver.sources.s3.source import S3Source
from staging_protocol.errors import Denied, InvalidRequest, NotFound, SourceUnavailable, StagingError
from staging_protocol.sources import S3Sources
from staging_protocol.uris import DependencyUri
from tests.resolver.s3.fake_aws import FakeAws, Reply, error
from tests.resolver.s3.served import way_out

FOLDER = DependencyUri.parse("s3a://bucket/lib/")
MANY = 100_000
"""Names of the largest listing."""


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeAws]:
    with FakeAws() as running:
        yield running


def listed(fake: FakeAws, *replies: Reply, deep: bool = True) -> list[Listed]:
    fake.answers, fake.asked = list(replies), []
    with way_out(S3Sources(endpoint=fake.url, anonymous=True)) as outside:
        return list(S3Source(outside).list(FOLDER, deep=deep))


def page(*keys: str, further: str | None = None, encoded: bool = True, more: str = "") -> Reply:
    """Return a page as S3 gives it."""
    contents = "".join(
        f"<Contents><Key>{name}</Key><Size>1</Size><ETag>&quot;1&quot;</ETag></Contents>"
        for name in map(quote_plus if encoded else escape, keys)
    )
    fields = f"<NextContinuationToken>{further}</NextContinuationToken>" if further else ""
    fields += f"<IsTruncated>{'true' if further else 'false'}</IsTruncated>"
    fields += "<EncodingType>url</EncodingType>" if encoded else ""
    document = f'<?xml version="1.0"?><ListBucketResult xmlns="x">{fields}{contents}{more}</ListBucketResult>'
    return Reply(200, document.encode())


@pytest.mark.parametrize("encoded", [True, False])
def test_names_are_listed_as_what_they_are(fake: FakeAws, *, encoded: bool) -> None:
    names = ["../../etc/passwd", "a/../b", "a//b", "\u202egpj.jar", "%2e%2e/x", "a+b c", "<x>&y;", "", "."]
    names += ["line\nbreak", "\x1b[2J"] if encoded else []  # XML has no escape characters
    found = listed(fake, page(*(f"lib/{name}" for name in names), encoded=encoded))
    assert [one.uri.path for one in found] == [
        "/lib/../../etc/passwd", "/lib/a/../b", "/lib/a//b", "/lib/%E2%80%AEgpj.jar", "/lib/%252e%252e/x",
        "/lib/a%2Bb%20c", "/lib/%3Cx%3E%26y%3B", "/lib/", "/lib/.",
        *(["/lib/line%0Abreak", "/lib/%1B%5B2J"] if encoded else []),
    ]  # fmt: skip


def test_pages_are_followed_by_their_tokens(fake: FakeAws) -> None:
    found = listed(fake, page("lib/a", further="1+/="), page(further="2"), page("lib/b"), deep=False)
    assert [one.uri.text for one in found] == ["s3a://bucket/lib/a", "s3a://bucket/lib/b"]
    assert [one.path for one in fake.asked] == [
        "/bucket/?delimiter=%2F&encoding-type=url&list-type=2&prefix=lib%2F",
        "/bucket/?continuation-token=1%2B%2F%3D&delimiter=%2F&encoding-type=url&list-type=2&prefix=lib%2F",
        "/bucket/?continuation-token=2&delimiter=%2F&encoding-type=url&list-type=2&prefix=lib%2F",
    ]


def test_what_was_not_asked_for_is_left_out(fake: FakeAws) -> None:
    keys = ["lib/a", "other/b", "lib/sub/c", "li"]
    assert [one.uri.path for one in listed(fake, page(*keys))] == ["/lib/a", "/lib/sub/c"]
    assert [one.uri.path for one in listed(fake, page(*keys), deep=False)] == ["/lib/a"]


def test_empty_objects_that_stand_for_folders_are_left_out(fake: FakeAws) -> None:
    reply = page("lib/", "lib/sub/", "lib/sub_$folder$", "lib/a")
    assert len(listed(fake, reply)) == 4
    reply.body = reply.body.replace(b"<Size>1<", b"<Size>0<")
    assert [one.uri.path for one in listed(fake, reply)] == ["/lib/a"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html/>", b"<Error><Code>x</Code></Error>", b"\xff", b"<ListBucketResult>", b"{}",
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><ListBucketResult>&b;</ListBucketResult>',
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><ListBucketResult/>',
        b"<ListBucketResult>" + b"<x>" * 10_000,
        b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        b"<ListBucketResult>" + b" " * (9 * 1024 * 1024) + b"</ListBucketResult>",
        page("lib/a").body[:-40],
        page("lib/a").body.replace(b"lib%2Fa", b"lib%2F%ff"),
    ],
)  # fmt: skip
def test_what_is_no_listing_is_none(fake: FakeAws, body: bytes) -> None:
    with pytest.raises((InvalidRequest, SourceUnavailable)):
        listed(fake, Reply(200, body))


def test_a_page_that_follows_itself_ends(fake: FakeAws) -> None:
    with pytest.raises(InvalidRequest, match="goes on"):
        listed(fake, *[page("lib/a", further="x")] * 10)
    assert len(fake.asked) == 2


@pytest.mark.parametrize("size", ["-1", "1e3", "٣", "9" * 5000, "", " 1"])
def test_a_size_that_is_none_says_nothing(fake: FakeAws, size: str) -> None:
    reply = page("lib/a")
    reply.body = reply.body.replace(b"<Size>1<", f"<Size>{size}<".encode())
    assert [one.stat.size for one in listed(fake, reply)] == [None]


def test_refusals_are_told(fake: FakeAws) -> None:
    with pytest.raises(NotFound, match="no such bucket"):
        listed(fake, error("NoSuchBucket", status=404))
    with pytest.raises(Denied, match="anonymous"):
        listed(fake, error("AccessDenied", status=403))


def test_a_hundred_thousand_names_are_listed_page_by_page(fake: FakeAws) -> None:
    pages = MANY // 1000
    replies = [
        page(*(f"lib/{at:03}/{number:04}.jar" for number in range(1000)), further=None if at == pages - 1 else str(at))
        for at in range(pages)
    ]
    assert len(listed(fake, *replies)) == MANY
    assert len(fake.asked) == pages


def test_a_listing_is_read_no_further_than_it_is_used(fake: FakeAws) -> None:
    fake.answers, fake.asked = [page("lib/a", further="1"), page("lib/b")], []
    with way_out(S3Sources(endpoint=fake.url, anonymous=True)) as outside:
        found = S3Source(outside).list(FOLDER, deep=True)
        assert next(found).uri.path == "/lib/a"
        assert len(fake.asked) == 1


PIECES = [
    b"<ListBucketResult>", b"</ListBucketResult>", b"<Contents>", b"</Contents>", b"<Key>", b"</Key>", b"lib/a", b"%ff",
    b"<Size>", b"</Size>", b"1", b"<EncodingType>url</EncodingType>", b"<IsTruncated>true</IsTruncated>", b"&amp;",
    b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<?x?>", b"&#0;", b"\xff",
    b"<NextContinuationToken>1</NextContinuationToken>",
]  # fmt: skip


@given(st.one_of(st.binary(max_size=300), st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join)))
def test_whatever_comes_it_is_a_listing_or_one_of_our_errors(fake: FakeAws, body: bytes) -> None:
    try:
        found = listed(fake, Reply(200, body), page())
    except StagingError:
        return
    assert all(one.uri.path.startswith("/lib/") for one in found)
