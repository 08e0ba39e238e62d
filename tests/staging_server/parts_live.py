"""Short ways to upload in parts over HTTP."""

import base64
import hashlib
from typing import Any

from tests.staging_server.live import Answer, Live

PART = {"Content-Type": "application/partial-upload"}
UPLOADS = "/v1/namespaces/team-a/uploads"


def repr_digest(content: bytes) -> str:
    """Return the value of `Repr-Digest` for `content`."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


def post_fields(content: bytes, *, complete: str = "?0") -> dict[str, str]:
    """Return the header fields that begin an upload of `content`."""
    return {
        **PART, "Upload-Length": str(len(content)), "Upload-Complete": complete, "Repr-Digest": repr_digest(content),
    }  # fmt: skip


def patch_fields(offset: int, *, complete: bool = False) -> dict[str, str]:
    """Return the header fields of a part."""
    return {**PART, "Upload-Offset": str(offset), "Upload-Complete": "?1" if complete else "?0"}


async def begin(live: Live, content: bytes, **more: Any) -> str:
    """Begin an upload and return its path."""
    answer = await live.call("POST", UPLOADS, data=b"", headers=post_fields(content), **more)
    assert answer.status == 201, answer.body
    return answer.headers["Location"]


async def append(live: Live, path: str, content: bytes, *, offset: int, complete: bool = False, **more: Any) -> Answer:
    """Add a part."""
    return await live.call("PATCH", path, data=content, headers=patch_fields(offset, complete=complete), **more)


async def offset_of(live: Live, path: str, **more: Any) -> int:
    """Return the offset of an upload that is not complete."""
    answer = await live.call("HEAD", path, **more)
    assert (answer.status, answer.headers.get("Upload-Complete")) == (204, "?0"), live.logs()[-2000:]
    return int(answer.headers["Upload-Offset"])


def patch_head(live: Live, path: str, *, offset: int, size: int, complete: bool = False, more: str = "") -> bytes:
    """Return the head of a part on a bare connection."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in patch_fields(offset, complete=complete).items())
    return f"PATCH {path} HTTP/1.1\r\nHost: {live.host}\r\nContent-Length: {size}\r\n{fields}{more}\r\n".encode()
