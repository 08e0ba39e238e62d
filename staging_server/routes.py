"""The one table of routes: registers the handlers, guards them, and makes OpenAPI and `docs/http-api.md`."""

from typing import Any, Final

from staging_protocol import errors
from staging_protocol.api.bundles import Bundle, BundlePage, BundleToken, Lease, Pin, Sealed
from staging_protocol.api.claims import Explanation
from staging_protocol.api.creation import CreatedBundle, NewBundle
from staging_protocol.api.info import Info
from staging_protocol.api.operators import NewSweep, Sweep, Usage
from staging_protocol.api.reports import Report
from staging_protocol.batches import Batch
from staging_protocol.manifest import Manifest
from staging_protocol.owners import OwnerReference
from staging_server import pages
from staging_server.access_tokens import Verb
from staging_server.auth.base import Rule
from staging_server.handlers import blobs, bundles, operators
from staging_server.route import Content, Parameter, Route
from staging_server.upload_routes import upload_routes

_NAMESPACE: Final = "/v1/namespaces/{namespace}"
_BUNDLES: Final = f"{_NAMESPACE}/bundles"
_BUNDLE: Final = f"{_BUNDLES}/{{bundle}}"
_FILE: Final = f"{_BUNDLE}/files/{{kind}}/{{name}}"

_ANYONE: Final = Rule(anyone=True)
_OPERATOR: Final = Rule(verbs=(Verb.OPERATE,))
_CREATOR: Final = Rule(own=(Verb.CREATE,), verbs=(Verb.OPERATE,))
_READER: Final = Rule(verbs=(Verb.GET,), bundle_token=True)

_BAD_BODY: Final = (
    errors.InvalidRequest, errors.TooLarge, errors.UnsupportedEncoding, errors.RequestTimeout, errors.RequestDamaged,
)  # fmt: skip
_BAD_BYTES: Final = (errors.InvalidRequest, errors.TooLarge, errors.UnsupportedEncoding, errors.RequestTimeout)
_NO_BUNDLE: Final = (errors.NotFound, errors.BundleExpired)

_PAGING: Final = (
    Parameter(name="cursor", place="query", text="`next` of the page before"),
    Parameter(name="limit", place="query", text="most bundles of this page"),
    Parameter(name="application", place="query", text="only bundles of this application"),
    Parameter(name="state", place="query", text="only bundles in this state: open or sealed"),
)
_CONDITIONS: Final = tuple(
    Parameter(name=name, place="header", text=text)
    for name, text in (
        ("If-Match", "entity tags, one of which the file must have"),
        ("If-None-Match", "entity tags that the client has already"),
        ("If-Range", "entity tag for which the range is meant; with another one the whole file comes"),
        ("Range", "one range of bytes; several are answered with the whole file"),
    )
)
_READ_FILE: Final[dict[str, Any]] = {
    "path": _FILE,
    "rule": _READER,
    "answer": Content.BYTES,
    "handler": bundles.file,
    "other": (206, 304),
    "parameters": _CONDITIONS,
    "refusals": (*_NO_BUNDLE, errors.BundleNotSealed, errors.PreconditionFailed, errors.RangeNotSatisfiable),
}


def routes_table() -> tuple[Route, ...]:
    """Return all routes, those that are asked most first (the router tries them in order)."""
    return (*_for_submitters(), *_for_pods(), *upload_routes(), *_for_owners(), *_for_operators(), *_for_machines())


