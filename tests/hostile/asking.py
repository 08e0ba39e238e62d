"""Requests of every route with which nothing but the identity is wrong."""

from typing import Final

from staging_protocol.batches import Batch, BatchedBlob
from staging_protocol.digests import Digest
from staging_server.route import Content, Route
from tests.staging_server.live import Answer, Live, digest_of, new_file

BODIES: Final = {
    "createBundle": b'{"application":"a"}',
    "addReport": b'{"outcome":"failed","role":"r","pod":"p","exit_code":1,"seconds":1}',
    "bindBundle": b'{"api_version":"v1","kind":"Pod","name":"p"}',
    "leaseBundle": b'{"seconds":60}',
    "pinBundle": b'{"reason":"mine"}',
    "sweep": b'{"dry_run":true}',
}
"""A good body for each route that takes JSON."""


_CONTENT: Final = BatchedBlob(digest=Digest.of(b"content"), size=len(b"content"))
_BYTES: Final[dict[object, bytes]] = {Content.BLOBS: Batch(blobs=(_CONTENT,)).to_line() + b"content"}
"""Bodies that are no JSON, and not the content alone."""


def path_of(route: Route, *, namespace: str, bundle: str, upload: str) -> str:
    """Return the path of a route.  A new kind of placeholder has to be decided here."""
    return route.path.format(
        namespace=namespace, bundle=bundle, upload=upload, digest=digest_of(b"content"), kind="jar", name="a.jar"
    )  # fmt: skip


async def ask(live: Live, route: Route, path: str, **headers: str) -> Answer:
    """Send a request with a body of the right type, and no credentials but those among the header fields."""
    is_bytes = isinstance(route.request, str)
    fields, data = {}, None
    if route.request is not None:
        fields = {
            "Content-Type": str(route.request) if is_bytes else "application/json",
            "Upload-Offset": "0", "Upload-Complete": "?0", "Upload-Length": "7",
            "Repr-Digest": Digest.of(b"content").repr_digest,
        }  # fmt: skip
        data = _BYTES.get(route.request, b"content") if is_bytes else BODIES[route.name]
    return await live.call(route.method, path, data=data, headers={**fields, "Authorization": "", **headers})


async def begin_upload(live: Live, *, namespace: str) -> str:
    """Begin an upload of what a new bundle wants; return its id."""
    await live.create(new_file(b"wanted", name="w.jar"), namespace=namespace)
    fields = {
        "Content-Type": "application/partial-upload", "Upload-Length": "6", "Upload-Complete": "?0",
        "Repr-Digest": Digest.of(b"wanted").repr_digest,
    }  # fmt: skip
    answer = await live.call("POST", f"/v1/namespaces/{namespace}/uploads", data=b"", headers=fields)
    return answer.headers["Location"].rpartition("/")[2]


def is_refusal(answer: Answer, route: Route, status: int, code: str) -> bool:
    """Tell whether an answer is a problem with that status and code."""
    if answer.status != status or answer.headers["Content-Type"] != "application/problem+json":
        return False
    return route.method == "HEAD" or bool(answer.json["code"] == code)
