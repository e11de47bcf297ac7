"""Offers and answers of connections: bytes to `PeerRequest` and back.

A msgpack map, in this order; all four keys are always there:

| key | type | |
| --- | --- | --- |
| `id` | uint64 | of the offer, 1 to 2^53, drawn at random and never used again; the answer has it |
| `ice_msg` | str | ICE credentials and candidates |
| `isAnswer` | bool | |
| `connType` | str | what for: `""`, `"sync"`, `"text/plain"`, `"audioCall"`, …; `""` in answers |

Over the DHT it is the data of an encrypted value of user type `peer_request`. Readers take keys in
any order, skip those they do not know, and hold `connType` to be empty where it is missing.
"""

from __future__ import annotations

from typing import Final

import msgpack

from shoal.core import DecodeError
from shoal.core.records import dataclass

REQUEST_ID_MAX: Final = 2**53  # Jami draws ids that a JSON number can hold
REQUEST_SIZE_MAX: Final = 16_384  # ours: eight times a large one; the DHT's values end at 64 KiB
_TEXT_MAX: Final = 8_192  # ours: a message of 31 candidates takes 3 kB
_TYPE_MAX: Final = 256  # ours: media types are short
_KEYS_MAX: Final = 16  # ours: there are four


@dataclass(frozen=True, slots=True)
class PeerRequest:
    """An offer, or the answer to one.

    Attributes:
        id: what makes an answer belong to its offer.
        ice_message: credentials and candidates, as `IceDescription` reads them.
        is_answer: whether this answers.
        connection_type: what the offer is for; only a hint, for phones that were asleep.
    """

    id: int
    ice_message: str
    is_answer: bool
    connection_type: str = ""

    def packed(self) -> bytes:
        """Return the bytes that are sealed for the peer."""
        packed: bytes = msgpack.packb(
            {
                "id": self.id,
                "ice_msg": self.ice_message,
                "isAnswer": self.is_answer,
                "connType": self.connection_type,
            }
        )
        return packed

    @classmethod
    def unpack(cls, data: bytes) -> PeerRequest:
        """Read an offer or an answer of at most 16 KiB.

        Raises:
            DecodeError: *data* is neither. Nothing else is ever raised.
        """
        fields = _unpack_map(data)
        request_id, message = fields.get("id"), fields.get("ice_msg")
        is_answer, kind = fields.get("isAnswer"), fields.get("connType", "")
        if type(request_id) is not int or not 1 <= request_id <= REQUEST_ID_MAX:
            raise DecodeError("a request without a usable id")
        if type(message) is not str or len(message) > _TEXT_MAX:
            raise DecodeError("a request without a usable ICE message")
        if type(is_answer) is not bool:
            raise DecodeError("neither offer nor answer")
        if type(kind) is not str or len(kind) > _TYPE_MAX:
            raise DecodeError("a request whose type is no short text")
        return cls(request_id, message, is_answer, kind)


def _unpack_map(data: bytes) -> dict[object, object]:
    """Read a msgpack map of few entries."""
    if len(data) > REQUEST_SIZE_MAX:
        raise DecodeError(f"a request of {len(data)} bytes; {REQUEST_SIZE_MAX} at most")
    try:
        fields = msgpack.unpackb(
            data, max_map_len=_KEYS_MAX, max_array_len=_KEYS_MAX, strict_map_key=True
        )
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise DecodeError(f"not a request: {error}") from error
    if type(fields) is not dict:
        raise DecodeError("a request that is not a map")
    return fields
