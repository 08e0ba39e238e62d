"""Logs as JSON lines on standard error, for programs that start too often to load a logging library.

    {"time": "2026-11-22T08:00:00.123Z", "level": "info", "event": "resolved", "files": 3}

Further fields come by `extra=fields(files=3)`.  Secrets are kept out where values are made (`str(uri)`, `repr(token)`);
what slips through anyway, say in a foreign library's message, is blacked out here.
"""

import logging
import re
import sys
import time
from typing import Any, Final, TextIO

import msgspec

BLACKED_OUT: Final = "[redacted]"

_SECRETS: Final = re.compile(
    r"ss[ta]_[a-z2-7]{8,}_\w+"  # our tokens, whole or cut
    r"|(?<=://)[^/@\s\"']+(?=@)"  # user info
    r"|(?i:(?<=bearer )|(?<=basic ))[\w.~+/=-]{8,}"  # credentials of a header
    r"|(?i:(?<=signature=)|(?<=sig=)|(?<=token=)|(?<=password=)|(?<=apikey=))[^&\s\"']+"  # query parameters
)


def redact(text: str) -> str:
    """Return `text` without what looks like a secret."""
    return _SECRETS.sub(BLACKED_OUT, text)


def fields(**values: object) -> dict[str, dict[str, object]]:
    """Return the `extra` of a log call that has these fields."""
    return {"fields": values}


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its newline."""
        values: dict[str, Any] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            values["exception"] = self.formatException(record.exc_info)
        return redact(msgspec.json.encode(values, enc_hook=str).decode())


def log_to_stderr(*, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send all logs of this program to standard error as JSON lines."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # urllib3 tells of each retry and each connection; whether to retry, and to tell, is ours.
    logging.getLogger("urllib3").setLevel("ERROR")