def _for_submitters() -> tuple[Route, ...]:
    return (
        Route(
            method="POST", path=_BUNDLES, name="createBundle", handler=bundles.create, begins_work=True,
            text="Make a bundle: its id, its token (shown once), and for each file whether the server wants its bytes.",
            rule=Rule(verbs=(Verb.CREATE,)), request=NewBundle, answer=CreatedBundle, status=201,
            parameters=(Parameter(name="Idempotency-Key", place="header", text="makes repeating harmless for 24 h"),),
            refusals=(
                *_BAD_BODY, errors.TargetCollision, errors.IdempotencyMismatch, errors.RequestInProgress,
                errors.QuotaExceeded,
            ),
        ),
        Route(
            method="PUT", path=f"{_NAMESPACE}/blobs/{{digest}}", name="putBlob", handler=blobs.put, begins_work=True,
            text="Upload a whole blob that an open bundle wants; 204 when the namespace has it already.",
            rule=Rule(verbs=(Verb.CREATE,)), request=Content.BYTES, status=201, other=(204,),
            refusals=(
                *_BAD_BODY, errors.BlobNotWanted, errors.SizeRequired, errors.DigestMismatch, errors.NoSpace,
                errors.QuotaExceeded,
            ),
        ),
        Route(
            method="POST", path=f"{_NAMESPACE}/blobs", name="putBlobs", handler=blobs.put_many, begins_work=True,
            text="Upload small blobs that open bundles want, all or none; 204 when the namespace has them already.",
            rule=Rule(verbs=(Verb.CREATE,)), request=Content.BLOBS, first_line=Batch, status=201, other=(204,),
            refusals=(
                *_BAD_BYTES, errors.BlobNotWanted, errors.SizeRequired, errors.DigestMismatch, errors.NoSpace,
            ),
        ),
        Route(
            method="POST", path=f"{_BUNDLE}/seal", name="sealBundle", handler=bundles.seal,
            text="Close the bundle to further files.", rule=_CREATOR, answer=Sealed,
            refusals=(*_NO_BUNDLE, errors.FilesMissing),
        ),
        Route(
            method="GET", path=_BUNDLES, name="listBundlesOfNamespace", handler=bundles.list_of_namespace,
            text="List the bundles of a namespace, newest first.", rule=Rule(verbs=(Verb.LIST,)), answer=BundlePage,
            parameters=_PAGING,
        ),
    )  # fmt: skip


def _for_pods() -> tuple[Route, ...]:
    return (
        Route(method="GET", name="getFile", text="Read a staged file, or a range of it.", **_READ_FILE),
        Route(method="HEAD", name="headFile", text="What a GET of the whole file would answer.", **_READ_FILE),
        Route(
            method="GET", path=f"{_BUNDLE}/manifest", name="getManifest", handler=bundles.manifest,
            text="Return what the job needs: every dependency with its target and digest.", rule=_READER,
            answer=Manifest, refusals=(*_NO_BUNDLE, errors.BundleNotSealed),
        ),
        Route(
            method="POST", path=f"{_BUNDLE}/reports", name="addReport", handler=bundles.report,
            text="Tell how an init container ended.", rule=Rule(bundle_token=True, verbs=(Verb.OPERATE,)),
            request=Report, status=204, refusals=(*_BAD_BODY, *_NO_BUNDLE),
        ),
        Route(
            method="GET", path=_BUNDLE, name="getBundle", handler=bundles.show,
            text="Return the bundle as it stands.", rule=_READER, answer=Bundle, refusals=_NO_BUNDLE,
        ),
    )  # fmt: skip


