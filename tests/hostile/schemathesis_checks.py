"""What every answer has to be besides what OpenAPI says; schemathesis loads this module by its name.

Secrets of the run come in a file, because arguments and the environment can be seen: its path is in `SECRETS`.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import schemathesis

_PROBLEM = {"type", "title", "status", "detail", "code", "retryable", "request_id"}
_TOKEN = re.compile(rb"ss[ta]_[a-z2-7]{26}_")
_SHOWN_ONCE = {"createBundle", "renewToken"}
_SECRETS = tuple(Path(os.environ["SECRETS"]).read_text().split())  # noqa: TID251 - a program of its own


@schemathesis.check
def every_error_is_a_problem(_context: Any, response: Any, case: Any) -> None:
    """An error is problem+json with its code, whether to try again, and an id that the header has as well."""
    if response.status_code < 400:
        return
    assert response.headers["content-type"] == ["application/problem+json"], response.headers
    if case.method == "HEAD":
        return
    problem = json.loads(response.content)
    assert problem.keys() >= _PROBLEM, problem
    assert problem["status"] == response.status_code
    assert [problem["request_id"]] == response.headers["x-request-id"]


@schemathesis.check
def every_answer_has_its_fields(_context: Any, response: Any, _case: Any) -> None:
    """Every answer can be found in the log; refusals by method name what is possible; challenges come with 401."""
    assert response.headers.get("x-request-id"), response.headers
    assert ("allow" in response.headers) is (response.status_code == 405), response.headers
    assert ("www-authenticate" in response.headers) is (response.status_code == 401), response.headers
    assert response.status_code < 500, response.content


@schemathesis.check
def no_answer_tells_a_secret(_context: Any, response: Any, case: Any) -> None:
    """Tokens are in the two answers that make them, and in no other; nothing of the server's inside is in any."""
    text = response.content + repr(response.headers).encode()
    assert not any(secret.encode() in text for secret in _SECRETS)
    assert b"Traceback" not in text
    assert b"sqlite" not in text.lower()
    made = case.operation.definition.raw.get("operationId") in _SHOWN_ONCE and response.status_code in {200, 201}
    assert made or not _TOKEN.search(text)


@schemathesis.hook
def filter_body(_context: Any, body: Any) -> bool:
    """Leave out 1.0 for 1: JSON Schema takes it for an integer, and our reader of JSON does not."""
    return not _has_whole_float(body)


def _has_whole_float(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_whole_float, value.values()))
    if isinstance(value, list):
        return any(map(_has_whole_float, value))
    return isinstance(value, float) and value.is_integer()


@schemathesis.serializer("application/partial-upload", "application/vnd.spark-staging.blobs")
def bytes_as_they_are(_context: Any, value: Any) -> bytes:
    """Send the part of an upload, or a batch of blobs, as the bytes that it is."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()
