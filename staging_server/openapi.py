"""OpenAPI 3.1, made from the table of routes and the structs of `staging_protocol.api`.

`python -m staging_server.openapi` prints it; `--markdown` prints the same as `docs/http-api.md`.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from staging_protocol import errors
from staging_protocol.api.bundles import BundleState
from staging_protocol.api.info import API_VERSION
from staging_protocol.api.problem import Problem
from staging_protocol.digests import Digest
from staging_protocol.errors import StagingError
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind
from staging_protocol.tokens import BundleId
from staging_server.auth.base import Rule
from staging_server.problems import CONTENT_TYPE as PROBLEM
from staging_server.route import Content, Parameter, Route
from staging_server.routes import routes_table

_STRINGS: Final[Mapping[type, dict[str, Any]]] = {
    Digest: {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
    FileName: {"type": "string", "minLength": 1, "maxLength": 255, "description": "one path component"},
    BundleId: {"type": "string", "pattern": "^[a-z2-7]{26}$"},
}
_PATH_TEXTS: Final = {
    "namespace": "the Kubernetes namespace",
    "bundle": "id of the bundle",
    "digest": "`sha256:` and 64 hexadecimal digits",
    "upload": "id of the upload",
    "kind": "jar, file, pyfile or archive",
    "name": "file name, percent-encoded",
}
_PARAMETER_SCHEMAS: Final[Mapping[str, dict[str, Any]]] = {
    "namespace": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"},
    "bundle": _STRINGS[BundleId],
    "digest": _STRINGS[Digest],
    "upload": _STRINGS[BundleId],
    "kind": {"type": "string", "enum": list(Kind)},
    "name": _STRINGS[FileName],
    "application": {"type": "string", "minLength": 1, "maxLength": 253, "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]+$"},
    "cursor": {"type": "string", "pattern": "^[0-9]{1,18}$"},
    "limit": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
    "state": {"type": "string", "enum": list(BundleState)},
    "Upload-Offset": {"type": "string", "pattern": "^[0-9]{1,15}$"},
    "Upload-Length": {"type": "string", "pattern": "^[0-9]{1,15}$"},
    "Upload-Complete": {"type": "string", "enum": ["?0", "?1"]},
    "Repr-Digest": {"type": "string", "pattern": "^sha-256=:[A-Za-z0-9+/]{43}=:$"},
    "Idempotency-Key": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
}
"""Of those that are more than any string."""

_CREDENTIAL: Final = "an access token (`ssa_…`), or with `auth.mode=kubernetes` a token of the cluster"

_EVERYWHERE: Final = (errors.InvalidRequest, errors.TooManyRequests, errors.InternalError, errors.Unavailable)
_GUARDED: Final = (errors.Unauthenticated, errors.Denied)
_REF: Final = "#/components/schemas/{name}"
_OPAQUE: Final = {Content.BYTES, Content.PART, Content.BLOBS}
"""Bytes that no schema describes."""

_GOOD: Final = {
    200: "Done.", 201: "Made.", 204: "Done; nothing to say.", 206: "A range of the file.", 304: "Not modified.",
}  # fmt: skip


def describe(routes: Iterable[Route], *, version: str) -> dict[str, Any]:
    """Return the OpenAPI document of `routes`."""
    routes = tuple(routes)
    structs = [Problem, *_structs(routes)]
    schemas, components = msgspec.json.schema_components(structs, schema_hook=_string, ref_template=_REF)
    by_struct = dict(zip(structs, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_struct)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Spark Staging API", "version": f"{API_VERSION}, server {version}"},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": _CREDENTIAL},
                "bundleToken": {"type": "http", "scheme": "bearer", "description": "the bundle's token (`sst_…`)"},
            },
        },
    }


def refusals_of(route: Route) -> tuple[type[StagingError], ...]:
    """Return every error that the route may answer with."""
    guarded = () if route.rule.anyone else _GUARDED
    return tuple(dict.fromkeys((*_EVERYWHERE, *guarded, *route.refusals)))


def who_may(rule: Rule) -> str:
    """Return in words who may call a route."""
    if rule.anyone:
        return "anyone"
    ways = [" or ".join(rule.verbs)] if rule.verbs else []
    ways += [f"{' or '.join(rule.own)} (own bundles)"] if rule.own else []
    ways += ["the bundle's token", "a live pod with its label"] if rule.bundle_token else []
    return ", ".join(ways)


def _structs(routes: Iterable[Route]) -> list[type[msgspec.Struct]]:
    used = (body for route in routes for body in (route.request, route.first_line, route.answer))
    return list(dict.fromkeys(body for body in used if isinstance(body, type) and issubclass(body, msgspec.Struct)))


def _string(kind: type) -> dict[str, Any]:
    return dict(_STRINGS[kind])


def _operation(route: Route, by_struct: Mapping[Any, dict[str, Any]]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.text,
        "description": f"Allowed to: {who_may(route.rule)}.",
        "security": _security(route.rule),
        "parameters": [*_path_parameters(route.path), *map(_parameter, route.parameters)],
        "responses": _answers(route, by_struct),
    }
    if route.request is not None:
        operation["requestBody"] = {"required": True, "content": _content(route.request, by_struct)}
    if route.first_line is not None:
        name = _REF.format(name=route.first_line.__name__)
        operation["requestBody"]["description"] = f"A line of JSON, `{name}`, then the bytes."
    return operation


def _answers(route: Route, by_struct: Mapping[Any, dict[str, Any]]) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for status in (route.status, *route.other):
        answers[str(status)] = {"description": _GOOD[status], **_answer_fields(route)}
        if route.answer is not None and status not in {204, 304} and route.method != "HEAD":
            answers[str(status)]["content"] = _content(route.answer, by_struct)
    for error in refusals_of(route):
        known = answers.setdefault(str(error.status), {"description": "", "content": _content(PROBLEM, by_struct)})
        known["description"] = f"{known['description']} `{error.code}`: {error.title}.".strip()
    return dict(sorted(answers.items()))


def _answer_fields(route: Route) -> dict[str, Any]:
    fields = {field.name: {"description": field.text, "schema": _schema(field.name)} for field in route.answer_fields}
    return {"headers": fields} if fields else {}


def _content(body: object, by_struct: Mapping[Any, dict[str, Any]]) -> dict[str, Any]:
    if body == PROBLEM:
        return {PROBLEM: {"schema": by_struct[Problem]}}
    if isinstance(body, Content):
        return {str(body): {"schema": {"type": "string"}} if body not in _OPAQUE else {}}
    return {"application/json": {"schema": by_struct.get(body, {"type": "object"})}}


def _security(rule: Rule) -> list[dict[str, Any]]:
    if rule.anyone:
        return []
    ways: list[dict[str, Any]] = [{"token": []}] if rule.verbs or rule.own else []
    return [*ways, {"bundleToken": []}] if rule.bundle_token else ways


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "description": _PATH_TEXTS[name], "schema": _schema(name)}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name, "in": parameter.place, "required": False, "description": parameter.text,
        "schema": _schema(parameter.name),
    }  # fmt: skip


def _schema(name: str) -> dict[str, Any]:
    return dict(_PARAMETER_SCHEMAS.get(name, {"type": "string"}))


def markdown(routes: Iterable[Route]) -> str:
    """Return the table of routes for `docs/http-api.md`."""
    lines = ["| route | allowed to | does | body | answer | refusals |", "|---|---|---|---|---|---|"]
    for route in routes:
        refusals = ", ".join(f"`{error.code}`" for error in dict.fromkeys(route.refusals))
        lines.append(
            f"| `{route.method} {route.path}` | {who_may(route.rule)} | {route.text} | {_body_name(route.request)} "
            f"| {route.status} {_body_name(route.answer)} | {refusals} |"
        )
    return "\n".join(lines) + "\n"


def _body_name(body: object) -> str:
    if body is None:
        return ""
    return f"`{body}`" if isinstance(body, Content) else f"`{getattr(body, '__name__', 'object')}`"


def main(arguments: list[str]) -> None:
    """Print the description, or the table for people."""
    if "--markdown" in arguments:
        sys.stdout.write(markdown(routes_table()))
        return
    document = msgspec.json.encode(describe(routes_table(), version=""))
    sys.stdout.write(msgspec.json.format(document, indent=2).decode() + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
