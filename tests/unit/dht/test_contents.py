"""Contents of OpenDHT's own types: there and back, from old forms, from any bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address, DecodeError, InfoHash
from shoal.dht.contents import (
    CertificateValue,
    DhtMessage,
    IceCandidates,
    ImMessage,
    ImStatus,
    IpServiceAnnouncement,
    TrustRequest,
)
from shoal.dht.value import Value
from tests.unit.dht import strategies

if TYPE_CHECKING:
    from collections.abc import Callable

TEXTS, UINT64 = strategies.TEXTS, strategies.UINT64
CONTENTS = st.one_of(
    st.builds(DhtMessage, TEXTS, st.binary()),
    st.builds(IpServiceAnnouncement, strategies.ADDRESSES),
    st.builds(
        ImMessage,
        UINT64,
        TEXTS,
        st.integers(-(2**63), 2**63 - 1),
        st.sampled_from(ImStatus),
        TEXTS,
        st.dictionaries(TEXTS, TEXTS, max_size=3),
    ),
    st.builds(TrustRequest, TEXTS, TEXTS, st.binary(), st.booleans()),
    st.builds(IceCandidates, UINT64, st.binary()),
    st.builds(CertificateValue, st.binary(min_size=1)),
)
READERS: list[Callable[[bytes], object]] = [
    DhtMessage.unpack,
    IpServiceAnnouncement.unpack,
    ImMessage.unpack,
    TrustRequest.unpack,
    IceCandidates.unpack,
    CertificateValue.unpack,
]


@given(CONTENTS)
def test_every_content_survives(content: Any) -> None:
    """What is packed is unpacked."""
    assert type(content).unpack(content.pack()) == content


@given(st.binary(max_size=100), st.sampled_from(READERS))
def test_any_bytes_give_a_content_or_a_decode_error(
    data: bytes, read: Callable[[bytes], object]
) -> None:
    """Nothing else is raised."""
    try:
        read(data)
    except DecodeError:
        return


@pytest.mark.parametrize(
    ("read", "item"),
    [
        (DhtMessage.unpack, {}),
        (DhtMessage.unpack, [5]),
        (DhtMessage.unpack, ["a", 5]),
        (IpServiceAnnouncement.unpack, "text"),
        (IpServiceAnnouncement.unpack, bytes(15)),
        (IpServiceAnnouncement.unpack, bytes(16)),
        (IpServiceAnnouncement.unpack, b"\x02\x00" + bytes(26)),
        (ImMessage.unpack, []),
        (ImMessage.unpack, {"id": -1}),
        (ImMessage.unpack, {"msg": 5}),
        (ImMessage.unpack, {"date": "now"}),
        (ImMessage.unpack, {"date": 2**63}),
        (ImMessage.unpack, {"metadatas": []}),
        (ImMessage.unpack, {"metadatas": {"a": 5}}),
        (TrustRequest.unpack, []),
        (TrustRequest.unpack, {"confirm": 1}),
        (TrustRequest.unpack, {"payload": 1}),
        (IceCandidates.unpack, [1]),
        (IceCandidates.unpack, ["1", b""]),
        (IceCandidates.unpack, {}),
        (CertificateValue.unpack, b""),
    ],
)
def test_what_is_no_such_content(read: Callable[[bytes], object], item: object) -> None:
    """Wrong types are refused."""
    with pytest.raises(DecodeError):
        read(msgpack.packb(item))


def test_absent_fields_take_defaults_and_unknown_ones_are_skipped() -> None:
    """As OpenDHT's readers do."""
    assert DhtMessage.unpack(b"\x90") == DhtMessage("")
    assert DhtMessage.unpack(msgpack.packb(["a"])) == DhtMessage("a")
    assert ImMessage.unpack(msgpack.packb({"new": 1, "status": 9})) == ImMessage(status=9)
    assert TrustRequest.unpack(b"\x80") == TrustRequest()
    assert IceCandidates.unpack(msgpack.packb([1, [2, 3], 4])) == IceCandidates(1, b"\x02\x03")


def test_socket_addresses_as_linux_lays_them_out() -> None:
    """Family in host order, port in network order."""
    ipv4 = IpServiceAnnouncement(Address.parse("192.0.2.1", 4222))
    assert ipv4.pack() == bytes.fromhex("c410 0200 107e c0000201 0000000000000000")
    ipv6 = IpServiceAnnouncement(Address.parse("2001:db8::1", 4222))
    expected = "c41c 0a00 107e 00000000 20010db8000000000000000000000001 00000000"
    assert ipv6.pack() == bytes.fromhex(expected)


def test_certificates_are_read_bare_too() -> None:
    """PEM or DER without the msgpack bin around it."""
    pem, der = b"-----BEGIN CERTIFICATE-----", b"\x30\x82\x01\x02"
    assert CertificateValue(pem).pack() == b"\xc4" + bytes((len(pem),)) + pem
    for chain in (pem, der):
        assert CertificateValue.unpack(chain) == CertificateValue(chain)
    for broken in (b"", b"\xc4\x00", b"\xc4\x05ab"):
        with pytest.raises(DecodeError):
            CertificateValue.unpack(broken)


def test_conventions_about_signers_and_recipients() -> None:
    """Instant messages have an owner; requests and candidates were encrypted."""
    me = InfoHash.of(b"me")
    for content in (ImMessage(1, "hello"), TrustRequest("s"), IceCandidates(1, b"c")):
        data = content.pack()
        decrypted = Value(data, owner=b"key", recipient=me, signature=b"s")
        assert type(content).from_value(decrypted) == content
        with pytest.raises(DecodeError, match="owner"):
            type(content).from_value(Value(data))
        signed = Value(data, owner=b"key", signature=b"s")
        if isinstance(content, ImMessage):
            assert ImMessage.from_value(signed) == content
        else:
            with pytest.raises(DecodeError, match="recipient"):
                type(content).from_value(signed)
