"""Messages between devices on a channel `msg:DEVICE`: a stream of msgpack maps.

    id     uint64; Jami's own write 0 or any number, nobody answers
    t      MIME type
    c      content, UTF-8
    req    nil

Source: Jami's message_channel_handler.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgpack

from shoal.core import DecodeError
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

MESSAGE_SIZE_MAX: Final = 131_072  # ours: twice what fits into one packet
MESSAGES_PER_PACKET_MAX: Final = 1_024  # ours: a read mark is about 300 bytes


@dataclass(frozen=True, slots=True)
class DeviceMessage:
    """One message: its type, and its content as text."""

    mime: str
    content: str


def encode(message: DeviceMessage, number: int = 0) -> bytes:
    """Return a message as the channel carries it."""
    packed: bytes = msgpack.packb(
        {"id": number, "t": message.mime, "c": message.content, "req": None}
    )
    return packed


class MessageReader:
    """Cuts a stream into messages."""

    def __init__(self) -> None:
        self._unpacker = msgpack.Unpacker(
            raw=False,
            strict_map_key=False,
            max_buffer_size=MESSAGE_SIZE_MAX,
            unicode_errors="surrogateescape",
        )

    def feed(self, data: bytes) -> Iterator[DeviceMessage]:
        """Yield the messages that *data* completes.

        Raises:
            DecodeError: it is no message, or too large; the stream is of no more use.
        """
        try:
            self._unpacker.feed(data)
            for count, found in enumerate(self._unpacker):
                if count >= MESSAGES_PER_PACKET_MAX:
                    raise DecodeError(f"more than {MESSAGES_PER_PACKET_MAX} messages at once")
                yield _message(found)
        except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
            raise DecodeError("not a message") from error


def _message(found: object) -> DeviceMessage:
    if not isinstance(found, dict):
        raise DecodeError("a message that is no map")
    mime, content = found.get("t"), found.get("c")
    if not isinstance(mime, str) or not isinstance(content, str):
        raise DecodeError("a message without type or content")
    return DeviceMessage(mime, content.encode("utf-8", "surrogateescape").decode(errors="replace"))
