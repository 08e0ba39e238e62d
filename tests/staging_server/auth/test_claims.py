"""What a token says of itself is a reason to refuse it, never one to believe it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staging_server.auth.claims import Worth, check_issuer, read_claims, worth_asking
from staging_server.problems import NeedsCredentials
from tests.staging_server.auth.crafted import AUDIENCE, ISSUER, jwt, part

_NOW = 1_800_000_000.0


def _worth(text: str, *, api_server_tokens: bool = False) -> Worth:
    return worth_asking(text, audience=AUDIENCE, api_server_tokens=api_server_tokens, now=_NOW)


def test_a_token_for_us_is_worth_a_question_until_it_expires() -> None:
    wanted = Worth(audience=AUDIENCE, issuer=ISSUER, until=_NOW + 600)
    assert _worth(jwt(exp=_NOW + 600)) == wanted
    assert _worth(jwt(exp=int(_NOW) + 600, aud=AUDIENCE, nbf=_NOW - 1)) == wanted
    assert _worth(jwt(exp=_NOW + 600, aud=["other", AUDIENCE])) == wanted


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"exp": _NOW}, "has expired"),
        ({"exp": _NOW - 3600}, "has expired"),
        ({"nbf": _NOW + 61}, "not valid yet"),
        ({"aud": "other"}, "this token is for other; make one for the audience 'spark-staging'"),
        ({"aud": ["a", "b"]}, "this token is for a, b; "),
        ({"aud": ["\x1b[2J"]}, r"this token is for \x1b[2J; "),
        ({"aud": []}, "for nobody in particular"),
        ({"aud": None}, "for nobody in particular"),
        ({"aud": 7}, "expected a token of a service account"),
        ({"exp": "tomorrow"}, "expected a token of a service account"),
        ({"exp": -1}, "expected a token of a service account"),
        ({"exp": 1e300}, "expected a token of a service account"),
        ({"header": {}}, "expected a token of a service account"),
        ({"header": []}, "expected a token of a service account"),
    ],
)
def test_what_cannot_be_right_is_refused_with_its_reason(claims: dict[str, Any], said: str) -> None:
    with pytest.raises(NeedsCredentials) as refused:
        _worth(jwt(**claims))
    assert said in refused.value.detail
    assert 'error="invalid_token"' in refused.value.headers["WWW-Authenticate"]


def test_the_clock_of_the_issuer_may_be_a_minute_ahead() -> None:
    assert _worth(jwt(nbf=_NOW + 59)).audience == AUDIENCE


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "opaque", "a.b", "a.b.c.d.e", "ä.ö.ü", "a b", "a\nb", "." * 3, "\udcff",
        f"{part({'alg': 'x'})}.e30=.c",
        f"{part({'alg': 'RS256'})}.{'[' * 7000}.x", jwt(more="x" * 8192), "=", f"{part({'alg': 'x'})}.{part([])}.x",
    ],
    ids=range(15),
)  # fmt: skip
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(NeedsCredentials):
        _worth(text)


def test_only_where_tokens_of_the_api_server_are_taken_others_are_worth_a_question() -> None:
    assert _worth("opaque-token", api_server_tokens=True) == Worth(audience=None)
    assert _worth(jwt(aud=ISSUER, exp=_NOW + 1), api_server_tokens=True) == Worth(audience=None, until=_NOW + 1)
    assert _worth(jwt(), api_server_tokens=True).audience == AUDIENCE
    for text in (jwt(exp=_NOW, aud=ISSUER), "x" * 8193, "white space"):
        with pytest.raises(NeedsCredentials):
            _worth(text, api_server_tokens=True)


def test_another_issuer_is_refused_where_the_issuer_is_known() -> None:
    check_issuer(_worth(jwt()), issuer=ISSUER)
    check_issuer(Worth(audience=None), issuer=ISSUER)
    for issuer in ("https://other", "", None):
        with pytest.raises(NeedsCredentials, match="somebody else"):
            check_issuer(_worth(jwt(iss=issuer)), issuer=ISSUER)


@given(st.text(alphabet="eyJh.=-_A0\n ") | st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_any_text_is_a_question_or_a_refusal(text: str) -> None:
    read_claims(text)
    for api_server_tokens in (False, True):
        try:
            worth = _worth(text, api_server_tokens=api_server_tokens)
        except NeedsCredentials:
            continue
        assert worth.audience is None or AUDIENCE in text