def _for_owners() -> tuple[Route, ...]:
    return (
        Route(
            method="PUT", path=f"{_BUNDLE}/owner", name="bindBundle", handler=bundles.bind,
            text="Name the Kubernetes object whose life keeps the bundle.", rule=_CREATOR, request=OwnerReference,
            answer=Bundle, refusals=(*_BAD_BODY, *_NO_BUNDLE),
        ),
        Route(
            method="PUT", path=f"{_BUNDLE}/lease", name="leaseBundle", handler=bundles.lease,
            text="Hold the bundle for some seconds from now.", rule=_CREATOR, request=Lease, answer=Bundle,
            refusals=(*_BAD_BODY, *_NO_BUNDLE),
        ),
        Route(
            method="PUT", path=f"{_BUNDLE}/pin", name="pinBundle", handler=bundles.pin,
            text="Hold the bundle with a reason.", rule=Rule(verbs=(Verb.PIN,)), request=Pin, answer=Bundle,
            refusals=(*_BAD_BODY, *_NO_BUNDLE),
        ),
        Route(
            method="DELETE", path=f"{_BUNDLE}/pin", name="unpinBundle", handler=bundles.unpin,
            text="Take the pin away.", rule=Rule(verbs=(Verb.PIN,)), answer=Bundle, refusals=_NO_BUNDLE,
        ),
        Route(
            method="POST", path=f"{_BUNDLE}/token", name="renewToken", handler=bundles.new_token,
            text="Make a new bundle token; the old one stays valid for an overlap.", rule=_CREATOR, answer=BundleToken,
            refusals=_NO_BUNDLE,
        ),
        Route(
            method="DELETE", path=_BUNDLE, name="deleteBundle", handler=bundles.delete,
            text="End the bundle now.", rule=Rule(verbs=(Verb.DELETE,), own=(Verb.CREATE,)), status=204,
            refusals=_NO_BUNDLE,
        ),
        Route(
            method="GET", path=f"{_BUNDLE}/explain", name="explainBundle", handler=bundles.explain,
            text="Return every claim that keeps the bundle, in words, and its reports.",
            rule=Rule(verbs=(Verb.LIST, Verb.GET)), answer=Explanation, refusals=_NO_BUNDLE,
        ),
    )  # fmt: skip


def _for_operators() -> tuple[Route, ...]:
    return (
        Route(
            method="GET", path="/v1/bundles", name="listBundles", handler=bundles.list_of_all,
            text="List all bundles, newest first.", rule=_OPERATOR, answer=BundlePage, parameters=_PAGING,
        ),
        Route(
            method="GET", path="/v1/usage", name="getUsage", handler=operators.usage,
            text="Return bytes and counts of all namespaces.", rule=_OPERATOR, answer=Usage,
        ),
        Route(
            method="POST", path="/v1/sweeps", name="sweep", handler=operators.sweep,
            text="Sweep now, or say what a sweep would do.", rule=_OPERATOR, request=NewSweep, answer=Sweep,
            refusals=_BAD_BODY,
        ),
        Route(
            method="GET", path="/", name="page", handler=pages.overview, text="The page for operators.",
            rule=_OPERATOR, answer=Content.HTML,
        ),
    )  # fmt: skip


def _for_machines() -> tuple[Route, ...]:
    return (
        Route(
            method="GET", path="/v1/info", name="getInfo", handler=operators.info,
            text="Say what the server is and allows, and where pods reach it.", rule=_ANYONE, answer=Info,
        ),
        Route(
            method="GET", path="/livez", name="livez", handler=operators.livez, probe=True,
            text="200 while the process answers.", rule=_ANYONE, answer=Content.TEXT,
        ),
        Route(
            method="GET", path="/readyz", name="readyz", handler=operators.readyz, probe=True,
            text="200 when requests shall come here, else 503; `?verbose` lists the checks.", rule=_ANYONE,
            answer=Content.TEXT, parameters=(Parameter(name="verbose", place="query", text="list each check"),),
            refusals=(errors.Unavailable,),
        ),
        Route(
            method="GET", path="/metrics", name="metrics", handler=operators.metrics, probe=True,
            text="Metrics for Prometheus.", rule=_ANYONE, answer=Content.TEXT,
        ),
        Route(
            method="GET", path="/openapi.json", name="openapi", handler=operators.openapi,
            text="This description.", rule=_ANYONE, answer=dict[str, Any],
        ),
        Route(
            method="GET", path="/static/page.css", name="pageStyle", handler=pages.style,
            text="The style of the page.", rule=_ANYONE, answer=Content.CSS,
        ),
    )  # fmt: skip
