"""Client of the staging server: one method a route, our types in and out, our errors raised.

It does not retry; callers know whether a body can be sent twice.
"""

import io
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import IO, Final
from urllib.parse import quote, urlencode

import msgspec

from staging_io.authorized import JSON, AuthorizedHttp, content_digest, is_whole, read, without_problem
from staging_io.bearers import Bearer, Fixed
from staging_io.http import Answer, Body, HttpClient
from staging_io.refusals import is_problem
from staging_protocol import batches
from staging_protocol.api.bundles import Bundle, BundlePage, BundleToken, Lease, Pin, Sealed
from staging_protocol.api.claims import Explanation
from staging_protocol.api.creation import CreatedBundle, NewBundle
from staging_protocol.api.info import Info
from staging_protocol.api.operators import NewSweep, Sweep, Usage
from staging_protocol.api.reports import Report
from staging_protocol.batches import Batch
from staging_protocol.digests import Digest
from staging_protocol.errors import (
    BundleExpired,
    NotFound,
    SourceUnavailable,
    UploadSuperseded,
)
from staging_protocol.manifest import Manifest
from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId, Token
from staging_protocol.uploads import (
    COMPLETE,
    CONTENT_TYPE,
    DIGEST,
    LENGTH,
    OFFSET,
    UploadId,
    UploadState,
    flag,
    read_limits,
)
from staging_protocol.wire import encode

Content = IO[bytes] | Body
"""What is uploaded: an open file, bytes, or parts of them."""

_READ_SIZE: Final = 1024 * 1024


