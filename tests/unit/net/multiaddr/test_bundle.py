"""Records of addresses: round trips, forgeries, any bytes."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DeviceId
from shoal.crypto import verify as real_verify
from shoal.crypto.testing import SeededSuite
from shoal.net.errors import BundleError
from shoal.net.multiaddr import AddressBundle, Multiaddr, addresses_key, newest_bundle
from tests.unit.net.devices import device

SUITE = SeededSuite()
NODE = SUITE.identity("node")
SPKI = NODE.certificate.public_key.spki
DEVICE = DeviceId(NODE.certificate.long_id)
NOW = 1.8e9
ADDRESSES = tuple(Multiaddr.parse(text) for text in ("/ip4/44.128.0.1/tcp/1", "/ip6/2a00::1/tcp/2"))


def bundle(**changes: object) -> AddressBundle:
    """Return a record that holds."""
    return replace(AddressBundle.of(DEVICE, ADDRESSES, NOW), **changes)  # type: ignore[arg-type]


def packed(record: AddressBundle) -> bytes:
    """Return it, signed."""
    return record.pack(NODE.private_key.sign)


def unpack(data: bytes, wall_now: float = NOW) -> AddressBundle:
    """Read a record of the node."""
    return AddressBundle.unpack(data, SPKI, wall_now, SUITE.verify)


def signed(**changes: object) -> bytes:
    """Return a record with fields as we like them, rightly signed."""
    fields: dict[str, object] = {
        "v": 1,
        "dev": bytes(DEVICE),
        "seq": 1,
        "exp": int(NOW + 60),
        "a": ["/ip4/44.128.0.1/tcp/1"],
        "rv": [],
    }
    record = msgpack.packb({key: value for key, value in (fields | changes).items() if value != ()})
    return bytes(msgpack.packb([record, NODE.private_key.sign(b"shoal-addresses\0" + record)]))


def test_a_record_comes_back() -> None:
    """With addresses in their order, and rendezvous nodes."""
    record = bundle(rendezvous=(DeviceId(bytes(32)), DeviceId(b"\1" * 32)))
    assert unpack(packed(record)) == record
    assert record.seq == int(NOW * 1000)
    assert record.wall_expiry == NOW + 86_400


def test_with_a_real_key() -> None:
    """RSA, as devices have it; other keys are refused."""
    alice, bob = device("alice"), device("bob")
    record = AddressBundle.of(DeviceId(alice.certificate.long_id), ADDRESSES, NOW)
    data = record.pack(alice.private_key.sign)
    spki = alice.certificate.public_key.spki

    assert AddressBundle.unpack(data, spki, NOW, real_verify) == record
    assert len(data) < 512
    with pytest.raises(BundleError):
        AddressBundle.unpack(record.pack(bob.private_key.sign), spki, NOW, real_verify)
    with pytest.raises(BundleError):
        AddressBundle.unpack(data, bob.certificate.public_key.spki, NOW, real_verify)


def test_private_addresses_stay_private() -> None:
    """Unless asked for, as on a network of one's own."""
    mixed = [Multiaddr.parse("/ip4/10.0.0.1/tcp/1"), *ADDRESSES, ADDRESSES[0]]
    assert AddressBundle.of(DEVICE, mixed, NOW).addresses == ADDRESSES
    assert len(AddressBundle.of(DEVICE, mixed, NOW, is_public=False).addresses) == 3
    many = [Multiaddr.parse(f"/ip4/44.128.0.1/tcp/{port}") for port in range(1, 40)]
    assert len(AddressBundle.of(DEVICE, many, NOW, life=1e9).addresses) == 16
    assert AddressBundle.of(DEVICE, many, NOW, life=1e9).wall_expiry == NOW + 86_400


def test_time_is_looked_at() -> None:
    """Neither after its end, nor good for weeks."""
    data = packed(bundle())
    assert unpack(data, NOW - 500) == bundle()
    for wall_now in (NOW + 86_401, NOW - 700):
        with pytest.raises(BundleError):
            unpack(data, wall_now)


@pytest.mark.parametrize("at", [5, 60, -1])
def test_a_changed_byte_is_found(at: int) -> None:
    """In the record or in the signature."""
    data = bytearray(packed(bundle()))
    data[at] ^= 1
    with pytest.raises(BundleError):
        unpack(bytes(data))


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"dev": bytes(31)},
        {"dev": "text"},
        {"dev": bytes(32)},
        {"seq": -1},
        {"seq": ()},
        {"exp": True},
        {"a": "text"},
        {"a": [5]},
        {"a": ["/ip4/44.128.0.1/tcp/1"] * 17},
        {"a": ["x" * 257]},
        {"rv": [bytes(32)] * 6},
        {"rv": [bytes(31)]},
        {"rv": 5},
    ],
)
def test_rightly_signed_nonsense(changes: dict[str, object]) -> None:
    """A device may send anything under its own name."""
    assert unpack(signed()).seq == 1
    with pytest.raises(BundleError):
        unpack(signed(**changes))


def test_unknown_keys_and_addresses_pass() -> None:
    """A later version may say more."""
    record = unpack(signed(a=["/quic/new", "/ip4/44.128.0.1/tcp/1"], new=[1], rv=()))
    assert record.addresses == ADDRESSES[:1]


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x90", b"\x92\x01\x02", b"\x92\xc4\x00\xc4\x00", bytes(8193)]
)
def test_what_is_no_record(data: bytes) -> None:
    """Each is refused."""
    with pytest.raises(BundleError):
        unpack(data)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_record_or_an_error(data: bytes) -> None:
    """Bare, and as a record under a right signature."""
    with contextlib.suppress(BundleError):
        unpack(data)
    with contextlib.suppress(BundleError):
        unpack(msgpack.packb([data, NODE.private_key.sign(b"shoal-addresses\0" + data)]))


def test_the_newest_counts() -> None:
    """Among what the DHT holds, forgeries included; none that is older than what is known."""
    older, newer = bundle(seq=1), bundle(seq=2)
    found = [packed(newer), b"garbage", packed(older), signed(seq=9)[:-1]]

    assert newest_bundle(found, SPKI, NOW, SUITE.verify) == newer
    assert newest_bundle(found, SPKI, NOW, SUITE.verify, above=2) is None
    assert newest_bundle([], SPKI, NOW, SUITE.verify) is None


def test_where_it_is() -> None:
    """The key is derived from the device's id."""
    assert addresses_key(DeviceId(bytes(32))).hex() == "f75e3c2fbc4f2f4f0ad816aadb210a6a7cdbec10"
