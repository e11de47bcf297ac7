"""Targets for what accounts say and keep: chains, archives, contacts, sync, linking."""

from __future__ import annotations

import contextlib
import functools
import gzip
import json
from typing import TYPE_CHECKING, Final

from shoal import identity
from shoal.core import AccountId, DecodeError, DeviceId, InfoHash
from shoal.crypto import generate_ec_identity
from shoal.identity.archive import Archive, unpack_archive
from shoal.identity.contact_book import ContactBook
from shoal.identity.errors import ArchiveError, ChainError, LinkError
from shoal.identity.linking import LINK_TIMEOUT, LinkEnded, LinkNewDevice, LinkOldDevice
from shoal.identity.record import AccountRecord
from shoal.identity.testing import seeded_device
from shoal.identity.wire.contacts import pack_contacts, pack_requests
from shoal.identity.wire.devices import pack_devices, unpack_devices
from shoal.identity.wire.linking import LinkAddress, LinkDecoder, LinkMessage
from shoal.identity.wire.treated import unpack_treated
from shoal.sim import SeededEntropy

if TYPE_CHECKING:
    from collections.abc import Callable

_WALL: Final = 1.8e9
_BOB: Final = seeded_device("bob")
_CONTACT: Final = identity.Contact(5001, 0, confirmed=True, conversation_id="a" * 40)
_REQUEST: Final = identity.StoredRequest(b"key", "b" * 40, 5001, b"card", 7)
_ADDRESS: Final = LinkAddress(DeviceId(bytes(32)), 123_456)


def chain(data: bytes) -> None:
    """A chain is believed or refused with a reason."""
    with contextlib.suppress(ChainError):
        identity.check_device(identity.parse_chain(data), _WALL)


def archive(data: bytes) -> None:
    """An archive without password is read, and then written and read to the same; or refused."""
    with contextlib.suppress(ArchiveError):
        unpack_archive(gzip.compress(data))
    with contextlib.suppress(ArchiveError):
        read = Archive.from_json(data)
        assert Archive.from_json(read.to_json()) == read


def account_values(data: bytes) -> None:
    """What devices put into the DHT and on the local network reads and packs to the same."""
    for codec in (identity.Announcement, identity.TrustRequest, identity.NearbyAccount):
        with contextlib.suppress(DecodeError):
            read = codec.unpack(data)
            assert codec.unpack(read.pack()) == read
    with contextlib.suppress(DecodeError):
        lists = identity.unpack_revocations(data)
        assert identity.unpack_revocations(identity.pack_revocations(lists)) == lists


def account_files(data: bytes) -> None:
    """Files of an account are read, and written and read to the same; or refused."""
    with contextlib.suppress(DecodeError):
        contacts = identity.unpack_contacts(data)
        assert identity.unpack_contacts(pack_contacts(contacts)) == contacts
    with contextlib.suppress(DecodeError):
        requests = identity.unpack_requests(data)
        assert identity.unpack_requests(pack_requests(requests)) == requests
    with contextlib.suppress(DecodeError):
        unpack_devices(pack_devices(unpack_devices(data)))
    with contextlib.suppress(DecodeError):
        record = AccountRecord.unpack(data)
        assert AccountRecord.unpack(record.pack()) == record
    unpack_treated(data)


def device_sync(data: bytes) -> None:
    """A stream between own devices: messages, which a contact book takes; or an error.

    What it took in it takes again without any change, and passes on in packets that are small.
    """
    decoder, book = identity.SyncDecoder(), ContactBook(AccountId(bytes(20)))
    messages: list[identity.SyncMessage] = []
    with contextlib.suppress(DecodeError):
        messages = decoder.feed(data[: len(data) // 2])
        messages += decoder.feed(data[len(data) // 2 :])
    for message in messages:
        assert identity.SyncMessage.unpack(message.pack()) == message
        book.merge(message.devices, _WALL, is_current=message.is_current)
        again = identity.DeviceSync(peers=dict(book.contacts), requests=dict(book.requests))
        assert book.merge(again, _WALL, is_current=message.is_current) == []
    state = book.state({}, SeededEntropy(1), _WALL)
    assert all(len(each.pack()) <= 60_000 for each in identity.split_sync(state))


def device_link(data: bytes) -> None:
    """Whatever comes on the channel of a link, it ends once, with the account or with an error."""
    with contextlib.suppress(DecodeError):
        for message in LinkDecoder(100_000).feed(data):
            assert LinkMessage.unpack(message.pack()) == message
    with contextlib.suppress(LinkError):
        LinkAddress.parse(data.decode(errors="replace"))
    new = LinkNewDevice(_ADDRESS, 0.0)
    old = LinkOldDevice(_ADDRESS, gzip.compress(b"{}"), 0.0)
    new.start(0.0)
    old.start(0.0)
    effects = [*new.channel_opened(0.0), *new.receive(data, 1.0), *new.advance(LINK_TIMEOUT)]
    assert sum(isinstance(effect, LinkEnded) for effect in effects) == 1
    effects = [*old.channel_opened("x", 0.0), *old.confirm(0.0), *old.receive(data, 1.0)]
    effects += old.advance(LINK_TIMEOUT)
    assert sum(isinstance(effect, LinkEnded) for effect in effects) == 1


def known_values() -> list[bytes]:
    """Return one of each kind of value."""
    return [
        identity.Announcement.of(_BOB.identity.certificate.public_key).pack(),
        identity.TrustRequest("a" * 40, b"card", invited_ms=5).pack(),
        identity.NearbyAccount(AccountId(bytes(20)), "Bob").pack(),
    ]


def known_files() -> list[bytes]:
    """Return one of each kind of file."""
    account = AccountId(bytes(20))
    return [
        pack_contacts({account: _CONTACT}),
        pack_requests({account: _REQUEST}),
        pack_devices({DeviceId(bytes(32)): identity.KnownDevice("laptop", 5000)}),
        AccountRecord(identity.Receipt("{}", b"x")).pack(),
    ]


def known_syncs() -> list[bytes]:
    """Return a message of both forms."""
    account = AccountId(bytes(20))
    sync = identity.DeviceSync(
        5,
        {DeviceId(bytes(32)): identity.SyncedDevice("laptop", InfoHash(bytes(20)))},
        {account: _CONTACT},
        {account: _REQUEST},
    )
    old = identity.SyncMessage(sync)
    return [old.pack(), identity.SyncMessage(sync, statuses=b"\x80").pack()]


@functools.cache
def known_chains() -> list[bytes]:
    """Return a chain of keys on curves, which cost nothing to make."""
    entropy = SeededEntropy(1)
    ca = generate_ec_identity("ca", entropy=entropy, wall_now=_WALL)
    device = generate_ec_identity("device", ca, entropy=entropy, wall_now=_WALL)
    return [device.certificate.to_pem().encode()]


TARGETS: Final[dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]]]]] = {
    "account-archive": (archive, lambda: [json.dumps({"ringAccountKey": "AAAA"}).encode()]),
    "account-files": (account_files, known_files),
    "account-values": (account_values, known_values),
    "device-chain": (chain, known_chains),
    "device-link": (device_link, lambda: [LinkMessage({"authScheme": "password"}).pack()]),
    "device-sync": (device_sync, known_syncs),
}
