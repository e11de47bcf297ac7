"""What own devices tell each other."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import AccountId, DecodeError, DeviceId, InfoHash
from shoal.identity.contact import Contact, StoredRequest
from shoal.identity.wire import sync as module
from shoal.identity.wire.sync import (
    DeviceSync,
    SyncDecoder,
    SyncedDevice,
    SyncMessage,
    split_map,
    split_sync,
)
from tests.unit.identity.samples import CONVERSATIONS, account_id, device_id
from tests.unit.identity.strategies import syncs

# The beginning of a message of 13.7, reference appendix A.6, with ids filled up with zeros.
DEVICE = DeviceId.from_hex("246cbd833ee0aedade0896235328b0100b63844d058da3b3998c2809e5479046")
SHORT = InfoHash.from_hex("c82c3032f8b2f82815834429742028cf963f27e1")
PEER = AccountId.from_hex("0fbcc905" + "00" * 14 + "d9db")
CONVERSATION = "a212def8f3076f0f194ea1f1f79bbcd7954d6646"
SAMPLE = (
    bytes.fromhex(
        "9486a464617465cf18e9e5f4c1ff74d4ab6465766963655f6e616d65a0"
        "ad646576696365735f6b6e6f776e80a76465766963657381c420"
    )
    + DEVICE
    + bytes.fromhex("82a46e616d65a2766da473686131c414")
    + SHORT
    + bytes.fromhex("a5706565727381c414")
    + PEER
    + bytes.fromhex(
        "85a56164646564ce6b00dd21a772656d6f76656400a9636f6e6669726d6564c2a662616e6e6564c2"
        "ae636f6e766572736174696f6e4964d928"
    )
    + CONVERSATION.encode()
    + bytes.fromhex("ae74727573745f726571756573747380808080")
)

maps = st.dictionaries(st.text(max_size=5), st.integers() | st.binary(max_size=20), max_size=4)
packed_maps = st.dictionaries(
    st.text(st.characters(codec="utf-8"), max_size=5),
    st.integers(0, 99) | st.binary(max_size=20) | st.lists(st.booleans(), max_size=3),
    max_size=4,
).map(msgpack.packb)
messages = st.builds(SyncMessage, syncs, packed_maps, packed_maps, packed_maps)
current_messages = st.builds(SyncMessage, syncs, *[packed_maps] * 5)


def test_what_jami_sent_is_read_and_written() -> None:
    """Byte for byte."""
    message = SyncMessage.unpack(SAMPLE)

    assert message.devices == DeviceSync(
        0x18E9E5F4C1FF74D4,
        {DEVICE: SyncedDevice("vm", SHORT)},
        {PEER: Contact(0x6B00DD21 * 1000, conversation_id=CONVERSATION)},
    )
    assert not message.is_current
    assert message.pack() == SAMPLE


@given(messages | current_messages)
def test_messages_round_trip(message: SyncMessage) -> None:
    """In both forms; what is not ours to read is untouched."""
    assert SyncMessage.unpack(message.pack()) == message
    assert message.is_current == (message.pack()[0] == 0x96)


@given(syncs)
def test_device_syncs_round_trip(sync: DeviceSync) -> None:
    """As 13.7 also puts them into the DHT."""
    assert DeviceSync.unpack(sync.pack()) == sync


def test_shorter_and_longer_arrays_are_read() -> None:
    """Versions differ in how many elements there are."""
    sync = DeviceSync().pack()

    assert SyncMessage.unpack(b"\x91" + sync) == SyncMessage()
    assert not SyncMessage.unpack(b"\x92" + sync + b"\x80").is_current
    assert SyncMessage.unpack(b"\x95" + sync + b"\x80" * 4).is_current
    longer = SyncMessage.unpack(b"\x98" + sync + b"\x80" * 5 + b"\x90\xc0")
    assert longer.is_current
    assert DeviceSync.unpack(b"\x80").is_empty
    assert DeviceSync(devices={DEVICE: SyncedDevice()}).is_empty is False


@given(st.lists(messages, max_size=3), st.data())
def test_a_stream_is_cut_anywhere(sent: list[SyncMessage], data: st.DataObject) -> None:
    """Jami of 2026 streams; 13.7 sends a packet each: both are read."""
    stream = b"".join(message.pack() for message in sent)
    cut = data.draw(st.integers(0, len(stream)))
    decoder = SyncDecoder()

    assert decoder.feed(stream[:cut]) + decoder.feed(stream[cut:]) == sent


@given(syncs, st.integers(400, 900))
def test_splitting_loses_nothing(sync: DeviceSync, size_max: int) -> None:
    """Every part fits, and together they say the same."""
    parts = list(split_sync(sync, size_max))

    assert all(len(SyncMessage(part).pack()) <= size_max for part in parts)
    assert all(part.date_ns == sync.date_ns and not part.is_empty for part in parts)
    for name in ("devices", "peers", "requests"):
        together: dict[object, object] = {}
        for part in parts:
            together |= getattr(part, name)
        assert together == getattr(sync, name)


def test_a_large_book_goes_out_in_packets_that_13_7_can_read() -> None:
    """Two thousand contacts in a handful of them."""
    peers = {account_id(n): Contact(n, 0, conversation_id=CONVERSATIONS[0]) for n in range(2000)}
    sync = DeviceSync(1, {device_id(1): SyncedDevice("x")}, peers, {account_id(1): StoredRequest()})

    parts = [SyncMessage(part).pack() for part in split_sync(sync)]

    assert 4 <= len(parts) <= 8
    assert max(map(len, parts)) <= 60_000
    assert list(split_sync(DeviceSync())) == []


@given(packed_maps, st.integers(65, 120))
def test_splitting_a_map_loses_nothing(packed: bytes, size_max: int) -> None:
    """Of conversations, say, whose content is not ours to read."""
    parts = split_map(packed, size_max)

    together: dict[object, object] = {}
    for part in parts:
        together |= msgpack.unpackb(part)
        assert len(part) <= size_max or len(msgpack.unpackb(part)) == 1
    assert together == msgpack.unpackb(packed)


@pytest.mark.parametrize("packed", [b"", b"\x90", b"\x81\xa1a", b"\xc1"])
def test_what_is_no_map_is_not_split(packed: bytes) -> None:
    """Cut off, or something else."""
    with pytest.raises(DecodeError):
        split_map(packed)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        b"\x90",
        b"\x94\x80",
        b"\x91\x90",
        b"\x92\x80\x90",
        SAMPLE + b"\0",
        b"\x91" + msgpack.packb({"date": -1}),
        b"\x91" + msgpack.packb({"devices": []}),
        b"\x91" + msgpack.packb({"devices": {bytes(32): []}}),
        b"\x91" + msgpack.packb({"devices": {bytes(20): {}}}),
        b"\x91" + msgpack.packb({"devices": {bytes(32): {"sha1": b""}}}),
        b"\x91" + msgpack.packb({"devices": {bytes(device_id(n)): {} for n in range(300)}}),
        b"\x91" + msgpack.packb({"peers": {bytes(20): []}}),
        b"\x91" + msgpack.packb({"trust_requests": {bytes(account_id(n)): {} for n in range(300)}}),
    ],
)
def test_what_is_no_message(data: bytes) -> None:
    """Other shapes, other types, too many."""
    with pytest.raises(DecodeError):
        SyncMessage.unpack(data)


def test_a_message_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone or in a stream."""
    monkeypatch.setattr(module, "MESSAGE_SIZE_MAX", 100)
    with pytest.raises(DecodeError):
        SyncMessage.unpack(SAMPLE)
    with pytest.raises(DecodeError):
        SyncDecoder().feed(SAMPLE)


@given(st.binary(max_size=200) | st.integers(0, len(SAMPLE)).map(lambda n: SAMPLE[:n]))
def test_any_bytes_give_messages_or_an_error(data: bytes) -> None:
    """An own device may be compromised."""
    decoder = SyncDecoder()
    for read in (SyncMessage.unpack, DeviceSync.unpack, decoder.feed):
        try:
            read(data)
        except DecodeError:
            continue
