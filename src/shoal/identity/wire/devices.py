"""The devices of one's own account: the file `knownDevices`.

A map from long device id (bin of 32) to an array [name, seconds of the last sync]; since 2026 to a
map {name, syncMs}. Both are read; the array is written, which both read. A device that was never
synced has 0; 13.7 writes a wrapped negative time instead, which is read as 0.

Source: Jami contact_list.cpp, loadKnownDevices; reference sections 1.8 and A.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgpack

from shoal.core import DecodeError, DeviceId
from shoal.core.records import dataclass
from shoal.dht import packing
from shoal.identity.contact import SECOND
from shoal.identity.trust_request import read_time_ms
from shoal.identity.wire.contacts import unpack_file

if TYPE_CHECKING:
    from collections.abc import Mapping

DEVICES_MAX: Final = 256  # ours: more than anybody links
NAME_LENGTH_MAX: Final = 256  # ours: characters of a device's name


@dataclass(frozen=True, slots=True)
class KnownDevice:
    """What is remembered of a device besides its certificate.

    Attributes:
        name: what its owner calls it; empty until it has told.
        synced_ms: when it was last in sync, milliseconds since 1970; 0 for never.
    """

    name: str = ""
    synced_ms: int = 0


def pack_devices(devices: Mapping[DeviceId, KnownDevice]) -> bytes:
    """Return the content of the file `knownDevices`."""
    entries = {bytes(it): [each.name, each.synced_ms // SECOND] for it, each in devices.items()}
    packed: bytes = msgpack.packb(entries)
    return packed


def unpack_devices(data: bytes) -> dict[DeviceId, KnownDevice]:
    """Read the file `knownDevices`.

    Raises:
        DecodeError: it is none, or has more than 256 devices.
    """
    entries = unpack_file(data)
    if type(entries) is not dict or len(entries) > DEVICES_MAX:
        raise DecodeError(f"not a map of at most {DEVICES_MAX} devices")
    return {read_device_id(key): _read_device(value) for key, value in entries.items()}


def read_device_id(item: object) -> DeviceId:
    """Return the id in a bin of 32 bytes.

    Raises:
        DecodeError: *item* is something else.
    """
    if type(item) is not bytes:
        raise DecodeError("a device id that is not a bin")
    return DeviceId(item)


def read_name(item: object) -> str:
    """Return a name that people typed: valid text, cut to 256 characters.

    Raises:
        DecodeError: *item* is no text.
    """
    text = packing.read_text(item)
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")[:NAME_LENGTH_MAX]


def _read_device(item: object) -> KnownDevice:
    """Return one entry, of either form."""
    match item:
        case [name, seconds, *_]:
            return KnownDevice(read_name(name), read_time_ms(read_time_ms(seconds) * SECOND))
        case dict():
            return KnownDevice(read_name(item.get("name", "")), read_time_ms(item.get("syncMs", 0)))
        case _:
            raise DecodeError("a device that is neither an array nor a map")
