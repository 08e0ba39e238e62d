"""Answers that go on: events of a watch and lines of a log, as they come, in flat memory."""

import time
from collections.abc import Iterator
from dataclasses import replace
from math import ceil
from typing import Any, Final

import msgspec

from staging_io.http import Answer
from staging_protocol.errors import Unavailable
from submission.kube.answers import Event
from submission.kube.errors import Answered, refusal
from submission.kube.request import Request
from submission.kube.transport import Transport

SILENCE: Final = 120.0
"""Seconds without a byte after which a log that is followed is taken for broken: opening it again costs little."""

_SPEAKS_LATE: Final = 5.0
"""Seconds that we wait longer than the API server was asked to, so that it is the one to end a watch."""
_LONGEST_EVENT: Final = 16 * 1024 * 1024
"""Bytes; etcd keeps no object above 1.5 MiB, and JSON may be some times as long."""
_LONGEST_LINE: Final = 256 * 1024
"""Bytes of a log's line that are held; longer ones come in pieces."""
_BUFFER: Final = 64 * 1024
_SERVER_ERROR: Final = 500


class _Told(msgspec.Struct):
    type: str
    object: dict[str, Any]


def events(transport: Transport, request: Request, *, seconds: float) -> Iterator[Event]:
    """Yield the events of a watch for about `seconds`."""
    limit = ceil(max(seconds, 1))
    asked = replace(request, query={**request.query, "timeoutSeconds": limit})
    ends = time.monotonic() + limit + _SPEAKS_LATE
    with transport.opened(asked, silence=limit + _SPEAKS_LATE) as answer:
        for line in lines(answer, longest=_LONGEST_EVENT):
            yield _event(line, transport, request)
            if time.monotonic() > ends:
                return


def log_lines(transport: Transport, request: Request, *, silence: float) -> Iterator[bytes]:
    """Yield the lines of a log, without their ends."""
    with transport.opened(request, silence=silence) as answer:
        for line in lines(answer, longest=_LONGEST_LINE):
            yield line.removesuffix(b"\n")


def lines(answer: Answer, *, longest: int) -> Iterator[bytes]:
    """Yield lines with their ends as soon as they are whole; longer ones in pieces, the last one as it is."""
    buffer = memoryview(bytearray(_BUFFER))
    held = bytearray()
    while count := answer.read_some(buffer):
        searched = len(held)
        held += buffer[:count]
        begin = 0
        while (end := held.find(b"\n", max(begin, searched)) + 1) > 0:
            yield bytes(held[begin:end])
            begin = end
        del held[:begin]
        while len(held) >= longest:
            yield bytes(held[:longest])
            del held[:longest]
    if held:
        yield bytes(held)


def _event(line: bytes, transport: Transport, request: Request) -> Event:
    if not line.endswith(b"\n"):
        msg = f"the Kubernetes API ended in the middle of an event (to {request.what})"
        raise Unavailable(msg)
    try:
        told = msgspec.json.decode(line, type=_Told)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise transport.no_kubernetes(request) from None
    if told.type != "ERROR":
        return Event(type=told.type, object=told.object)
    status = told.object.get("code")
    code = status if isinstance(status, int) else _SERVER_ERROR
    raise refusal(Answered(code, {}, msgspec.json.encode(told.object)), what=request.what)
