"""The captured datagrams and values of `tests/vectors/dht`, as objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shoal.core import InfoHash
from shoal.dht import wire
from shoal.dht.query import Condition, Field, FieldTable, Query
from shoal.dht.value import Value

_FOLDER = Path(__file__).parents[2] / "vectors" / "dht"
DATAGRAMS: list[dict[str, Any]] = json.loads((_FOLDER / "datagrams.json").read_text())
VALUES: dict[str, dict[str, Any]] = json.loads((_FOLDER / "values.json").read_text())
NAMES = [vector["name"] for vector in DATAGRAMS]


def datagram(name: str) -> bytes:
    """Return the bytes of the datagram called *name*."""
    return bytes.fromhex(next(v["hex"] for v in DATAGRAMS if v["name"] == name))


def message(vector: dict[str, Any]) -> wire.Message:
    """Build the message that *vector* says its bytes hold."""
    kind = getattr(wire, vector["kind"])
    fields = {name: _field(name, item) for name, item in vector["fields"].items()}
    built: wire.Message = kind(**fields)
    return built


def _field(name: str, item: Any) -> Any:
    """Turn one field from JSON into what the message holds."""
    match name:
        case "values":
            return tuple(_value(value) for value in item)
        case "query" if item is not None:
            where = tuple(Condition(Field(field), value) for field, value in item["where"])
            return Query(tuple(map(Field, item["select"])), where)
        case "fields" if item is not None:
            return FieldTable(tuple(map(Field, item["fields"])), tuple(map(tuple, item["cells"])))
        case "sender" | "key" | "target" if item is not None:
            return InfoHash(bytes.fromhex(item["hex"]))
    if isinstance(item, list):
        return tuple(item)
    return bytes.fromhex(item["hex"]) if isinstance(item, dict) else item


def _value(item: dict[str, Any]) -> Value:
    """Turn a plain value from JSON into a value."""
    return Value(
        bytes.fromhex(item["data"]["hex"]), item["type"], item["id"], item.get("user_type", "")
    )
