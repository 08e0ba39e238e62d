"""Client of the staging server: one method a route, our types in and out, our errors raised.

It does not retry; callers know whether a body can be sent twice.
"""

import io
from collections.abc import Mapping
from typing import IO, Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from staging_io.http import Body, HttpClient, bearer
from staging_io.refusals import problem_error
from staging_protocol.api import (
    Bundle,
    BundlePage,
    BundleToken,
    CreatedBundle,
    Explanation,
    Info,
    Lease,
    NewBundle,
    NewSweep,
    Pin,
    Report,
    Sealed,
    Sweep,
    Usage,
)
from staging_protocol.digests import Digest
from staging_protocol.errors import (
    InvalidRequest,
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
from staging_protocol.wire import decode, encode

T = TypeVar("T")

Content = IO[bytes] | Body
"""What is uploaded: an open file, bytes, or parts of them."""

_READ_SIZE: Final = 1024 * 1024

_MAX_ANSWER = 16 * 1024 * 1024
"""Bytes; a manifest of 10,000 files has 3 MB. What is larger did not come from our server."""


class StagingClient:
    """One server and one identity; safe to use from several threads."""

    def __init__(self, *, url: str, token: Token | None, http: HttpClient, allow_plain_http: bool = False) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._http = http
        self._allow_plain_http = allow_plain_http
        self._bearer: Mapping[str, str] = {}

    # --- submitters

    def info(self) -> Info:
        """Ask what the server is and allows."""
        return self._call("GET", "/v1/info", answer=Info)

    def create(self, namespace: str, bundle: NewBundle, *, idempotency_key: str) -> CreatedBundle:
        """Create a bundle; the same key and body give the same bundle with a new token."""
        path = f"/v1/namespaces/{quote(namespace, safe='')}/bundles"
        return self._call("POST", path, body=bundle, answer=CreatedBundle, headers={"Idempotency-Key": idempotency_key})

    def put_blob(self, namespace: str, digest: Digest, *, size: int, content: Content) -> None:
        """Upload one whole blob of `size` bytes, which the server verifies; doing it again is harmless."""
        path = f"/v1/namespaces/{quote(namespace, safe='')}/blobs/{digest}"
        headers = {"Content-Type": "application/octet-stream"}
        self._send("PUT", path, body=_body(content), headers={**headers, **_size_of(content, size)})

    def create_upload(self, namespace: str, digest: Digest, *, size: int) -> "NewUpload":
        """Begin to upload a blob in parts; nothing is left to do when the namespace holds it already."""
        fields = {LENGTH: str(size), COMPLETE: flag(False), DIGEST: digest.repr_digest}
        answer = self._exchange("POST", _uploads(namespace), body=b"", headers={**_PART, **fields})
        state = UploadState.of_fields(answer.headers)
        if state.complete:
            return NewUpload(id=None, state=state, limits={})
        upload = UploadId(answer.headers.get("Location", "").rpartition("/")[2])
        return NewUpload(id=upload, state=state, limits=read_limits(answer.headers))

    def upload_state(self, namespace: str, upload: UploadId) -> UploadState:
        """Ask how far an upload is; whoever was appending to it is cut off."""
        reply = self._ask("HEAD", f"{_uploads(namespace)}/{upload}")
        if reply.status == 409:  # noqa: PLR2004 - an answer to HEAD has no body, and this route has one conflict
            raise UploadSuperseded("another request took the upload over while it was asked about")
        return UploadState.of_fields(_without_problem(reply).headers)

    def append(
        self, namespace: str, upload: UploadId, *, offset: int, content: Content, size: int, complete: bool
    ) -> UploadState:
        """Send the `size` bytes from `offset`, which are durably stored when this returns; `complete` with the last."""
        fields = {OFFSET: str(offset), COMPLETE: flag(complete), **_size_of(content, size)}
        url = f"{_uploads(namespace)}/{upload}"
        answer = self._exchange("PATCH", url, body=_body(content), headers={**_PART, **fields})
        return UploadState.of_fields(answer.headers)

    def cancel_upload(self, namespace: str, upload: UploadId) -> None:
        """Forget an upload and its bytes."""
        self._send("DELETE", f"{_uploads(namespace)}/{upload}")

    def seal(self, namespace: str, bundle: BundleId) -> Sealed:
        """Close the bundle to further files."""
        return self._call("POST", f"{_path(namespace, bundle)}/seal", answer=Sealed)

    def bundle(self, namespace: str, bundle: BundleId) -> Bundle:
        """Return the bundle as it stands."""
        return self._call("GET", _path(namespace, bundle), answer=Bundle)

    def bundles(self, namespace: str | None, *, cursor: str | None = None, limit: int | None = None) -> BundlePage:
        """Return one page of the bundles of a namespace, or of all (operators)."""
        root = "/v1/bundles" if namespace is None else f"/v1/namespaces/{quote(namespace, safe='')}/bundles"
        query = urlencode({name: value for name, value in (("cursor", cursor), ("limit", limit)) if value is not None})
        return self._call("GET", f"{root}?{query}" if query else root, answer=BundlePage)

    def explain(self, namespace: str, bundle: BundleId) -> Explanation:
        """Return every claim that keeps the bundle, in words, and its reports."""
        return self._call("GET", f"{_path(namespace, bundle)}/explain", answer=Explanation)

    def bind(self, namespace: str, bundle: BundleId, owner: OwnerReference) -> Bundle:
        """Name the Kubernetes object whose life keeps the bundle."""
        return self._call("PUT", f"{_path(namespace, bundle)}/owner", body=owner, answer=Bundle)

    def lease(self, namespace: str, bundle: BundleId, lease: Lease) -> Bundle:
        """Hold the bundle for some seconds from now."""
        return self._call("PUT", f"{_path(namespace, bundle)}/lease", body=lease, answer=Bundle)

    def pin(self, namespace: str, bundle: BundleId, pin: Pin) -> Bundle:
        """Hold the bundle with a reason."""
        return self._call("PUT", f"{_path(namespace, bundle)}/pin", body=pin, answer=Bundle)

    def unpin(self, namespace: str, bundle: BundleId) -> Bundle:
        """Take the pin away."""
        return self._call("DELETE", f"{_path(namespace, bundle)}/pin", answer=Bundle)

    def new_token(self, namespace: str, bundle: BundleId) -> BundleToken:
        """Make a new bundle token; the old one stays valid for an overlap."""
        return self._call("POST", f"{_path(namespace, bundle)}/token", answer=BundleToken)

    def delete(self, namespace: str, bundle: BundleId) -> None:
        """End the bundle now."""
        self._send("DELETE", _path(namespace, bundle))

    # --- pods

    def manifest(self, namespace: str, bundle: BundleId) -> Manifest:
        """Return what the job needs; one that was changed on its way is no answer (SourceUnavailable)."""
        reply = self._exchange("GET", f"{_path(namespace, bundle)}/manifest", headers=_JSON)
        if not _is_whole(reply):
            msg = "the manifest was damaged on its way: it does not have the digest that the server states"
            raise SourceUnavailable(msg)
        return _read(reply.data, into=Manifest)

    def report(self, namespace: str, bundle: BundleId, report: Report) -> None:
        """Tell how resolving ended."""
        data = encode(report)
        fields = {**_JSON, **_content_digest(data)}
        self._send("POST", f"{_path(namespace, bundle)}/reports", body=data, headers=fields)

    def file_request(self, namespace: str, bundle: BundleId, path: str) -> tuple[str, dict[str, str]]:
        """Return URL and headers that read the staged file `<kind>/<percent-encoded name>`."""
        url = f"{self._url}{_path(namespace, bundle)}/files/{path}"
        return url, dict(self._authorization())

    # --- operators

    def usage(self) -> Usage:
        """Return bytes and counts of all namespaces."""
        return self._call("GET", "/v1/usage", answer=Usage)

    def sweep(self, sweep: NewSweep) -> Sweep:
        """Sweep now, or say what a sweep would do."""
        return self._call("POST", "/v1/sweeps", body=sweep, answer=Sweep)

    # --- one way out

    def _call(
        self,
        method: str,
        path: str,
        *,
        answer: type[T],
        body: msgspec.Struct | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        data = None if body is None else encode(body)
        fields = {**_JSON, **_content_digest(data), **(headers or {})}
        return _read(self._send(method, path, body=data, headers=fields), into=answer)

    def _send(
        self, method: str, path: str, *, body: Body | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        return self._exchange(method, path, body=body, headers=headers).data

    def _exchange(
        self, method: str, path: str, *, body: Body | None = None, headers: Mapping[str, str] | None = None
    ) -> "_Reply":
        return _without_problem(self._ask(method, path, body=body, headers=headers))

    def _ask(
        self, method: str, path: str, *, body: Body | None = None, headers: Mapping[str, str] | None = None
    ) -> "_Reply":
        url = self._url + path
        with self._http.open(method, url, body=body, headers={**(headers or {}), **self._authorization()}) as response:
            return _Reply(status=response.status, headers=response.headers, data=response.read(_MAX_ANSWER))

    def _authorization(self) -> Mapping[str, str]:
        if self._token is not None and not self._bearer:
            self._bearer = bearer(self._token, url=self._url, allow_plain_http=self._allow_plain_http)
        return self._bearer


_JSON = {"Content-Type": "application/json"}
_PART = {"Content-Type": CONTENT_TYPE}


class NewUpload(msgspec.Struct, frozen=True, kw_only=True):
    """An upload that was begun: `id` is None when the blob is held already; `limits` as `Upload-Limit` names them."""

    id: UploadId | None
    state: UploadState
    limits: Mapping[str, int]


class _Reply(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    headers: Mapping[str, str]
    data: bytes


def _without_problem(reply: _Reply) -> _Reply:
    if reply.status >= 300:  # noqa: PLR2004 - RFC 9110, section 15.4: our server never redirects these routes
        raise problem_error(reply, reply.data)
    return reply


def _content_digest(data: bytes | None) -> dict[str, str]:
    """Return the field by which the server notices that a body was changed on its way (RFC 9530, section 2)."""
    return {} if data is None else {"Content-Digest": Digest.of(data).repr_digest}


def _is_whole(reply: _Reply) -> bool:
    """Whether the bytes have the digest that came with them; a server that states none is older than that field."""
    stated = reply.headers.get(DIGEST)
    return stated is None or stated == Digest.of(reply.data).repr_digest


def _body(content: Content) -> Body:
    """Return an open file as parts; iterating over it would cut it into lines."""
    if isinstance(content, io.IOBase):
        file: IO[bytes] = content  # type: ignore[assignment] # what is opened for bytes
        return iter(lambda: file.read(_READ_SIZE), b"")
    return content


def _size_of(content: Content, size: int) -> dict[str, str]:
    """Return the Content-Length of parts; that of bytes is known to who sends them."""
    return {} if isinstance(content, bytes) else {"Content-Length": str(size)}


def _read(data: bytes, *, into: type[T]) -> T:
    try:
        return decode(data, into=into)
    except InvalidRequest as error:
        msg = f"the answer is not one of a staging server; is the URL right? ({error.detail})"
        raise InvalidRequest(msg) from error


def _uploads(namespace: str) -> str:
    return f"/v1/namespaces/{quote(namespace, safe='')}/uploads"


def _path(namespace: str, bundle: BundleId) -> str:
    return f"/v1/namespaces/{quote(namespace, safe='')}/bundles/{bundle}"
