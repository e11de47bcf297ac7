"""Targets of the fuzzer: what comes to a node by its socket, and what its settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError
from shoal.node.config import NodeConfig
from shoal.node.errors import ConfigError
from shoal.node.wire import Call, Cancel, Failure, Item, Result, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable


def api_line(data: bytes) -> None:
    """A line decodes to a message, which encodes to a line of the same, or raises DecodeError."""
    try:
        message = decode(data)
    except DecodeError:
        return
    assert encode(decode(encode(message))) == encode(message)


def settings(data: bytes) -> None:
    """A file of settings is read, or refused with words."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    try:
        NodeConfig.parse(text)
    except ConfigError:
        return


def known_lines() -> list[bytes]:
    """Return a line of each kind."""
    messages = (
        Call(1, "contact.list", {"account": "ab"}),
        Cancel(1),
        Item(1, {"a": 1}),
        Result(1, [None]),
        Failure(1, "HomeError", "full", "Make room.", {"pid": 7}),
    )
    return [encode(message) for message in messages]


TARGETS: Final[dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]]]]] = {
    "api-line": (api_line, known_lines),
    "settings": (settings, lambda: [b"[dht]\nnetwork = 7\n[net]\nturn = []\n[accounts.ab]\n"]),
}
