"""The description of the API and the server's routes are the same thing."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from staging_protocol.errors import ERRORS
from staging_server.openapi import describe, markdown, refusals_of
from staging_server.routes import routes_table
from tests.staging_server.live import live_server

_DOCUMENT = describe(routes_table(), version="0")


def _operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in _DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ()
    for child in children:
        yield from _nodes(child)


async def test_every_registered_route_is_described_and_the_other_way_round(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        described = (await live.call("GET", "/openapi.json")).json
        assert described["openapi"] == "3.1.0"
        listed = {(path, method.upper()) for path, methods in described["paths"].items() for method in methods}
        for path, method in listed:
            concrete = re.sub(r"{\w+}", "x", path)
            wrong = await live.call("PROPPATCH", concrete)
            assert wrong.status == 405, path
            assert method in wrong.headers["Allow"].split(", "), path
            assert {(path, one) for one in wrong.headers["Allow"].split(", ")} <= listed, path
        assert listed == {(route.path, route.method) for route in routes_table()}


def test_every_reference_leads_somewhere() -> None:
    references = [node["$ref"] for node in _nodes(_DOCUMENT) if isinstance(node, dict) and "$ref" in node]
    assert references
    for reference in references:
        name = reference.removeprefix("#/components/schemas/")
        assert name in _DOCUMENT["components"]["schemas"], reference


def test_operations_have_what_openapi_asks_for() -> None:
    names = [operation["operationId"] for _, _, operation in _operations()]
    assert len(names) == len(set(names))
    for path, method, operation in _operations():
        declared = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", path)), path
        assert operation["responses"], path
        for status, answer in operation["responses"].items():
            assert re.fullmatch(r"[1-5]\d\d", status), path
            assert answer["description"], (path, status)
        assert ("requestBody" in operation) <= (method in {"POST", "PUT", "PATCH"}), path
        for way in operation["security"]:
            assert set(way) <= set(_DOCUMENT["components"]["securitySchemes"]), path


def test_the_words_of_the_protocol_are_in_the_schemas() -> None:
    schemas = _DOCUMENT["components"]["schemas"]
    new_file = schemas["NewFile"]["properties"]
    assert new_file["digest"]["pattern"] == "^sha256:[0-9a-f]{64}$"
    assert set(schemas["Problem"]["required"]) >= {"code", "retryable", "request_id", "status"}


def test_every_refusal_is_one_of_the_products_errors() -> None:
    for route in routes_table():
        assert all(ERRORS[error.code] is error for error in refusals_of(route)), route.name


def test_names_of_routes_fit_into_the_audit_table() -> None:
    assert all(len(route.name) <= 40 for route in routes_table())


def test_the_table_for_people_has_a_line_for_each_route() -> None:
    lines = markdown(routes_table()).splitlines()
    assert len(lines) == len(routes_table()) + 2
    printed = subprocess.run(
        [sys.executable, "-m", "staging_server.openapi", "--markdown"], check=True, capture_output=True, text=True
    )
    assert printed.stdout.splitlines() == lines
