"""The node's API on a stream: one JSON object per line, in UTF-8.

| from | line | |
| --- | --- | --- |
| caller | `{"id": 1, "method": "contact.add", "params": {…}}` | a call |
| caller | `{"id": 1, "cancel": true}` | end it; an error of kind `Canceled` follows |
| node | `{"id": 1, "item": …}` | one of many results, or a report of progress |
| node | `{"id": 1, "result": …}` | the end of a call that succeeded |
| node | `{"id": 1, "error": {"kind", "message", "advice", "data"}}` | the end of one that failed |

Ids are the caller's: whole numbers from 0 up, each for one call at a time. Calls run at the same
time; their lines may be mixed.
"""

from __future__ import annotations

import json
from dataclasses import field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from shoal.core import DecodeError
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

LINE_MAX: Final = 4 * 1024 * 1024  # ours: the longest list of contacts takes this
METHOD_MAX: Final = 64  # ours
ID_MAX: Final = 2**53  # what every JSON reader can hold


@dataclass(frozen=True, slots=True)
class Call:
    """A method is to be called."""

    id: int
    method: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cancel:
    """A call is to end."""

    id: int


@dataclass(frozen=True, slots=True)
class Item:
    """One of many results."""

    id: int
    item: Any


@dataclass(frozen=True, slots=True)
class Result:
    """A call has ended well."""

    id: int
    result: Any


@dataclass(frozen=True, slots=True)
class Failure:
    """A call has failed.

    Attributes:
        kind: the name of the error's class.
        message: what happened.
        advice: what that kind of error means, and what to do.
        data: the error's attributes.
    """

    id: int
    kind: str
    message: str
    advice: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


Message: TypeAlias = Call | Cancel | Item | Result | Failure


def encode(message: Message) -> bytes:
    """Return a message as a line."""
    fields: dict[str, Any] = {"id": message.id}
    match message:
        case Call(_, method, params):
            fields |= {"method": method, "params": params}
        case Cancel():
            fields["cancel"] = True
        case Item(_, item):
            fields["item"] = item
        case Result(_, result):
            fields["result"] = result
        case Failure(_, kind, text, advice, data):
            error = {"kind": kind, "message": text, "advice": advice, "data": data}
            fields["error"] = error
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Read a line of at most 4 MiB.

    Raises:
        DecodeError: it is no message. Nothing else is ever raised.
    """
    if len(line) > LINE_MAX:
        raise DecodeError(f"a line of {len(line)} bytes; {LINE_MAX} at most")
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise DecodeError("not an object")
    number = fields.get("id")
    if type(number) is not int or not 0 <= number <= ID_MAX:
        raise DecodeError("no usable id")
    if "method" in fields:
        return _read_call(number, fields)
    if "error" in fields:
        return _read_failure(number, fields["error"])
    if fields.get("cancel") is True:
        return Cancel(number)
    if "item" in fields:
        return Item(number, fields["item"])
    if "result" in fields:
        return Result(number, fields["result"])
    raise DecodeError("neither call nor answer")


def _read_call(number: int, fields: dict[str, Any]) -> Call:
    method, params = fields["method"], fields.get("params", {})
    if not isinstance(method, str) or len(method) > METHOD_MAX:
        raise DecodeError("a method that is no short text")
    if not isinstance(params, dict):
        raise DecodeError("params that are not an object")
    return Call(number, method, params)


def _read_failure(number: int, error: object) -> Failure:
    if not isinstance(error, dict):
        raise DecodeError("an error that is not an object")
    kind, message, advice = (error.get(name, "") for name in ("kind", "message", "advice"))
    data = error.get("data", {})
    if not all(isinstance(text, str) for text in (kind, message, advice)):
        raise DecodeError("an error whose words are no text")
    if not isinstance(data, dict):
        raise DecodeError("an error whose data are no object")
    return Failure(number, kind, message, advice, data)
