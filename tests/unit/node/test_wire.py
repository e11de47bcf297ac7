"""Lines of the node's API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.node import wire
from shoal.node.wire import Call, Cancel, Failure, Item, Message, Result, decode, encode

VECTORS: list[tuple[Message, bytes]] = [
    (
        Call(1, "contact.add", {"contact": "ab"}),
        b'{"id":1,"method":"contact.add","params":{"contact":"ab"}}\n',
    ),
    (Cancel(1), b'{"id":1,"cancel":true}\n'),
    (Item(2, {"step": "keys"}), b'{"id":2,"item":{"step":"keys"}}\n'),
    (Result(2, None), b'{"id":2,"result":null}\n'),
    (
        Failure(3, "HomeError", "full", "x", {"pid": 7}),
        b'{"id":3,"error":{"kind":"HomeError","message":"full","advice":"x","data":{"pid":7}}}\n',
    ),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(("message", "line"), VECTORS)
def test_lines_are_as_documented(message: Message, line: bytes) -> None:
    """Both ways."""
    assert encode(message) == line
    assert decode(line) == message


@given(number=st.integers(0, 2**53), value=JSON)
def test_what_is_written_is_read(number: int, value: Any) -> None:
    """Whatever a method answers."""
    for message in (Item(number, value), Result(number, value)):
        assert decode(encode(message)) == message


@given(st.binary(max_size=200) | JSON.map(lambda item: json.dumps(item).encode()))
def test_any_bytes_give_a_message_or_decode_error(line: bytes) -> None:
    """Nothing else."""
    try:
        message = decode(line)
    except DecodeError:
        return
    assert decode(encode(message)) == message


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"{",
        b"\xff",
        b'{"id":-1,"cancel":true}',
        b'{"id":true,"cancel":true}',
        b'{"id":1}',
        b'{"id":1,"cancel":false}',
        b'{"id":1,"method":7}',
        b'{"id":1,"method":"' + b"m" * 65 + b'"}',
        b'{"id":1,"method":"m","params":[]}',
        b'{"id":1,"error":"text"}',
        b'{"id":1,"error":{"kind":7}}',
        b'{"id":1,"error":{"data":[]}}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_line_is_refused(line: bytes) -> None:
    """With words."""
    with pytest.raises(DecodeError):
        decode(line)


def test_lines_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before they are looked at."""
    monkeypatch.setattr(wire, "LINE_MAX", 10)
    with pytest.raises(DecodeError, match="10 at most"):
        decode(b'{"id":1,"cancel":true}')
