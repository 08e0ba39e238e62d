"""One call to the Kubernetes API: its answer as a plain object, its failures as errors of ours that say what to do."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from staging_io.logs import redact
from staging_protocol.errors import Denied, InvalidRequest, NotFound, StagingError, Unauthenticated, Unavailable

_TIMEOUT: Final = (10, 30)
"""Seconds to connect and to read: a call of ours is small, and a person waits."""

_NO_TLS: Final = 0
"""What the library gives for the status when TLS fails."""
_SERVER_ERRORS: Final = 500
_RETRYABLE: Final = frozenset({408, 429})
_REFUSALS: Final[Mapping[int, tuple[type[StagingError], str]]] = {
    401: (Unauthenticated, "; log in again: kubectl has to work with the same kubeconfig and context"),
    403: (Denied, "; what RBAC, quotas and policies allow is for the cluster's administrators to change"),
    404: (NotFound, "; check the namespace (-n, or spark.kubernetes.namespace)"),
    410: (Unavailable, "; it took too long, try again"),
    409: (InvalidRequest, "; has this bundle been run before? Stage again"),
}
"""The error for a status, and what to do about it."""


def ask(what: str, call: Callable[..., Any], *arguments: Any, address_from: str, **options: Any) -> dict[str, Any]:
    """Make a call of the library and return the object of the answer.

    Args:
        what: is asked, for errors.
        call: the library's method.
        arguments: of the method.
        address_from: what names the API server, for errors.
        options: of the method.
    """
    with _translated(what, address_from=address_from):
        # As bytes: the library's models of pods take 100 times as long as the two fields that count.
        answer = call(*arguments, **options, _preload_content=False, _request_timeout=_TIMEOUT)
        found = json.loads(answer.data)
        if not isinstance(found, dict):
            raise TypeError  # told in words by `_translated`
        return found


@contextmanager
def _translated(what: str, *, address_from: str) -> Iterator[None]:
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        raise _refusal(what, error, address_from=address_from) from error
    except (HTTPError, OSError) as error:
        why = redact(str(error))
        msg = f"the Kubernetes API does not answer (to {what}): {why}; check {address_from} and the network"
        raise Unavailable(msg) from error
    except (ValueError, TypeError) as error:
        msg = f"what answers (to {what}) is no Kubernetes API; check {address_from} and proxies on the way"
        raise Unavailable(msg) from error


def _refusal(what: str, error: Any, *, address_from: str) -> StagingError:
    if error.status == _NO_TLS:
        # The library gives the type of its error and the message, in two lines.
        why = str(error.reason).rpartition("\n")[2]
        return Unavailable(
            f"no secure connection to the Kubernetes API (to {what}): {redact(why)}; "
            f"does the kubeconfig belong to the cluster of {address_from}?"
        )
    try:
        status = json.loads(error.body)
        why, reason = str(status["message"]), status.get("reason")
    except (TypeError, ValueError, LookupError, AttributeError):
        why, reason = str(error.reason), None
    kind, hint = _REFUSALS.get(error.status, (InvalidRequest, ""))
    if error.status in _RETRYABLE or error.status >= _SERVER_ERRORS or reason == "Conflict":
        kind, hint = Unavailable, "; try again"
    return kind(f"the Kubernetes API refused to {what}: {redact(why)}{hint}")
