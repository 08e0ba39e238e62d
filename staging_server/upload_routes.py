"""The routes of uploads in parts (draft-ietf-httpbis-resumable-upload-15)."""

from typing import Final

from staging_protocol import errors
from staging_server.access_tokens import Verb
from staging_server.auth.base import Rule
from staging_server.handlers import uploads
from staging_server.route import Content, Parameter, Route

_UPLOADS: Final = "/v1/namespaces/{namespace}/uploads"
_UPLOAD: Final = f"{_UPLOADS}/{{upload}}"

_OFFSET: Final = Parameter(name="Upload-Offset", place="header", text="where the part begins: the offset of the upload")
_COMPLETE: Final = Parameter(name="Upload-Complete", place="header", text="`?1` with the last part, else `?0`")
_LENGTH: Final = Parameter(name="Upload-Length", place="header", text="bytes of the whole")
_DIGEST: Final = Parameter(name="Repr-Digest", place="header", text="`sha-256=:<base64>:` of the whole (RFC 9530)")
_STANDING: Final = (
    Parameter(name="Upload-Offset", place="header", text="bytes that are durably stored"),
    Parameter(name="Upload-Complete", place="header", text="`?1` when the blob is stored, else `?0`"),
)
_LIMIT: Final = Parameter(name="Upload-Limit", place="header", text="`max-size`, `max-append-size` and `max-age`")
_LOCATION: Final = Parameter(name="Location", place="header", text="path of the upload")


def upload_routes() -> tuple[Route, ...]:
    """Return them, those that are asked most first."""
    create = Rule(verbs=(Verb.CREATE,))
    refused = (errors.NotFound, errors.UploadSuperseded)
    wrong = (
        errors.InvalidRequest, errors.TooLarge, errors.UnsupportedEncoding, errors.RequestTimeout,
        errors.BlobNotWanted, errors.SizeRequired, errors.DigestMismatch, errors.NoSpace,
    )  # fmt: skip
    return (
        Route(
            method="PATCH", path=_UPLOAD, name="appendUpload", handler=uploads.append, begins_work=True,
            text="Add a part at the offset of an upload; 201 when it was the last one and the blob is stored.",
            rule=create, request=Content.PART, status=204, other=(201,), parameters=(_OFFSET, _COMPLETE, _LENGTH),
            answer_fields=_STANDING,
            refusals=(*refused, *wrong, errors.UploadOffsetMismatch),
        ),
        Route(
            method="POST", path=_UPLOADS, name="createUpload", handler=uploads.create, begins_work=True,
            text="Begin an upload in parts of a blob that an open bundle wants, perhaps with its first part; 204 when "
            "the namespace has the blob already.",
            rule=create, request=Content.PART, status=201, other=(204,), parameters=(_LENGTH, _COMPLETE, _DIGEST),
            answer_fields=(_LOCATION, _LIMIT, *_STANDING),
            refusals=(*wrong, errors.UploadSuperseded),
        ),
        Route(
            method="HEAD", path=_UPLOAD, name="headUpload", handler=uploads.head,
            text="Take an upload over, and tell its offset: the bytes that are durably stored.", rule=create,
            status=204, answer_fields=(_LIMIT, _LENGTH, *_STANDING), refusals=refused,
        ),
        Route(
            method="DELETE", path=_UPLOAD, name="cancelUpload", handler=uploads.cancel,
            text="End an upload and remove its bytes; operators may end those of others.",
            rule=Rule(verbs=(Verb.CREATE, Verb.OPERATE)), status=204, refusals=(errors.NotFound,),
        ),
    )  # fmt: skip
