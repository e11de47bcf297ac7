"""The description keeps up with the server."""

from __future__ import annotations

import json
import re
from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING, Any

from shoal.names import openapi
from shoal.names.openapi import description, document
from shoal.names.routes import NoRoute, route

if TYPE_CHECKING:
    import pytest

OPERATIONS = [
    (path, method.upper(), operation)
    for path, methods in document()["paths"].items()
    for method, operation in methods.items()
    if method != "parameters"
]


def test_every_operation_has_a_route() -> None:
    """With parameters filled in, each is served."""
    for path, method, _ in OPERATIONS:
        target = path.replace("{name}", "alice").replace("{account}", "ab" * 20)
        assert not isinstance(route(method, target), NoRoute), path


def test_every_reference_leads_somewhere() -> None:
    """All schemas are there, and each is used."""
    text = description().decode()
    used = set(re.findall(r"#/components/schemas/(\w+)", text))

    assert used | {"Name"} == set(document()["components"]["schemas"])


def test_operations_are_told_apart() -> None:
    """And each path names its parameters."""
    ids = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(set(ids)) == len(ids)
    for path, item in document()["paths"].items():
        named = {each["name"] for each in item.get("parameters", [])}
        assert named == set(re.findall(r"\{(\w+)\}", path))


def test_examples_fit_their_patterns() -> None:
    """What a reader would copy works."""
    schemas: dict[str, Any] = document()["components"]["schemas"]
    for schema in schemas.values():
        if "example" in schema:
            assert re.fullmatch(schema["pattern"][1:-1], schema["example"])


def test_a_tree_that_was_never_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no version to tell, and a description all the same."""

    def unknown(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(openapi, "version", unknown)
    assert document()["info"]["version"] == "0"


def test_it_is_json() -> None:
    """Made once."""
    assert json.loads(description()) == document()
    assert description() is description()
