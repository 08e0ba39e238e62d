"""What others wrote moves no cursor and forges no line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staging_protocol.printable import printable


@given(st.text())
def test_what_is_printed_is_plain_and_can_be_encoded(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert shown.encode().decode() == shown


@given(st.text().filter(str.isprintable))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x9b2J", "\\x9b2J"),
        ("a\r\nb", "a\\r\\nb"),
        ("\u202egnp", "\\u202egnp"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_would_act_on_a_terminal_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_line_ends_stay_where_they_are_wanted() -> None:
    assert printable("a\nb\x07", lines=True) == "a\nb\\x07"
