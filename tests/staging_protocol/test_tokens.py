"""Tokens can be found by scanners, not by readers of logs."""

import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staging_protocol.errors import InvalidRequest
from staging_protocol.tokens import BundleId, Token, TokenKind


@pytest.mark.parametrize("kind", list(TokenKind))
def test_a_token_reads_as_itself_from_a_file_with_a_last_newline(kind: TokenKind) -> None:
    token = Token.generate(kind)
    assert Token.parse(token.text + "\n") == token
    assert token.text.startswith(f"{kind}_{token.id}_")


def test_a_token_does_not_print_its_secret() -> None:
    token = Token.generate(TokenKind.BUNDLE)
    shown = f"{token} {token!r} {token!s} {[token]}"
    assert token.secret not in shown
    assert token.hash[:4] in shown


@given(st.integers(min_value=0, max_value=200), st.sampled_from("aZ0_"))
def test_a_changed_token_is_not_a_token(position: int, character: str) -> None:
    text = Token.generate(TokenKind.BUNDLE).text
    index = position % len(text)
    changed = text[:index] + character + text[index + 1 :]
    if changed == text:
        return
    with pytest.raises(InvalidRequest) as caught:
        Token.parse(changed)
    assert text[40:60] not in caught.value.detail


def test_two_tokens_differ_in_256_bits() -> None:
    identifier = BundleId.generate()
    tokens = {Token.generate(TokenKind.BUNDLE, identifier=identifier).hash for _ in range(100)}
    assert len(tokens) == 100


def test_a_bundle_id_is_a_label_value() -> None:
    for identifier in (BundleId.generate() for _ in range(100)):
        assert len(identifier) == 26
        assert set(identifier) <= set("abcdefghijklmnopqrstuvwxyz234567")


def test_every_character_of_a_secret_is_as_likely() -> None:
    secrets = "".join(Token.generate(TokenKind.BUNDLE).secret for _ in range(2000))
    counts = Counter(secrets)
    assert set(counts) == set(string.ascii_letters + string.digits)
    # 1,387 are expected of each, with a standard deviation of 37: eight of them are no accident.
    assert all(abs(count - len(secrets) / 62) < 300 for count in counts.values())
