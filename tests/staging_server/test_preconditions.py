"""RFC 9110's preconditions and ranges, decided from header fields alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from staging_protocol.errors import PreconditionFailed, RangeNotSatisfiable
from staging_server.sending.preconditions import Selection, Unsatisfiable, select

_ETAG = '"sha256:aa"'


def _select(size: int = 10, *, method: str = "GET", **fields: str) -> Selection | None:
    headers = CIMultiDict({name.replace("_", "-"): value for name, value in fields.items()})
    return select(method, headers, etag=_ETAG, size=size)


@pytest.mark.parametrize(
    ("value", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=2-4", 2, 5),
        ("bytes=2-", 2, 10),
        ("bytes=2-99", 2, 10),
        ("bytes=-3", 7, 10),
        ("bytes=-99", 0, 10),
        ("Bytes= 1-2 ", 1, 3),
    ],
)
def test_a_range_selects_its_bytes(value: str, start: int, stop: int) -> None:
    selection = _select(Range=value)
    assert selection == Selection(start=start, stop=stop, size=10, partial=True)
    assert selection.content_range == f"bytes {start}-{stop - 1}/10"


@pytest.mark.parametrize("value", ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=9999999999999999999-"])
def test_a_range_without_any_byte_is_refused_with_the_size(value: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as caught:
        _select(Range=value)
    assert isinstance(caught.value, Unsatisfiable)
    assert caught.value.headers == {"Content-Range": "bytes */10"}


def test_an_empty_file_has_no_range() -> None:
    with pytest.raises(RangeNotSatisfiable):
        _select(0, Range="bytes=0-")
    assert _select(0) == Selection(start=0, stop=0, size=0, partial=False)


@pytest.mark.parametrize("value", ["bytes=0-1,3-4", "bytes=4-2", "bytes=-", "bytes=a-b", "items=0-1", "bytes", "0-1"])
def test_what_is_no_single_range_gives_the_whole_file(value: str) -> None:
    assert _select(Range=value) == Selection(start=0, stop=10, size=10, partial=False)


def test_head_ignores_ranges() -> None:
    assert _select(method="HEAD", Range="bytes=0-1") == Selection(start=0, stop=10, size=10, partial=False)


@pytest.mark.parametrize("value", [_ETAG, f"W/{_ETAG}", f'"other", {_ETAG}', "*", f' "x" ,W/{_ETAG} '])
def test_if_none_match_knows_what_the_client_has(value: str) -> None:
    assert _select(If_None_Match=value) is None
    assert _select(If_None_Match=value, Range="bytes=0-1", method="HEAD") is None


def test_if_none_match_with_other_tags_sends_the_file() -> None:
    assert _select(If_None_Match='"other", "sha256:a"') is not None


@pytest.mark.parametrize("value", [_ETAG, f'"x", {_ETAG}', "*"])
def test_if_match_lets_the_right_file_through(value: str) -> None:
    assert _select(If_Match=value) is not None


@pytest.mark.parametrize("value", ['"other"', f"W/{_ETAG}", "", "garbage"])
def test_if_match_refuses_another_file(value: str) -> None:
    with pytest.raises(PreconditionFailed):
        _select(If_Match=value)


def test_if_match_is_asked_before_if_none_match() -> None:
    with pytest.raises(PreconditionFailed):
        _select(If_Match='"other"', If_None_Match=_ETAG)


@pytest.mark.parametrize(
    ("if_range", "partial"),
    [(_ETAG, True), (f" {_ETAG} ", True), ('"stale"', False), (f"W/{_ETAG}", False),
     ("Sun, 22 Nov 2026 08:00:00 GMT", False)],
)  # fmt: skip
def test_a_range_is_served_only_of_the_file_that_it_was_meant_for(if_range: str, *, partial: bool) -> None:
    selection = _select(Range="bytes=0-1", If_Range=if_range)
    assert selection is not None
    assert selection.partial is partial


@given(st.text(), st.integers(min_value=0, max_value=100))
def test_no_range_field_selects_bytes_outside_the_file(value: str, size: int) -> None:
    try:
        selection = _select(size, Range=value)
    except RangeNotSatisfiable:
        return
    assert selection is not None
    assert 0 <= selection.start <= selection.stop <= size


@given(st.integers(0, 120), st.one_of(st.none(), st.integers(0, 120)), st.integers(1, 100))
def test_ranges_agree_with_python_slices(first: int, last: int | None, size: int) -> None:
    data = bytes(range(size))
    value = f"bytes={first}-{'' if last is None else last}"
    try:
        selection = _select(size, Range=value)
    except RangeNotSatisfiable:
        assert first >= size
        return
    assert selection is not None
    if selection.partial:
        assert data[selection.start : selection.stop] == data[first : None if last is None else last + 1]
    else:
        assert last is not None
        assert last < first
