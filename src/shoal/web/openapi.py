"""The description of the HTTP API, OpenAPI 3.1, made of the methods that there are."""

from __future__ import annotations

import json
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from shoal.web.answers import LINES
from shoal.web.methods import verb_of
from shoal.web.problems import MEDIA_TYPE, STATUSES
from shoal.web.scopes import offered, scopes_of

if TYPE_CHECKING:
    from shoal.node.driver.api.registry import Method, Parameter

_JSON: Final = "application/json"
_KINDS: Final = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}

_PICTURES: Final = ("gif", "jpeg", "png", "webp")

_Schema = dict[str, Any]


def description() -> bytes:
    """Return the description as JSON."""
    return json.dumps(document(), separators=(",", ":")).encode()


def document() -> _Schema:
    """Return the description."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Shoal",
            "version": _version(),
            "description": "The node that runs on this machine. A WebSocket at /v1/socket takes"
            " the same methods, one JSON object a message.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}],
        "paths": {
            **{f"/v1/{each.name}": {verb_of(each).lower(): _method(each)} for each in offered()},
            "/v1/session": _session(),
            "/v1/qr": {"get": _qr()},
            "/v1/backup": {"post": _backup()},
            "/v1/files": {"post": _send_file()},
            "/v1/files/{conversation}/{message}": {
                "get": _get_file("getFile", "Hand out the file of a message, if it is here."),
                "post": _get_file(
                    "fetchFile", "Hand out the file of a message, fetched first if it is not here."
                ),
            },
            "/v1/pictures/people/{contact}": {
                "get": _get_picture("contact", "contacts:read", "Show somebody, ourselves too.")
            },
            "/v1/pictures/conversations/{conversation}": {
                "get": _get_picture(
                    "conversation", "conversations:read", "Show what a group looks like."
                )
            },
            "/openapi.json": {"get": _free(_answer("This description.", _JSON))},
        },
        "components": {
            "schemas": {"Problem": _problem()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _method(method: Method) -> _Schema:
    scopes = " and ".join(f"`{each}`" for each in scopes_of(method.name))
    fields: _Schema = {
        "operationId": method.name,
        "summary": method.summary,
        "description": f"Takes a token with the scope {scopes}.",
        "tags": [method.name.partition(".")[0]],
        "responses": _answer("What the method gives.", LINES if method.is_stream else _JSON),
    }
    if verb_of(method) == "GET":
        fields["parameters"] = [
            {
                "name": each.name,
                "in": "query",
                "required": each.is_required,
                "schema": _plain_kind(each),
            }
            for each in method.parameters
        ]
    elif method.parameters:
        required = [each.name for each in method.parameters if each.is_required]
        properties = {each.name: _kind(each) for each in method.parameters}
        fields["requestBody"] = _body(properties, required)
    return fields


def _body(properties: _Schema, required: list[str]) -> _Schema:
    schema: _Schema = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    if required:
        schema["required"] = required
    return {"required": bool(required), "content": {_JSON: {"schema": schema}}}


def _plain_kind(parameter: Parameter) -> _Schema:
    """Return what a parameter may be in a query, where nothing is null."""
    schema: _Schema = {"type": _KINDS[parameter.kind.removesuffix(" | None")]}
    if parameter.default is not None:
        schema["default"] = parameter.default
    return schema


def _kind(parameter: Parameter) -> _Schema:
    schema = _plain_kind(parameter)
    if parameter.kind.endswith("| None"):
        schema["type"] = [schema["type"], "null"]
    return schema


def _answer(what: str, kind: str, status: int = 200) -> _Schema:
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    refusals: _Schema = {
        str(int(each)): {
            "description": HTTPStatus(each).phrase,
            "content": {MEDIA_TYPE: problem},
        }
        for each in STATUSES
    }
    content: _Schema = {"content": {kind: {"schema": {}}}} if kind else {}
    return {str(status): {"description": what, **content}, **refusals}


def _free(responses: _Schema) -> _Schema:
    return {"security": [], "responses": responses}


def _session() -> _Schema:
    return {
        "post": {
            "operationId": "openSession",
            "summary": "Change the code of a one-time link into a token.",
            **_free(_answer("The token.", _JSON)),
            "requestBody": _body({"code": {"type": "string"}}, ["code"]),
        },
        "delete": {
            "operationId": "closeSession",
            "summary": "End the session of the token.",
            "responses": _answer("Done.", "", 204),
        },
    }


def _qr() -> _Schema:
    schema = {"type": "string", "minLength": 1, "maxLength": 1024}
    return {
        "operationId": "drawQr",
        "summary": "Draw a text as a QR code.",
        "parameters": [{"name": "text", "in": "query", "required": True, "schema": schema}],
        "responses": _answer("The drawing.", "image/svg+xml"),
    }


def _backup() -> _Schema:
    properties: _Schema = {
        "account": {"type": "string"},
        "password": {"type": ["string", "null"]},
    }
    return {
        "operationId": "backUp",
        "summary": "Give the archive of an account, to be kept.",
        "requestBody": _body(properties, ["account"]),
        "responses": _answer("The archive.", "application/octet-stream"),
    }


def _send_file() -> _Schema:
    names = {"account": True, "conversation": True, "name": True, "reply_to": False}
    schema: _Schema = {"type": "string"}
    return {
        "operationId": "sendFile",
        "summary": "Offer the body as a file in a conversation.",
        "parameters": [
            {"name": name, "in": "query", "required": is_required, "schema": schema}
            for name, is_required in names.items()
        ],
        "requestBody": {"content": {"application/octet-stream": {"schema": schema}}},
        "responses": _answer("The message.", _JSON),
    }


def _get_file(name: str, summary: str) -> _Schema:
    places = {"conversation": "path", "message": "path", "account": "query"}
    digits: _Schema = {"type": "string", "pattern": "^[0-9a-f]{40}$"}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [
            {
                "name": name,
                "in": place,
                "required": True,
                "schema": digits if place == "path" else {"type": "string"},
            }
            for name, place in places.items()
        ],
        "responses": _answer("The file.", "application/octet-stream"),
    }


def _get_picture(name: str, scope: str, summary: str) -> _Schema:
    digits: _Schema = {"type": "string", "pattern": "^[0-9a-f]{40}$"}
    responses = _answer("The picture.", "image/png")
    responses["200"]["content"] = {f"image/{each}": {"schema": {}} for each in _PICTURES}
    responses["204"] = {"description": "There is none."}
    return {
        "operationId": f"{name}Picture",
        "summary": summary,
        "description": f"Takes a token with the scope `{scope}`.",
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": digits},
            {"name": "account", "in": "query", "required": True, "schema": {"type": "string"}},
        ],
        "responses": responses,
    }


def _problem() -> _Schema:
    return {
        "type": "object",
        "description": "Problem details (RFC 9457).",
        "required": ["type", "title", "status", "detail", "error", "advice", "data"],
        "properties": {
            "type": {"type": "string", "description": "urn:shoal:error: and the kind of error"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "what happened"},
            "error": {"type": "string", "description": "the same"},
            "advice": {"type": "string", "description": "what to do"},
            "data": {"type": "object", "description": "attributes of the error"},
        },
    }


def _version() -> str:
    try:
        return version("shoal")
    except PackageNotFoundError:
        return "0"
