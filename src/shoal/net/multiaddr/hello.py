"""How a direct connection begins: the caller says who it is, and nobody else can read it.

    frame    length (2 bytes, big-endian) ‖ "SHL1" ‖ sealed
    sealed   for the callee's device key: msgpack {"chain": bin, "t": uint64, "dev": bin of 32}

`chain` is the caller's certificate chain as PEM text, `t` its clock in seconds, `dev` whom it
calls. It proves nothing: TLS does, which follows on the same connection, unframed, with the caller
as the server as everywhere. But the callee must know whom to expect before it can shake hands, and
learns it here without telling those who listen. It does not answer a greeting that it does not
understand or like.

A callee that takes the greeting goes on with a TLS ClientHello, by which the caller knows that it
has found what it was looking for, and not some other server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgpack

from shoal.core.records import dataclass
from shoal.net.errors import HelloError

if TYPE_CHECKING:
    from shoal.core import DeviceId

MAGIC: Final = b"SHL1"
HEAD_LENGTH: Final = 2  # bytes of the frame's length
FRAME_MAX: Final = 24_576  # bytes, ours: a chain has 5.7 kB, one of an organisation may have thrice
CHAIN_MAX: Final = 20_480  # bytes of PEM, ours
CLOCK_SLACK: Final = 600.0  # seconds by which clocks may differ, ours
TLS_HANDSHAKE: Final = b"\x16\x03"  # RFC 8446 section 5.1: how a ClientHello's record begins
_KEYS_MAX: Final = 8  # ours: there are three


@dataclass(frozen=True, slots=True)
class Hello:
    """A greeting.

    Attributes:
        chain: the caller's certificate chain, as text.
        wall_sent: the caller's clock.
        device: whom it calls.
    """

    chain: bytes
    wall_sent: float
    device: DeviceId

    def packed(self) -> bytes:
        """Return what is sealed."""
        fields = {"chain": self.chain, "t": int(self.wall_sent), "dev": bytes(self.device)}
        packed: bytes = msgpack.packb(fields)
        return packed

    @classmethod
    def unpack(cls, data: bytes, device: DeviceId, wall_now: float) -> Hello:
        """Read what was sealed for *device*.

        Raises:
            HelloError: it is no greeting, for somebody else, or of another time.
        """
        try:
            fields = msgpack.unpackb(data, max_map_len=_KEYS_MAX, max_array_len=8, max_ext_len=0)
        except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
            raise HelloError(f"not a greeting: {error}") from error
        if type(fields) is not dict:
            raise HelloError("a greeting that is not a map")
        chain, sent, target = fields.get("chain"), fields.get("t"), fields.get("dev")
        if type(chain) is not bytes or len(chain) > CHAIN_MAX or type(target) is not bytes:
            raise HelloError("a greeting without a chain")
        if type(sent) is not int or abs(sent - wall_now) > CLOCK_SLACK:
            raise HelloError("a greeting of another time; check the clocks")
        if target != device:
            raise HelloError("a greeting for another device")
        return cls(chain, float(sent), device)


def encode_frame(sealed: bytes) -> bytes:
    """Write the frame of a greeting."""
    body = MAGIC + sealed
    return len(body).to_bytes(HEAD_LENGTH) + body


def frame_size(begun: bytes | bytearray) -> int | None:
    """Return how long the frame is of which this is the beginning; None if that cannot be told.

    Raises:
        HelloError: it is no greeting, as the bytes so far show.
    """
    magic = bytes(begun[HEAD_LENGTH : HEAD_LENGTH + len(MAGIC)])
    if not MAGIC.startswith(magic):
        raise HelloError("not a greeting")
    if len(begun) < HEAD_LENGTH:
        return None
    length = int.from_bytes(begun[:HEAD_LENGTH])
    if not len(MAGIC) < length <= FRAME_MAX:
        raise HelloError(f"a greeting of {length} bytes")
    return HEAD_LENGTH + length


def sealed_part(frame: bytes) -> bytes:
    """Return what is sealed in a whole frame."""
    return frame[HEAD_LENGTH + len(MAGIC) :]
