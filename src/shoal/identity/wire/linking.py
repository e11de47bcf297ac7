"""What two devices say while one is being linked: the channel `auth:DIGITS` of 2024 and later.

Messages follow one another on the channel, cut into packets anyhow. Each is a map:

    {"schemeId": 0, "payload": {str: str}}

| from | payload | |
| --- | --- | --- |
| new | (empty) | the channel is open |
| old | `authScheme`: empty or `password` | its user has agreed |
| new | `password` | sent with the empty scheme, too, and then empty |
| old | `accData`: the archive's JSON | the account; the channel is then closed |
| old | `passwordCorrect`: `false`, `canRetry`: `true` | a wrong password |
| old | `canRetry`: `false` | the third one |
| both | `stateMsg`: `TIMEOUT` or `CANCELED` | it is over |

The new device shows `jami-auth://` with the long id of a throw-away device and six digits, as text
or as a QR code; the old one is given it.

Source: Jami archive_account_manager.cpp, AuthMsg, DeviceAuthInfo, AddDeviceContext; reference 2.4.
"""

from __future__ import annotations

import re
from dataclasses import field
from typing import TYPE_CHECKING, Final

import msgpack

from shoal.core import DecodeError, DeviceId
from shoal.core.records import dataclass
from shoal.dht import packing
from shoal.identity.errors import InvalidLinkAddressError
from shoal.identity.wire.contacts import unpack_exactly
from shoal.identity.wire.frames import ObjectSplitter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shoal.core import Entropy

SCHEME_ID: Final = 0  # Jami: the only version of these messages
MESSAGE_SIZE_MAX: Final = 32 * 1024 * 1024  # ours: an archive's
FIRST_MESSAGE_SIZE_MAX: Final = 65_536  # ours: all but the one with the archive
FIELDS_MAX: Final = 32  # ours: eight times what any message has
CODE_MIN, CODE_MAX = 100_000, 999_999  # Jami archive_account_manager.cpp: six digits
_CHANNEL: Final = "auth:"
_ADDRESS: Final = re.compile(r"jami-auth://([0-9a-fA-F]{64})/([1-9][0-9]{5})")


@dataclass(frozen=True, slots=True)
class LinkAddress:
    """Where a device waits to be linked.

    Attributes:
        device: long id of the throw-away device that it is for the time being.
        code: six digits, which the channel's name has.
    """

    device: DeviceId
    code: int

    @classmethod
    def draw(cls, device: DeviceId, entropy: Entropy) -> LinkAddress:
        """Return an address with a random code."""
        return cls(device, CODE_MIN + entropy.below(CODE_MAX - CODE_MIN + 1))

    @classmethod
    def parse(cls, text: str) -> LinkAddress:
        """Read what the new device shows.

        Raises:
            InvalidLinkAddressError: *text* is something else.
        """
        match = _ADDRESS.fullmatch(text.strip())
        if match is None:
            raise InvalidLinkAddressError(f"not an address of a device to link: {text[:100]!r}")
        return cls(DeviceId.from_hex(match[1]), int(match[2]))

    @property
    def channel_name(self) -> str:
        """The name of the channel to open."""
        return f"{_CHANNEL}{self.code}"

    def __str__(self) -> str:
        return f"jami-auth://{self.device}/{self.code}"


@dataclass(frozen=True, slots=True)
class LinkMessage:
    """One message: names and texts; passwords and accounts are among them."""

    payload: Mapping[str, str] = field(default_factory=dict, repr=False)

    def pack(self) -> bytes:
        """Return the message."""
        packed: bytes = msgpack.packb({"schemeId": SCHEME_ID, "payload": dict(self.payload)})
        return packed

    @classmethod
    def unpack(cls, data: bytes) -> LinkMessage:
        """Read a message.

        Raises:
            DecodeError: it is none, or of another scheme.
        """
        fields = unpack_exactly(data)
        if type(fields) is not dict or fields.get("schemeId") != SCHEME_ID:
            raise DecodeError("not a map of the scheme 0")
        payload = fields.get("payload", {})
        if type(payload) is not dict or len(payload) > FIELDS_MAX:
            raise DecodeError(f"a payload that is not a map of at most {FIELDS_MAX} texts")
        return cls({packing.read_text(name): packing.read_text(it) for name, it in payload.items()})


class LinkDecoder:
    """Reads the messages on a channel, however it is cut into packets."""

    def __init__(self, size_max: int = MESSAGE_SIZE_MAX) -> None:
        self._splitter = ObjectSplitter(size_max)

    def feed(self, data: bytes) -> list[LinkMessage]:
        """Take the next packet; return the messages that are complete now.

        Raises:
            DecodeError: the stream is no such thing; close the channel.
        """
        return [LinkMessage.unpack(each) for each in self._splitter.feed(data)]
