"""Values of the options of `submit`, without anything that would slow its `--help`."""

from enum import StrEnum


class PodSecurity(StrEnum):
    """Values of `--pod-security`."""

    RESTRICTED = "restricted"


class Form(StrEnum):
    """Values of `--output`."""

    TEXT = "text"
    YAML = "yaml"
    JSON = "json"
    NAME = "name"
