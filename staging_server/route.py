"""What one line of the table of routes says."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from staging_protocol.errors import StagingError
from staging_server.auth.base import Rule
from staging_server.exchange import Handler


class Content(StrEnum):
    """Media types of bodies that are no JSON."""

    BYTES = "application/octet-stream"
    PART = "application/partial-upload"
    BLOBS = "application/vnd.spark-staging.blobs"
    TEXT = "text/plain"
    HTML = "text/html"
    CSS = "text/css"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A header field or a query parameter that a route reads."""

    name: str
    place: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path.

    Attributes:
        rule: who may.
        request: the struct of the body, or the media type of one that is none; None without a body.
        answer: the same of the answer.
        first_line: the struct of the line of JSON with which a body of bytes begins.
        status: of the answer when all is well; `other` lists further good ones.
        answer_fields: header fields of good answers that mean something here.
        refusals: errors besides those that every route may answer with.
        probe: answered while the server drains, and not logged unless at level debug.
        begins_work: refused as soon as the server drains.
    """

    method: str
    path: str
    name: str
    text: str
    handler: Handler
    rule: Rule
    request: type[msgspec.Struct] | Content | None = None
    first_line: type[msgspec.Struct] | None = None
    answer: type[msgspec.Struct] | type[dict[str, Any]] | Content | None = None
    status: int = 200
    other: Sequence[int] = ()
    answer_fields: Sequence[Parameter] = ()
    parameters: Sequence[Parameter] = ()
    refusals: Sequence[type[StagingError]] = ()
    probe: bool = False
    begins_work: bool = False
