"""Signatures are those that botocore makes, whatever is signed."""

import calendar
import time
from unittest.mock import patch
from urllib.parse import quote

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from resolver.sources.s3.keys import AccessKey
from resolver.sources.s3.signing import encoded_path, encoded_query, signed

PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True)
VALUES = st.text(max_size=30)
HEADERS = st.dictionaries(
    st.from_regex(r"x-amz-[a-z][a-z0-9-]{0,10}", fullmatch=True), st.text("abc 0-9", max_size=20).map(str.strip)
).filter(lambda headers: not {"x-amz-date", "x-amz-content-sha256", "x-amz-security-token"} & headers.keys())


@given(
    key=st.builds(AccessKey, id=PRINTABLE, secret=PRINTABLE, session_token=st.none() | PRINTABLE),
    path=st.text(max_size=60), query=st.dictionaries(NAMES, VALUES, max_size=4), headers=HEADERS,
    now=st.integers(0, 4_000_000_000),
)  # fmt: skip
def test_a_signature_is_the_one_that_botocore_makes(
    key: AccessKey, path: str, query: dict[str, str], headers: dict[str, str], now: int
) -> None:
    sent, asked = encoded_path(f"/{path}"), encoded_query(query)
    ours = signed(
        headers, key=key, method="HEAD", host="b.s3.eu-west-1.amazonaws.com", path=sent, query=asked,
        region="eu-west-1", now=now,
    )  # fmt: skip
    url = f"https://b.s3.eu-west-1.amazonaws.com{sent}{'?' if asked else ''}{asked}"
    request = AWSRequest("HEAD", url, headers=headers)
    signer = botocore.auth.S3SigV4Auth(Credentials(key.id, key.secret, key.session_token), "s3", "eu-west-1")
    with patch("botocore.auth.get_current_datetime", lambda: _Moment(now)):
        signer.add_auth(request)
    theirs = {name.lower(): value for name, value in request.headers.items()}
    assert ours == theirs


class _Moment:
    """What botocore asks of a time."""

    def __init__(self, now: int) -> None:
        self._now = time.gmtime(now)

    def strftime(self, form: str) -> str:
        return time.strftime(form, self._now)

    def timetuple(self) -> time.struct_time:
        return time.gmtime(calendar.timegm(self._now))


@given(st.text())
def test_a_path_is_sent_as_it_is(path: str) -> None:
    assert encoded_path(path) == quote(path, safe="/")


def test_a_key_does_not_show_its_secret() -> None:
    key = AccessKey(id="AKIAIOSFODNN7EXAMPLE", secret="wJalrXUtnFEMI", session_token="a-session-token")
    assert repr(key) == "<AccessKey AKIA…MPLE>"
    assert AccessKey(id="short", secret="x").name == "s…t"
    assert AccessKey(id="abc", secret="x").name == "…"
