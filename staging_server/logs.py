"""Logs: one JSON object a line on standard error, without secrets, and without the event loop waiting for them.

    structlog or logging → one line → waiting lines → writer thread: redact, write → standard error

`redact` works on finished lines, so a token in a traceback or in a foreign library's message goes as well.
Lines of one moment are redacted and written together: waking a thread for each would cost more than the request's own
work.  When the reader of the pipe stalls, lines are dropped and counted: the server goes on.
"""

import logging
import os
import re
import threading
import time
from collections import deque
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from select import PIPE_BUF
from typing import Any, Final

import msgspec
import structlog

_TOKEN: Final = re.compile(r"(ss[ta]_[a-z2-7]{4})[0-9A-Za-z_]+")
_AUTHORIZATION: Final = re.compile(r"""(?i)\b(bearer|basic)\s+[^\s"'\\,;]{8,}""")
_QUERY: Final = re.compile(r"""([A-Za-z][A-Za-z0-9+.\-]*://[^\s"'?\\]*)\?[^\s"'\\]*""")
_USER_INFO: Final = re.compile(r"""([A-Za-z][A-Za-z0-9+.\-]*://)[^\s"'/@\\]+@""")

STANDARD_ERROR: Final = 2
_MAX_WAITING: Final = 20_000
"""Lines; about 8 MB, the price of a reader that stalls."""
_MOMENT: Final = 0.02
"""Seconds for which the writer lets lines gather after the first."""


def redact(text: str) -> str:
    """Return `text` without tokens, credentials, user info and query strings of URIs."""
    text = _TOKEN.sub(r"\1…", text)
    if "earer" in text or "asic" in text:
        text = _AUTHORIZATION.sub(r"\1 …", text)
    if "://" in text:
        text = _USER_INFO.sub(r"\1…@", _QUERY.sub(r"\1?…", text))
    return text


class LineWriter:
    """Takes lines from any thread and writes them to a file descriptor from its own."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting: deque[str] = deque()
        self._dropped = 0
        self._some = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Take one line without its end, or drop it when too many wait."""
        if len(self._waiting) >= _MAX_WAITING:
            self._dropped += 1
            return
        self._waiting.append(line)
        if not self._some.is_set():
            self._some.set()

    def close(self) -> None:
        """Write what waits, and end the thread."""
        self._closed = True
        self._some.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._closed:
            self._some.wait()
            if not self._closed:
                time.sleep(_MOMENT)
            self._some.clear()
            self._put(self._take())

    def _take(self) -> list[str]:
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        dropped, self._dropped = self._dropped, 0
        if dropped:
            lines.append(f'{{"level":"warning","event":"log lines dropped","count":{dropped}}}')
        return lines

    def _put(self, lines: list[str]) -> None:
        text = redact("".join(f"{line}\n" for line in lines))
        try:
            for piece in _pieces(text.encode(errors="backslashreplace")):
                left = memoryview(piece)
                while left:
                    left = left[os.write(self._descriptor, left) :]
        except OSError:
            # Nobody reads (EPIPE), or there is no space: there is no other place to say so.
            return


def _pieces(data: bytes) -> Iterator[bytes]:
    """Yield whole lines, together at most PIPE_BUF bytes: a pipe does not mix them with what other workers write."""
    start = 0
    while start < len(data):
        end = data.rfind(b"\n", start, start + PIPE_BUF) + 1 or data.find(b"\n", start) + 1 or len(data)
        yield data[start:end]
        start = end


@contextmanager
def configured(
    *, level: str, plain: bool, descriptor: int = STANDARD_ERROR, process: str | None = None
) -> Iterator[LineWriter]:
    """Send all logs of the process to `descriptor` (standard error), as JSON lines or plain text.

    `plain` is for a terminal; `level` is a name of the logging module in any case.  `process` is in each line when
    several write to one place.
    """
    writer = LineWriter(descriptor)
    threshold = logging.getLevelNamesMapping()[level.upper()]
    handler = _QueueHandler(writer, plain=plain)
    root = logging.getLogger()
    handlers, before = root.handlers, root.level
    structlog.configure(
        processors=[*_processors(), partial(_add_process, process), _render(plain=plain)],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: _Lines(writer),
        cache_logger_on_first_use=False,
    )
    root.handlers = [handler]
    # Libraries tell what they do at every step; only what is wrong is of interest here.
    root.setLevel(max(threshold, logging.WARNING))
    try:
        yield writer
    finally:
        root.handlers = handlers
        root.setLevel(before)
        structlog.reset_defaults()
        writer.close()


def _processors() -> list[structlog.types.Processor]:
    return [
        structlog.processors.add_log_level,
        _add_time,
        structlog.processors.format_exc_info,
    ]


def _add_time(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["timestamp"] = datetime.now(UTC).isoformat(timespec="milliseconds")
    return event


def _add_process(
    process: str | None, _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    if process is not None:
        event["process"] = process
    return event


def _render(*, plain: bool) -> structlog.types.Processor:
    return _plain_line if plain else _json_line


def _json_line(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    return msgspec.json.encode(dict(event), enc_hook=str).decode()


def _plain_line(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    head = f"{event.pop('timestamp')} {event.pop('level'):<8} {event.pop('event')}"
    exception = event.pop("exception", None)
    fields = "".join(f" {name}={value}" for name, value in event.items())
    return head + fields + (f"\n{exception}" if exception else "")


class _Lines:
    """What structlog calls with a finished line, whatever the level."""

    def __init__(self, writer: LineWriter) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = self.msg = writer.write


class _QueueHandler(logging.Handler):
    """Brings the records of libraries that use the logging module into the same lines."""

    def __init__(self, writer: LineWriter, *, plain: bool) -> None:
        super().__init__()
        self._writer = writer
        self._formatter = structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *_processors()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _render(plain=plain)],
        )

    def emit(self, record: logging.LogRecord) -> None:
        self._writer.write(self._formatter.format(record))
