"""What a device tells the account's other devices, on the channel `sync://` and in 13.7 by the DHT.

A message is an array; readers accept shorter and longer ones:

| # | element | read by |
| --- | --- | --- |
| 0 | device sync, a map, below | this package |
| 1 | conversations: id to record | `shoal.swarm`; here it stays packed |
| 2 | requests for conversations | the same |
| 3 | preferences of conversations | the same |
| 4 | last displayed; since 2024, then given up | the same |
| 5 | status of messages; since 2024 | the same |

The device sync, without its `devices_known` also the data of a value of type 0 in 13.7's inbox:

| key | type | |
| --- | --- | --- |
| `date` | uint64 | nanoseconds since 1970; 0 in an empty one |
| `device_name` | str | empty |
| `devices_known` | map | 13.7; empty |
| `devices` | map | long id (bin of 32) to {`name`, `sha1`: short id (13.7)} |
| `peers` | map | account (bin of 20) to contact |
| `trust_requests` | map | account (bin of 20) to request, without payload; 20 at most |

The full state goes out as several messages, each with one element filled. 13.7 decodes each packet
of the channel for itself, so a message has to fit one; later versions read a stream.

Source: Jami sync_channel_handler, sync_module and account_manager.h, DeviceSync; reference 4.4.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Final

import msgpack

from shoal.core import AccountId, DecodeError, DeviceId, InfoHash
from shoal.core.records import dataclass
from shoal.dht import packing
from shoal.identity.contact import Contact, StoredRequest
from shoal.identity.wire.contacts import (
    CONTACTS_MAX,
    REQUESTS_MAX,
    read_account_map,
    unpack_exactly,
)
from shoal.identity.wire.devices import DEVICES_MAX, read_device_id, read_name
from shoal.identity.wire.frames import ObjectSplitter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MESSAGE_SIZE_MAX: Final = 4 * 1024 * 1024  # ours: 20,000 contacts are 3.4 MB
PACKET_SIZE_MAX: Final = 60_000  # ours: below the 65,535 of a channel's packet, which 13.7 needs
REQUESTS_PER_SYNC_MAX: Final = 20  # Jami: MAX_TRUST_REQUESTS
EMPTY_MAP: Final = b"\x80"
_ELEMENTS_CURRENT: Final = 6  # the 13.7 form has four


@dataclass(frozen=True, slots=True)
class SyncedDevice:
    """A device of the account, as another one tells of it."""

    name: str = ""
    short_id: InfoHash | None = None  # 13.7 cannot find the device without it


@dataclass(frozen=True, slots=True)
class DeviceSync:
    """Devices, contacts and requests, as one device sees them.

    Attributes:
        date_ns: when it was made, nanoseconds since 1970; 0 in an empty one.
        devices: those that it knows, itself included.
        peers: its contact book, with those who were removed.
        requests: some of those that wait for an answer.
    """

    date_ns: int = 0
    devices: Mapping[DeviceId, SyncedDevice] = field(default_factory=dict)
    peers: Mapping[AccountId, Contact] = field(default_factory=dict)
    requests: Mapping[AccountId, StoredRequest] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to be told."""
        return not (self.devices or self.peers or self.requests)

    def to_map(self) -> dict[str, object]:
        """Return the map that is packed."""
        requests = {
            bytes(it): each.to_map(with_payload=False) for it, each in self.requests.items()
        }
        return {
            "date": self.date_ns,
            "device_name": "",
            "devices_known": {},
            "devices": {bytes(it): _device_map(each) for it, each in self.devices.items()},
            "peers": {bytes(it): each.to_map() for it, each in self.peers.items()},
            "trust_requests": requests,
        }

    def pack(self) -> bytes:
        """Return the data of a value of 13.7's sync over the DHT."""
        packed: bytes = msgpack.packb(self.to_map())
        return packed

    @classmethod
    def unpack(cls, data: bytes) -> DeviceSync:
        """Read what `pack` wrote.

        Raises:
            DecodeError: it is no device sync.
        """
        return cls.from_object(unpack_exactly(data))

    @classmethod
    def from_object(cls, item: object) -> DeviceSync:
        """Read an unpacked map; absent keys are empty.

        Raises:
            DecodeError: *item* is no device sync.
        """
        if type(item) is not dict:
            raise DecodeError("a device sync that is not a map")
        devices = item.get("devices", {})
        if type(devices) is not dict or len(devices) > DEVICES_MAX:
            raise DecodeError(f"not a map of at most {DEVICES_MAX} devices")
        return cls(
            packing.read_uint(item.get("date", 0), packing.UINT64_MAX),
            {read_device_id(key): _read_device(value) for key, value in devices.items()},
            read_account_map(item.get("peers", {}), Contact.from_map, CONTACTS_MAX),
            read_account_map(item.get("trust_requests", {}), StoredRequest.from_map, REQUESTS_MAX),
        )


