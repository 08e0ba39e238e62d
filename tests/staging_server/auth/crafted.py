"""Tokens that look like those of Kubernetes, made by hand; no signature of them is right."""

import base64
import json
from typing import Any

ISSUER = "https://kubernetes.default.svc"
AUDIENCE = "spark-staging"


def part(value: object) -> str:
    """Return one part of a JWT."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def jwt(*, header: Any = None, **claims: Any) -> str:
    """Return a token with these claims besides an issuer, our audience and an end far away; None leaves one out."""
    whole = {"iss": ISSUER, "aud": [AUDIENCE], "exp": 4_000_000_000, **claims}
    body = {name: value for name, value in whole.items() if value is not None}
    return f"{part({'alg': 'RS256'} if header is None else header)}.{part(body)}.{'A' * 342}"
