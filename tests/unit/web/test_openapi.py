"""The description of the HTTP API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.web.openapi import document
from shoal.web.scopes import is_reading, offered

if TYPE_CHECKING:
    from tests.unit.web.conftest import Site


async def test_every_method_that_is_offered_is_described(site: Site) -> None:
    """Made of the same registry; served to everybody."""
    described = (await site.ask("GET", "/openapi.json", token="")).json()
    assert described == document()
    for method in offered():
        operations = described["paths"][f"/v1/{method.name}"]
        (verb,) = operations
        assert verb == ("get" if is_reading(method.name) else "post")
        operation = operations[verb]
        assert operation["summary"] == method.summary
        names = {each.name for each in method.parameters}
        if verb == "get":
            assert {each["name"] for each in operation.get("parameters", [])} == names
        elif names:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            assert set(schema["properties"]) == names
            required = {each.name for each in method.parameters if each.is_required}
            assert set(schema.get("required", [])) == required
