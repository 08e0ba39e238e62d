"""The header fields of resumable uploads are read as they are written, and refused when they are anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staging_protocol.errors import InvalidRequest
from staging_protocol.uploads import (
    COMPLETE,
    LIMIT,
    OFFSET,
    UploadId,
    UploadLimits,
    UploadState,
    flag,
    read_flag,
    read_integer,
    read_limits,
)

numbers = st.integers(0, 10**15 - 1)
"""RFC 9651, section 3.3.1: integers have at most 15 digits."""

values = st.text(st.characters(codec="latin-1"), max_size=40)


@given(st.builds(UploadState, offset=numbers, complete=st.booleans()))
def test_a_state_is_read_as_it_was_written(state: UploadState) -> None:
    assert UploadState.of_fields(state.to_fields()) == state


@given(st.builds(UploadLimits, max_size=numbers, max_append_size=numbers, max_age=numbers))
def test_limits_are_read_as_they_were_written(limits: UploadLimits) -> None:
    assert read_limits({LIMIT: limits.to_field()}) == {
        "max-size": limits.max_size,
        "max-append-size": limits.max_append_size,
        "max-age": limits.max_age,
    }


@given(numbers)
def test_white_space_around_a_field_does_not_count(number: int) -> None:
    assert read_integer({OFFSET: f"  {number}\t"}, OFFSET) == number


@given(values)
def test_a_number_is_digits_and_nothing_else(text: str) -> None:
    try:
        number = read_integer({OFFSET: text}, OFFSET)
    except InvalidRequest:
        assert not (text.strip(" \t").isascii() and 0 < len(text.strip(" \t")) <= 15 and text.strip(" \t").isdigit())
    else:
        assert number == int(text)


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1.0", "0x1", "1e3", "1 2", "1_000", "9" * 16, "\u0661", "\u00b2", "1;a=b"]
)
def test_what_only_looks_like_a_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match=OFFSET):
        read_integer({OFFSET: text}, OFFSET)


@given(values)
def test_a_flag_is_one_of_two_words(text: str) -> None:
    try:
        value = read_flag({COMPLETE: text}, COMPLETE)
    except InvalidRequest:
        assert text.strip(" \t") not in {"?0", "?1"}
    else:
        assert flag(value) == text.strip(" \t")


@pytest.mark.parametrize("fields", [{}, {OFFSET: "1"}, {COMPLETE: "?1"}, {OFFSET: "1", COMPLETE: "true"}])
def test_a_state_needs_both_fields(fields: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        UploadState.of_fields(fields)


@given(values)
def test_any_text_as_limits_gives_numbers_or_nothing(text: str) -> None:
    assert all(isinstance(value, int) for value in read_limits({LIMIT: text}).values())


def test_unknown_members_and_parameters_of_limits_are_skipped() -> None:
    field = "max-size=5, future=?1, max-append-size=7;unit=bytes, *odd=-3, , max-age"

    assert read_limits({LIMIT: field}) == {"max-size": 5, "max-append-size": 7, "*odd": -3}


def test_without_the_field_there_are_no_limits() -> None:
    assert read_limits({}) == {}


@given(st.text(max_size=30))
def test_only_26_characters_of_the_alphabet_are_an_upload_id(text: str) -> None:
    try:
        upload = UploadId(text)
    except InvalidRequest:
        return
    assert len(upload) == 26
    assert set(upload) <= set("abcdefghijklmnopqrstuvwxyz234567")
