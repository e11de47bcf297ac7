"""Messages of the DRT, on a channel `swarm://CONVERSATION`: a stream of msgpack maps.

    v              3; peers of 2023 to 2026 write 1
    is_mobile      whether the writer sleeps often and is woken by push
    request        nil or {q: 1, num: how many, nodeId: bin32}
    response       nil or {q: 2, nodes: [bin32], mobile_nodes: [bin32], mobile_node_infos: […]}
    (version 3)    self_mobile_info, cert_request, cert_response: about mobile devices; read over

Source: Jami's swarm_protocol.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgpack

from shoal.core import DecodeError, DeviceId
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION: Final = 3
MESSAGE_SIZE_MAX: Final = 524_288  # ours: Jami's certificates are 256 KiB at most, the rest little
NODES_MAX: Final = 1_024  # ours: nodes in one answer
MESSAGES_PER_PACKET_MAX: Final = 256  # ours
_FIND: Final = 1
_FOUND: Final = 2
_ID_LENGTH: Final = 32


@dataclass(frozen=True, slots=True)
class Find:
    """Which nodes are closest to `target`?"""

    target: DeviceId
    count: int


@dataclass(frozen=True, slots=True)
class Found:
    """The closest that the writer has a channel to; and mobile ones, which are not dialled."""

    nodes: tuple[DeviceId, ...]
    mobile_nodes: tuple[DeviceId, ...] = ()


@dataclass(frozen=True, slots=True)
class DrtMessage:
    """One message: a question, an answer, or only who writes."""

    is_mobile: bool = False
    find: Find | None = None
    found: Found | None = None


def encode(message: DrtMessage) -> bytes:
    """Return a message as version 3 has it."""
    find, found = message.find, message.found
    request = None
    if find is not None:
        request = {"q": _FIND, "num": find.count, "nodeId": bytes(find.target)}
    response = None
    if found is not None:
        response = {
            "q": _FOUND,
            "nodes": [bytes(node) for node in found.nodes],
            "mobile_nodes": [bytes(node) for node in found.mobile_nodes],
            "mobile_node_infos": [],
        }
    packed: bytes = msgpack.packb(
        {
            "v": VERSION,
            "is_mobile": message.is_mobile,
            "self_mobile_info": None,
            "request": request,
            "response": response,
            "cert_request": None,
            "cert_response": None,
        }
    )
    return packed


class DrtReader:
    """Cuts a stream into messages."""

    def __init__(self) -> None:
        self._unpacker = msgpack.Unpacker(
            raw=False, strict_map_key=False, max_buffer_size=MESSAGE_SIZE_MAX
        )

    def feed(self, data: bytes) -> Iterator[DrtMessage]:
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
            raise DecodeError("not a message of the DRT") from error


def _message(found: object) -> DrtMessage:
    if not isinstance(found, dict):
        raise DecodeError("a message that is no map")
    return DrtMessage(
        bool(found.get("is_mobile")), _find(found.get("request")), _found(found.get("response"))
    )


def _find(found: object) -> Find | None:
    if found is None:
        return None
    if not isinstance(found, dict):
        raise DecodeError("a request that is no map")
    if found.get("q") != _FIND:
        return None  # a kind of question that we do not know
    count = found.get("num")
    if not isinstance(count, int) or isinstance(count, bool):
        raise DecodeError("a request for no number of nodes")
    return Find(_id(found.get("nodeId")), min(max(count, 0), NODES_MAX))


def _found(found: object) -> Found | None:
    if found is None:
        return None
    if not isinstance(found, dict):
        raise DecodeError("a response that is no map")
    return Found(_ids(found.get("nodes", [])), _ids(found.get("mobile_nodes", [])))


def _ids(found: object) -> tuple[DeviceId, ...]:
    if not isinstance(found, list) or len(found) > NODES_MAX:
        raise DecodeError("nodes that are no short list")
    return tuple(_id(each) for each in found)


def _id(found: object) -> DeviceId:
    if not isinstance(found, bytes) or len(found) != _ID_LENGTH:
        raise DecodeError("a node without an id")
    return DeviceId(found)
