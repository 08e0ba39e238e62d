"""Questions to Kubernetes that callers cause: what we lack for an answer is not their fault, and not for them to know.

Strangers cause questions, too; what went wrong is for the log.
"""

from collections.abc import Awaitable
from typing import Final, TypeVar

import structlog

from staging_protocol.errors import NotFound, StagingError, Unavailable

_log: Final = structlog.get_logger("kubernetes")

T = TypeVar("T")


async def in_confidence(question: Awaitable[T]) -> T:
    """Return the answer of Kubernetes; that something is not there is an answer.

    Raises:
        NotFound: as the question does.
        Unavailable: whatever else went wrong; when we lack a right, the log says so.
    """
    try:
        return await question
    except NotFound:
        raise
    except Unavailable as error:
        _log.warning("Kubernetes cannot be asked for a caller now", detail=error.detail)
        msg = "Kubernetes cannot be asked now who you are and what you may do"
        raise Unavailable(msg, retry_after=error.retry_after) from error
    except StagingError as error:
        _log.error("Kubernetes does not let us ask for a caller; has the server its rights?", detail=error.detail)
        msg = "the server cannot ask Kubernetes who you are and what you may do; its log says why"
        raise Unavailable(msg) from error
