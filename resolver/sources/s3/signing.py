"""Signature Version 4 of AWS, for requests to S3 without a body.

Written after "Authenticating Requests: Using the Authorization Header" of the S3 API reference.  botocore's own signer
takes 140 microseconds a request, this one 20, and it needs no botocore at all (decision 0041); a test holds that both
give the same for any request.
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from resolver.sources.s3.keys import AccessKey

_NO_BODY: Final = hashlib.sha256(b"").hexdigest()


def encoded_path(text: str) -> str:
    """Return a path as it is sent and signed: all but unreserved bytes and slashes encoded, nothing normalized."""
    return quote(text)


def encoded_query(query: Mapping[str, str]) -> str:
    """Return a query as it is sent and signed: sorted by name."""
    pairs = sorted((quote(name, safe=""), quote(value, safe="")) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in pairs)


def signed(
    headers: Mapping[str, str],
    *,
    key: AccessKey,
    method: str,
    host: str,
    path: str,
    query: str,
    region: str,
    now: float,
) -> dict[str, str]:
    """Return `headers` with what proves that whoever holds `key` asks; those that begin with `x-amz-` are signed.

    `path` and `query` are encoded, header names in lower case; `now` is the time in seconds since 1970.
    """
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    stated = {**headers, "host": host, "x-amz-content-sha256": _NO_BODY, "x-amz-date": moment}
    if key.session_token is not None:
        stated["x-amz-security-token"] = key.session_token
    names = sorted(name for name in stated if name == "host" or name.startswith("x-amz-"))
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    lines = "".join(f"{name}:{' '.join(stated[name].split())}\n" for name in names)
    request = f"{method}\n{path}\n{query}\n{lines}\n{';'.join(names)}\n{_NO_BODY}"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.new(_signing_key(key.secret, moment[:8], region), text.encode(), "sha256").hexdigest()
    del stated["host"]  # the client's own business
    stated["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key.id}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    return stated


@lru_cache(maxsize=16)
def _signing_key(secret: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