@dataclass(frozen=True, slots=True)
class SyncMessage:
    """One message between own devices. What is not ours to read stays as packed maps.

    Attributes:
        devices: devices, contacts, requests.
        conversations: packed map of conversations.
        conversation_requests: packed map of requests for conversations.
        preferences: packed map of preferences.
        last_displayed: packed map; None in the form of 13.7.
        statuses: packed map of the status of messages; None in the form of 13.7.
    """

    devices: DeviceSync = field(default_factory=DeviceSync)
    conversations: bytes = EMPTY_MAP
    conversation_requests: bytes = EMPTY_MAP
    preferences: bytes = EMPTY_MAP
    last_displayed: bytes | None = None
    statuses: bytes | None = None

    @property
    def is_current(self) -> bool:
        """Whether the sender's Jami is later than 13.7, so merges by the later rules."""
        return self.last_displayed is not None or self.statuses is not None

    def pack(self) -> bytes:
        """Return the message: an array of four where only 13.7's elements are there, else six."""
        elements = [
            self.devices.pack(),
            self.conversations,
            self.conversation_requests,
            self.preferences,
        ]
        if self.is_current:
            elements += [self.last_displayed or EMPTY_MAP, self.statuses or EMPTY_MAP]
        return packing.pack_array_header(len(elements)) + b"".join(elements)

    @classmethod
    def unpack(cls, data: bytes) -> SyncMessage:
        """Read one message.

        Raises:
            DecodeError: it is no such message, or larger than 4 MiB.
        """
        elements = _split(data)
        elements += [EMPTY_MAP] * (4 - len(elements))
        maps = elements[1:_ELEMENTS_CURRENT]
        for element in maps:
            if not _is_map(element):
                raise DecodeError("an element of a sync message that is not a map")
        return cls(DeviceSync.unpack(elements[0]), *maps)


class SyncDecoder:
    """Reads the stream of one sync channel, however it is cut into packets."""

    def __init__(self) -> None:
        self._splitter = ObjectSplitter(MESSAGE_SIZE_MAX)

    def feed(self, data: bytes) -> list[SyncMessage]:
        """Take the next packet; return the messages that are complete now.

        Raises:
            DecodeError: the stream is no such thing; close the channel.
        """
        return [SyncMessage.unpack(each) for each in self._splitter.feed(data)]


def split_sync(sync: DeviceSync, size_max: int = PACKET_SIZE_MAX) -> Iterator[DeviceSync]:
    """Yield the same in parts, each of at most *size_max* bytes once packed into a message.

    Each part is applied for itself, so together they say what *sync* says.
    """
    empty = len(SyncMessage(DeviceSync(packing.UINT64_MAX)).pack()) + _HEADERS_MAX
    devices: dict[DeviceId, SyncedDevice] = {}
    peers: dict[AccountId, Contact] = {}
    requests: dict[AccountId, StoredRequest] = {}
    size = empty
    for entry in _entries(sync):
        key, item, packed_size = entry
        if size + packed_size > size_max and size > empty:
            yield DeviceSync(sync.date_ns, devices, peers, requests)
            devices, peers, requests, size = {}, {}, {}, empty
        size += packed_size
        if isinstance(item, SyncedDevice):
            devices[DeviceId(key)] = item
        elif isinstance(item, Contact):
            peers[AccountId(key)] = item
        else:
            requests[AccountId(key)] = item
    if size > empty:
        yield DeviceSync(sync.date_ns, devices, peers, requests)