class StagingClient:
    """One server and one identity; safe to use from several threads."""

    def __init__(
        self, *, url: str, token: Token | Bearer | None, http: HttpClient, allow_plain_http: bool = False
    ) -> None:
        self._url = url.rstrip("/")
        secret = Fixed(token.text) if isinstance(token, Token) else token or Fixed(None)
        self._server = AuthorizedHttp(url=url, bearer=secret, http=http, allow_plain_http=allow_plain_http)

    # --- submitters

    def info(self) -> Info:
        """Ask what the server is and allows."""
        return self._server.call("GET", "/v1/info", answer=Info)

    def create(self, namespace: str, bundle: NewBundle, *, idempotency_key: str) -> CreatedBundle:
        """Create a bundle; the same key and body give the same bundle with a new token."""
        path = f"/v1/namespaces/{quote(namespace, safe='')}/bundles"
        return self._server.call(
            "POST", path, body=bundle, answer=CreatedBundle, headers={"Idempotency-Key": idempotency_key}
        )

    def put_blob(self, namespace: str, digest: Digest, *, size: int, content: Content) -> None:
        """Upload one whole blob of `size` bytes, which the server verifies; doing it again is harmless."""
        path = f"/v1/namespaces/{quote(namespace, safe='')}/blobs/{digest}"
        headers = {"Content-Type": "application/octet-stream"}
        self._server.send("PUT", path, body=_body(content), headers={**headers, **_size_of(content, size)})

    def put_blobs(self, namespace: str, batch: Batch, content: Iterable[bytes | memoryview]) -> None:
        """Upload whole blobs together, all or none; `content` has their bytes, one behind the other."""
        line = batch.to_line()
        headers = {"Content-Type": batches.CONTENT_TYPE, "Content-Length": str(len(line) + batch.size)}
        path = f"/v1/namespaces/{quote(namespace, safe='')}/blobs"
        self._server.send("POST", path, body=chain((line,), content), headers=headers)

    def create_upload(self, namespace: str, digest: Digest, *, size: int) -> "NewUpload":
        """Begin to upload a blob in parts; nothing is left to do when the namespace holds it already."""
        fields = {LENGTH: str(size), COMPLETE: flag(False), DIGEST: digest.repr_digest}
        answer = self._server.exchange("POST", _uploads(namespace), body=b"", headers={**_PART, **fields})
        state = UploadState.of_fields(answer.headers)
        if state.complete:
            return NewUpload(id=None, state=state, limits={})
        upload = UploadId(answer.headers.get("Location", "").rpartition("/")[2])
        return NewUpload(id=upload, state=state, limits=read_limits(answer.headers))

    def upload_state(self, namespace: str, upload: UploadId) -> UploadState:
        """Ask how far an upload is; whoever was appending to it is cut off."""
        reply = self._server.ask("HEAD", f"{_uploads(namespace)}/{upload}")
        if reply.status == 409:  # noqa: PLR2004 - an answer to HEAD has no body, and this route has one conflict
            raise UploadSuperseded("another request took the upload over while it was asked about")
        return UploadState.of_fields(without_problem(reply).headers)

    def append(
        self, namespace: str, upload: UploadId, *, offset: int, content: Content, size: int, complete: bool
    ) -> UploadState:
        """Send the `size` bytes from `offset`, which are durably stored when this returns; `complete` with the last."""
        fields = {OFFSET: str(offset), COMPLETE: flag(complete), **_size_of(content, size)}
        url = f"{_uploads(namespace)}/{upload}"
        answer = self._server.exchange("PATCH", url, body=_body(content), headers={**_PART, **fields})
        return UploadState.of_fields(answer.headers)

    def cancel_upload(self, namespace: str, upload: UploadId) -> None:
        """Forget an upload and its bytes."""
        self._server.send("DELETE", f"{_uploads(namespace)}/{upload}")

    def seal(self, namespace: str, bundle: BundleId) -> Sealed:
        """Close the bundle to further files."""
        return self._server.call("POST", f"{_path(namespace, bundle)}/seal", answer=Sealed)

    def bundle(self, namespace: str, bundle: BundleId) -> Bundle:
        """Return the bundle as it stands."""
        return self._server.call("GET", _path(namespace, bundle), answer=Bundle)

    def has_ended(self, namespace: str, bundle: BundleId) -> bool:
        """Tell whether the server itself says that there is no such bundle, or no more.

        Raises:
            StagingError: the answer says neither this nor that; a 404 of a proxy is no word of the server.
        """
        reply = self._server.ask("GET", _path(namespace, bundle))
        if reply.status in _ENDED and is_problem(reply.data, code=_ENDED[reply.status]):
            return True
        read(without_problem(reply).data, into=Bundle)
        return False

    def bundles(self, namespace: str | None, *, cursor: str | None = None, limit: int | None = None) -> BundlePage:
        """Return one page of the bundles of a namespace, or of all (operators)."""
        root = "/v1/bundles" if namespace is None else f"/v1/namespaces/{quote(namespace, safe='')}/bundles"
        query = urlencode({name: value for name, value in (("cursor", cursor), ("limit", limit)) if value is not None})
        return self._server.call("GET", f"{root}?{query}" if query else root, answer=BundlePage)

    def explain(self, namespace: str, bundle: BundleId) -> Explanation:
        """Return every claim that keeps the bundle, in words, and its reports."""
        return self._server.call("GET", f"{_path(namespace, bundle)}/explain", answer=Explanation)

    def bind(self, namespace: str, bundle: BundleId, owner: OwnerReference) -> Bundle:
        """Name the Kubernetes object whose life keeps the bundle."""
        return self._server.call("PUT", f"{_path(namespace, bundle)}/owner", body=owner, answer=Bundle)

    def lease(self, namespace: str, bundle: BundleId, lease: Lease) -> Bundle:
        """Hold the bundle for some seconds from now."""
        return self._server.call("PUT", f"{_path(namespace, bundle)}/lease", body=lease, answer=Bundle)

    def pin(self, namespace: str, bundle: BundleId, pin: Pin) -> Bundle:
        """Hold the bundle with a reason."""
        return self._server.call("PUT", f"{_path(namespace, bundle)}/pin", body=pin, answer=Bundle)

    def unpin(self, namespace: str, bundle: BundleId) -> Bundle:
        """Take the pin away."""
        return self._server.call("DELETE", f"{_path(namespace, bundle)}/pin", answer=Bundle)

    def new_token(self, namespace: str, bundle: BundleId) -> BundleToken:
        """Make a new bundle token; the old one stays valid for an overlap."""
        return self._server.call("POST", f"{_path(namespace, bundle)}/token", answer=BundleToken)

    def delete(self, namespace: str, bundle: BundleId) -> None:
        """End the bundle now."""
        self._server.send("DELETE", _path(namespace, bundle))

    # --- pods

    def manifest(self, namespace: str, bundle: BundleId) -> Manifest:
        """Return what the job needs; one that was changed on its way is no answer (SourceUnavailable)."""
        reply = self._server.exchange("GET", f"{_path(namespace, bundle)}/manifest", headers=JSON)
        if not is_whole(reply):
            msg = "the manifest was damaged on its way: it does not have the digest that the server states"
            raise SourceUnavailable(msg)
        return read(reply.data, into=Manifest)

    def report(self, namespace: str, bundle: BundleId, report: Report) -> None:
        """Tell how resolving ended."""
        data = encode(report)
        fields = {**JSON, **content_digest(data)}
        self._server.send("POST", f"{_path(namespace, bundle)}/reports", body=data, headers=fields)

    def file_request(self, namespace: str, bundle: BundleId, path: str) -> tuple[str, dict[str, str]]:
        """Return URL and headers that read the staged file `<kind>/<percent-encoded name>`."""
        return self._url + files_path(namespace, bundle) + path, self._server.authorization()

    def open(self, method: str, path: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request without a body and return its answer, still unread."""
        return self._server.open(method, path, headers=headers)

    # --- operators

    def usage(self) -> Usage:
        """Return bytes and counts of all namespaces."""
        return self._server.call("GET", "/v1/usage", answer=Usage)

    def sweep(self, sweep: NewSweep) -> Sweep:
        """Sweep now, or say what a sweep would do."""
        return self._server.call("POST", "/v1/sweeps", body=sweep, answer=Sweep)


_ENDED: Final[Mapping[int, str]] = {kind.status: kind.code for kind in (NotFound, BundleExpired)}
_PART = {"Content-Type": CONTENT_TYPE}


class NewUpload(msgspec.Struct, frozen=True, kw_only=True):
    """An upload that was begun: `id` is None when the blob is held already; `limits` as `Upload-Limit` names them."""

    id: UploadId | None
    state: UploadState
    limits: Mapping[str, int]


def _body(content: Content) -> Body:
    """Return an open file as parts; iterating over it would cut it into lines."""
    if isinstance(content, io.IOBase):
        file: IO[bytes] = content  # type: ignore[assignment] # what is opened for bytes
        return iter(lambda: file.read(_READ_SIZE), b"")
    return content


def _size_of(content: Content, size: int) -> dict[str, str]:
    """Return the Content-Length of parts; that of bytes is known to who sends them."""
    return {} if isinstance(content, bytes) else {"Content-Length": str(size)}


def _uploads(namespace: str) -> str:
    return f"/v1/namespaces/{quote(namespace, safe='')}/uploads"


def files_path(namespace: str, bundle: BundleId) -> str:
    """Return the path before `<kind>/<percent-encoded name>` of a bundle's files."""
    return f"{_path(namespace, bundle)}/files/"


def _path(namespace: str, bundle: BundleId) -> str:
    return f"/v1/namespaces/{quote(namespace, safe='')}/bundles/{bundle}"
