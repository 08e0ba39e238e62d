"""How log lines look: the choice that settings and the command line share."""

from enum import StrEnum


class LogFormat(StrEnum):
    """JSON for programs, text for people."""

    JSON = "json"
    CONSOLE = "console"
