"""The version of this server, as logs, metrics, the page and `/v1/info` show it."""

from importlib import metadata
from typing import Final

VERSION: Final = metadata.version("spark-staging")
