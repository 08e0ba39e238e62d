"""One request to the Kubernetes API, as a value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"
"""Every JSON is YAML, too."""

METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""A list of which the API server sends names and labels only: no Secret's data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked.

    Attributes:
        what: is asked, for errors: `create secrets in namespace jobs`.
        method: of HTTP.
        path: on the API server.
        query: behind it; what is empty is left out.
        body: the object that is sent; it may be a Secret, so it is not shown.
        content_type: of the body.
        accept: form of the answer.
    """

    what: str
    method: str
    path: str
    query: Mapping[str, str | int | None] = field(default_factory=dict)
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    content_type: str = JSON
    accept: str = JSON

    @property
    def target(self) -> str:
        """Path and query."""
        given = {name: value for name, value in self.query.items() if value not in {None, ""}}
        return f"{self.path}?{urlencode(given)}" if given else self.path

    @property
    def data(self) -> bytes | None:
        """The body as it is sent."""
        return None if self.body is None else msgspec.json.encode(self.body)

    @property
    def headers(self) -> dict[str, str]:
        """Say what is sent and wanted."""
        return {"Accept": self.accept} | ({} if self.body is None else {"Content-Type": self.content_type})

    @property
    def has_secrets(self) -> bool:
        """Whether the body must not be repeated."""
        return self.body is not None and self.body.get("kind") == "Secret"
