"""What went wrong with Kubernetes is for the log: strangers cause questions, too, and shall learn nothing by them."""

from collections.abc import Awaitable
from typing import Final, TypeVar

import structlog

from staging_protocol.errors import NotFound, StagingError, Unavailable

_log: Final = structlog.get_logger("auth")

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
        _log.warning("Kubernetes cannot be asked about a caller now", detail=error.detail)
        msg = "Kubernetes cannot be asked now who you are and what you may do"
        raise Unavailable(msg, retry_after=error.retry_after) from error
    except StagingError as error:
        _log.error("Kubernetes does not let us ask about a caller; has the server its rights?", detail=error.detail)
        msg = "the server cannot ask Kubernetes who you are and what you may do; its log says why"
        raise Unavailable(msg) from error
