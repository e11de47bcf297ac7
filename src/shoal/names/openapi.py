"""The server's description of itself, OpenAPI 3.1, which its tests fuzz it from."""

from __future__ import annotations

import functools
import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from shoal.names.rules import NAME_PATTERN
from shoal.names.wire import BODY_SIZE_MAX

_ID: Final = "^(0[xX])?[0-9a-fA-F]{40}$"
_BASE64: Final = "^[A-Za-z0-9+/]+={0,2}$"
_JSON: Final = "application/json"

_Schema = dict[str, Any]


@functools.cache
def description() -> bytes:
    """Return the description as JSON."""
    return json.dumps(document(), indent=1).encode()


def document() -> _Schema:
    """Return the description."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Shoal name server",
            "version": _version(),
            "description": "A directory from names to Jami accounts, in JamiNS's interface.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/name/{name}": {
                "parameters": [_parameter("name", "the name, in any case", "NameInAnyCase")],
                "get": _lookup("findName", "Who has this name?", "Record"),
                "post": _register(),
            },
            "/name/{name}/publickey": _field("publickey", "The key of the account."),
            "/name/{name}/signature": _field("signature", "The account's signature of the name."),
            "/name/{name}/owner": _field("owner", "Who owns the record on the chain."),
            "/addr/{account}": {
                "parameters": [_parameter("account", "an account id", "Id")],
                "get": _lookup("findAccount", "Which name has this account?", "Reverse"),
            },
            "/registration/{name}": {
                "parameters": [_parameter("name", "the name, in any case", "NameInAnyCase")],
                "get": _lookup("findRegistration", "How far is this registration?", "Progress"),
            },
            "/healthz": {"get": _page("health", "Is the server well?", _JSON, is_down=True)},
            "/metrics": {"get": _page("metrics", "Figures for Prometheus.", "text/plain")},
            "/openapi.json": {"get": _page("openapi", "This description.", _JSON)},
        },
        "components": {"schemas": _schemas()},
    }


def _version() -> str:
    try:
        return version("shoal")
    except PackageNotFoundError:  # run from a tree that was never installed
        return "0"


def _schemas() -> _Schema:
    text, base64 = {"type": "string"}, {"type": "string", "pattern": _BASE64}
    identity = {"type": "string", "pattern": _ID}
    name = {"type": "string", "pattern": NAME_PATTERN}
    return {
        "Name": name,
        "NameInAnyCase": {
            "type": "string",
            "pattern": NAME_PATTERN.replace("a-z", "a-zA-Z"),
            "example": "alice",
        },
        "Id": {**identity, "example": "0x" + "ab" * 20},
        "Record": _object(
            ["name", "addr"],
            name=name,
            addr={"type": "string", "pattern": "^0x[0-9a-f]{40}$"},
            publickey={**base64, "description": "base64 of the PEM text"},
            signature={**base64, "description": "RSA PKCS #1 v1.5, SHA-512, over the name"},
        ),
        "Reverse": _object(["name"], name=name),
        "Registration": _object(
            ["addr", "owner", "signature", "publickey"],
            addr=identity,
            owner={**identity, "description": "who shall own the record on the chain"},
            signature=base64,
            publickey=base64,
        ),
        "Registered": _object(["success"], success={"const": True}),
        "Progress": _object(
            ["name", "state"],
            name=name,
            state={"enum": ["free", "pending", "registered", "refused", "unusable"]},
            detail=text,
        ),
        "Error": _object(["error"], error=text),
        "Refusal": _object(
            ["success", "error"],
            success={"const": False},
            error=text,
            code={"enum": ["pending", "busy", "read-only", "taken", "named"]},
            addr=text,
            owner=text,
            name=text,
        ),
    }


def _object(required: list[str], **properties: _Schema) -> _Schema:
    return {"type": "object", "required": required, "properties": properties}


def _parameter(name: str, text: str, schema: str) -> _Schema:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": text,
        "schema": _ref(schema),
    }


def _ref(name: str) -> _Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _answer(text: str, schema: _Schema | None, kind: str = _JSON) -> _Schema:
    return {"description": text, "content": {kind: {} if schema is None else {"schema": schema}}}


def _lookup(operation: str, text: str, schema: str) -> _Schema:
    return {
        "operationId": operation,
        "summary": text,
        "responses": {
            "200": _answer("found", _ref(schema)),
            "400": _answer("no such thing can be: a malformed name or id", _ref("Error")),
            "404": _answer("not registered", _ref("Error")),
            "503": _answer("ask again later: a rate limit, or a new server", _ref("Error")),
        },
    }


def _field(name: str, text: str) -> _Schema:
    lookup = _lookup(f"find_{name}", text, "Record")
    schema = _object(["name", name], **{"name": {"type": "string"}, name: {"type": "string"}})
    lookup["responses"]["200"] = _answer("found", schema)
    return {
        "parameters": [_parameter("name", "the name, in any case", "NameInAnyCase")],
        "get": lookup,
    }


def _register() -> _Schema:
    return {
        "operationId": "register",
        "summary": "Register this name, for ever. Repeating it is harmless.",
        "requestBody": {
            "required": True,
            "description": f"at most {BODY_SIZE_MAX} bytes",
            "content": {_JSON: {"schema": _ref("Registration")}},
        },
        "responses": {
            "200": _answer("registered, now or before", _ref("Registered")),
            "400": _answer("a malformed name or body", _ref("Refusal")),
            "401": _answer("key and signature do not prove the account", _ref("Refusal")),
            "403": _answer("taken, or the account has another name", _ref("Refusal")),
            "501": _answer("a read-only mirror", _ref("Refusal")),
            "503": _answer("ask again later; `code` says whether it is kept", _ref("Refusal")),
        },
    }


def _page(operation: str, text: str, kind: str, *, is_down: bool = False) -> _Schema:
    responses = {"200": _answer(text, None, kind)}
    if is_down:
        responses["503"] = _answer("the chain cannot be reached", None, kind)
    return {"operationId": operation, "summary": text, "responses": responses}
