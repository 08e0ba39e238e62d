"""The edge at which errors of the file system become ours."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from staging_protocol.errors import NoSpace, NotFound, Unavailable

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def translated() -> Iterator[None]:
    """Translate what the file system raises within.

    Raises:
        NotFound, NoSpace, Unavailable: instead of OSError.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound("the bytes of this blob are not in the store") from error
    except OSError as error:
        if error.errno in _FULL:
            raise NoSpace("the disk of the blobs is full") from error
        msg = f"the disk of the blobs failed: {error.strerror}"
        raise Unavailable(msg, retry_after=10) from error