def split_map(packed: bytes, size_max: int = PACKET_SIZE_MAX) -> list[bytes]:
    """Cut a packed map into packed maps whose entries together are its own.

    An entry that alone is larger than *size_max* gets a map of its own, larger than that: 13.7
    loses it, later versions do not.

    Raises:
        DecodeError: *packed* is no map.
    """
    unpacker = _walker(packed)
    parts: list[bytes] = []
    entries: list[bytes] = []
    size = 0
    try:
        for _ in range(unpacker.read_map_header()):
            start = unpacker.tell()
            unpacker.skip()
            unpacker.skip()
            entry = packed[start : unpacker.tell()]
            if entries and size + len(entry) > size_max - _HEADERS_MAX:
                parts.append(_join_map(entries))
                entries, size = [], 0
            entries.append(entry)
            size += len(entry)
    except (ValueError, msgpack.UnpackException) as error:
        raise DecodeError("not a packed map") from error
    if entries:
        parts.append(_join_map(entries))
    return parts


_HEADERS_MAX: Final = 64  # ours: more than the headers of a message's maps can grow


def _entries(
    sync: DeviceSync,
) -> Iterable[tuple[bytes, SyncedDevice | Contact | StoredRequest, int]]:
    """Yield the entries of all three maps with the bytes that each takes."""
    for device, known in sync.devices.items():
        yield device, known, len(msgpack.packb([bytes(device), _device_map(known)]))
    for account, contact in sync.peers.items():
        yield account, contact, len(msgpack.packb([bytes(account), contact.to_map()]))
    for account, request in sync.requests.items():
        fields = request.to_map(with_payload=False)
        yield account, request, len(msgpack.packb([bytes(account), fields]))


def _device_map(device: SyncedDevice) -> dict[str, object]:
    """Return the map of one device."""
    fields: dict[str, object] = {"name": device.name}
    if device.short_id is not None:
        fields["sha1"] = bytes(device.short_id)
    return fields


def _read_device(item: object) -> SyncedDevice:
    """Return one device."""
    if type(item) is not dict:
        raise DecodeError("a device that is not a map")
    short_id = packing.read_hash(item["sha1"]) if "sha1" in item else None
    return SyncedDevice(read_name(item.get("name", "")), short_id)


def _split(data: bytes) -> list[bytes]:
    """Return the packed elements of an array."""
    if len(data) > MESSAGE_SIZE_MAX:
        raise DecodeError(f"a sync message of {len(data)} bytes; {MESSAGE_SIZE_MAX} at most")
    unpacker = _walker(data)
    elements = []
    try:
        for _ in range(unpacker.read_array_header()):
            start = unpacker.tell()
            unpacker.skip()
            elements.append(data[start : unpacker.tell()])
    except (ValueError, msgpack.UnpackException) as error:
        raise DecodeError("not an array") from error
    if not elements or unpacker.tell() != len(data):
        raise DecodeError("not one array with elements")
    return elements


def _walker(data: bytes) -> msgpack.Unpacker:
    """Return what walks over packed objects without building them."""
    unpacker = msgpack.Unpacker(max_buffer_size=len(data) or 1)
    unpacker.feed(data)
    return unpacker


def _is_map(packed: bytes) -> bool:
    """Say whether a packed object is a map."""
    first = packed[0]
    return 0x80 <= first <= 0x8F or first in (0xDE, 0xDF)  # noqa: PLR2004 - msgpack's heads of maps


def _join_map(entries: list[bytes]) -> bytes:
    """Return a packed map of packed entries."""
    header: bytes = msgpack.Packer().pack_map_header(len(entries))
    return header + b"".join(entries)
