"""Values as JSON: what the proxy and the tools speak.

| key | content | present |
| --- | --- | --- |
| `id` | decimal digits in a string | always |
| `cypher` | base64 | encrypted values, which have no other body field |
| `sig` | base64 | if signed |
| `seq`, `owner`, `to` | number, PEM, hex | if there is an owner; `to` if there is a recipient |
| `type`, `data` | number, base64 | always |
| `utype` | text | if not empty |
| `prio`, `pt` | number, text | if not 0, not empty |

Source: OpenDHT value.cpp, Value::toJson and Value(Json::Value).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TypeAlias

from shoal import crypto
from shoal.core import DecodeError, InfoHash
from shoal.dht.packing import UINT16_MAX, UINT32_MAX, UINT64_MAX
from shoal.dht.value import Value

Json: TypeAlias = dict[str, str | int]


def value_to_json(value: Value) -> Json:
    """Return *value* as the object that `json.dumps` writes."""
    json: Json = {"id": str(value.id)}
    if value.cypher:
        json["cypher"] = _base64(value.cypher)
    else:
        if value.is_signed:
            json["sig"] = _base64(value.signature or b"")
        if value.owner is not None:
            json["seq"] = value.seq
            json["owner"] = _pem(value.owner)
            if value.recipient is not None:
                json["to"] = value.recipient.hex()
        json["type"] = value.type
        json["data"] = _base64(value.data)
        if value.user_type:
            json["utype"] = _printable(value.user_type)
    if value.priority:
        json["prio"] = value.priority
    if value.push_type:
        json["pt"] = _printable(value.push_type)
    return json


def value_from_json(json: object) -> Value:
    """Read a value from its JSON object; missing and null fields take their defaults.

    Raises:
        DecodeError: *json* is not an object, or a field has another form; the message names it.
    """
    if not isinstance(json, Mapping):
        raise DecodeError("a value is a JSON object")
    value_id = _number(json, "id", UINT64_MAX)
    priority = _number(json, "prio", UINT32_MAX)
    push_type = _text(json, "pt")
    cypher = _bytes(json, "cypher")
    if cypher:
        return Value(id=value_id, cypher=cypher, priority=priority, push_type=push_type)
    owner = _owner(json)
    return Value(
        _bytes(json, "data"),
        _number(json, "type", UINT16_MAX),
        value_id,
        _text(json, "utype"),
        owner,
        _recipient(json) if owner is not None else None,
        _number(json, "seq", UINT16_MAX) if owner is not None else 0,
        _bytes(json, "sig") or None if owner is not None else None,
        None,
        priority,
        push_type,
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _pem(spki: bytes) -> str:
    """Return a public key as PEM text; it need not be a good one."""
    digits = _base64(spki)
    lines = [digits[start : start + 64] for start in range(0, len(digits), 64)]
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])


def _printable(text: str) -> str:
    """Return *text* as JSON can carry it: bytes that are not UTF-8 become replacement signs."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _text(json: Mapping[str, object], name: str) -> str:
    """Return the text under *name*, empty if there is none."""
    text = json.get(name)
    if text is None:
        return ""
    if not isinstance(text, str):
        raise DecodeError(f"{name} of a value is text")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DecodeError(f"{name} of a value has half a character") from error
    return text


def _number(json: Mapping[str, object], name: str, limit: int) -> int:
    """Return the number under *name*, in digits or as JSON number; 0 if there is none."""
    number = json.get(name)
    if number is None or number == "":
        return 0
    if isinstance(number, str) and number.isascii() and number.isdecimal():
        number = int(number[:21])  # more digits than a uint64 has: refused below
    if type(number) is not int or not 0 <= number <= limit:
        raise DecodeError(f"{name} of a value is a number from 0 to {limit}")
    return number


def _bytes(json: Mapping[str, object], name: str) -> bytes:
    """Return the bytes under *name*, which are base64 there; empty if there are none."""
    text = _text(json, name)
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise DecodeError(f"{name} of a value is base64") from error


def _owner(json: Mapping[str, object]) -> bytes | None:
    """Return the owner's key; 2.4 ends its PEM with a NUL character."""
    text = _text(json, "owner").rstrip("\0").strip()
    if not text:
        return None
    try:
        return crypto.PublicKey.load(text.encode()).spki
    except crypto.CryptoError as error:
        raise DecodeError(f"owner of a value is a public key in PEM: {error}") from error


def _recipient(json: Mapping[str, object]) -> InfoHash | None:
    """Return the recipient, None if absent."""
    text = _text(json, "to").rstrip("\0").strip()
    return InfoHash.from_hex(text) if text else None
