"""Values of ours as JSON has them: ids as hex digits, enums by value, dataclasses as objects."""

from __future__ import annotations

import base64
import dataclasses
import enum
from typing import TYPE_CHECKING, Any

from shoal.core.ids import FixedBytes

if TYPE_CHECKING:
    from shoal.node.events import NodeEvent


def plain(item: object) -> Any:
    """Return *item* as JSON has it.

    Bytes that are UTF-8 become text, others an object `{"base64": …}`; ids become hex digits.
    """
    result: Any
    match item:
        case enum.Enum():
            result = plain(item.value)
        case None | bool() | int() | float() | str():
            result = item
        case FixedBytes():
            result = item.hex()
        case bytes():
            result = _text(item)
        case dict():
            result = {str(plain(key)): plain(value) for key, value in item.items()}
        case tuple() | list() | set() | frozenset():
            result = [plain(each) for each in item]
        case _ if dataclasses.is_dataclass(item) and not isinstance(item, type):
            names = (field.name for field in dataclasses.fields(item))
            result = {name: plain(getattr(item, name)) for name in names if name[0] != "_"}
        case _:
            result = str(item)
    return result


def event_to_json(event: NodeEvent) -> dict[str, Any]:
    """Return an event as an object, with its name in lower case as "event".

    What happened in a conversation is under "details", with its name as "kind".
    """
    fields: dict[str, Any] = plain(event)
    if (inner := fields.pop("event", None)) is not None:
        kind = snake(type(getattr(event, "event")).__name__)  # noqa: B009 - only some have one
        fields |= {"kind": kind, "details": inner}
    return {"event": snake(type(event).__name__), **fields}


def snake(name: str) -> str:
    """Return the name of a class in lower case, with underscores."""
    parts = (f"_{c.lower()}" if c.isupper() else c for c in name)
    return "".join(parts).removeprefix("_")


def _text(data: bytes) -> object:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}
