"""What is logged, and how."""

from typing import Literal

from staging_server.log_format import LogFormat
from staging_server.settings.group import Group


class LogSettings(Group):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least important level that is written."""

    format: LogFormat = LogFormat.JSON
    """`json`: one object a line; `console`: for people."""
