"""What a server tells anybody about itself: `GET /v1/info`."""

from typing import Final

from staging_protocol.api.bodies import Body, Size

API_VERSION: Final = "v1"


class BatchLimits(Body, frozen=True):
    """What a batch of small blobs may have: so many, each of so many bytes, and so many bytes of all together."""

    blobs: int
    blob_size: Size
    size: Size


class Limits(Body, frozen=True):
    """What the server refuses before it reads bytes; `batch` is missing where it takes no batches."""

    file_size: Size
    create_body_size: Size
    files_per_bundle: int
    batch: BatchLimits | None = None


class PodEndpoint(Body, frozen=True):
    """Where pods reach the server; `ca` is the PEM text of the authority to trust besides the system's.

    With `token_audience` pods of the server's own cluster read by their own tokens, made for that audience.
    """

    url: str
    ca: str | None = None
    token_audience: str | None = None


class Info(Body, frozen=True):
    """`GET /v1/info`.

    With `auth_mode` `kubernetes`, tokens of Kubernetes are made for `token_audience`; where `api_server_tokens` is true
    those for the API server itself are taken, too.
    """

    server: str
    api_versions: tuple[str, ...]
    auth_mode: str
    limits: Limits
    pods: PodEndpoint
    token_audience: str | None = None
    api_server_tokens: bool = False
