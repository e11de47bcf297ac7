"""STUN: Jami's bytes, round trips, and any bytes at all."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address, DecodeError
from shoal.net import stun
from shoal.net.stun import Class, Message, Method

KEY: Final = b"25e685ff248bb72e127eef70"
TRANSACTION: Final = bytes(range(12))
# The reference's vectors, without the two bytes of the frame.
NOMINATING: Final = bytes.fromhex(
    "000100502112a442000102030405060708090a0b002400046effffff00250000802a00080001020304050607"
    "0006001135616338376537343a3062393039343837000000000800149262d9d06f542d39838c19d89fa662d2"
    "5696269c80280004f53acb7a"
)
RESPONSE: Final = bytes.fromhex(
    "0101002c2112a442000102030405060708090a0b00200008000190eb2b5ca440"
    "00080014a25b4a1e29ddbe2f8e26c8f9668ff3b633343ac180280004992fdae6"
)
KEEP_ALIVE: Final = bytes.fromhex("001100082112a442000102030405060708090a0b80280004484dcdf6")
VECTORS: Final = (
    (
        Message(
            Method.BINDING,
            Class.REQUEST,
            TRANSACTION,
            {
                "PRIORITY": 0x6EFFFFFF,
                "USE-CANDIDATE": None,
                "ICE-CONTROLLING": 0x0001020304050607,
                "USERNAME": "5ac87e74:0b909487",
            },
        ),
        KEY,
        NOMINATING,
    ),
    (
        Message(
            Method.BINDING,
            Class.SUCCESS,
            TRANSACTION,
            {"XOR-MAPPED-ADDRESS": Address.parse("10.78.0.2", 45561)},
        ),
        KEY,
        RESPONSE,
    ),
    (Message(Method.BINDING, Class.INDICATION, TRANSACTION), None, KEEP_ALIVE),
)


@pytest.mark.parametrize(("message", "key", "data"), VECTORS, ids=["request", "response", "alive"])
def test_vectors_of_jami(message: Message, key: bytes | None, data: bytes) -> None:
    """What Jami's library sends is what we write and read."""
    assert stun.encode(message, key=key) == data
    assert stun.decode(data) == message
    assert stun.decode(data).is_signed_with(KEY) is (key is not None)
    assert not stun.decode(data).is_signed_with(b"another")


def test_a_changed_byte_breaks_the_fingerprint() -> None:
    """FINGERPRINT covers everything before it."""
    spoilt = bytearray(NOMINATING)
    spoilt[38] ^= 1

    with pytest.raises(DecodeError, match="fingerprint"):
        stun.decode(bytes(spoilt))


def test_what_follows_the_integrity_is_not_believed() -> None:
    """An attribute added behind MESSAGE-INTEGRITY by somebody else is left out."""
    signed = stun.encode(
        Message(Method.BINDING, Class.REQUEST, TRANSACTION), key=KEY, has_fingerprint=False
    )
    added = signed[:2] + (len(signed) - 20 + 4).to_bytes(2) + signed[4:] + bytes.fromhex("00250000")

    assert stun.decode(added).attributes == {}
    assert stun.decode(added).is_signed_with(KEY)


def test_unknown_attributes_are_listed_if_they_matter() -> None:
    """Below 0x8000 they must be understood; of repeated ones the first counts."""
    body = bytes.fromhex("7001000170000000f001000200000000002400040000000100240004ffffffff")
    data = bytes.fromhex("0001") + len(body).to_bytes(2) + stun.COOKIE + TRANSACTION + body

    message = stun.decode(data)

    assert message.unknown == (0x7001,)
    assert message.attributes == {"PRIORITY": 1}
    assert message.error == (0, "")


def test_the_methods_of_rfc_6062() -> None:
    """ConnectionAttempt and its attributes survive a round trip; both address families."""
    for host in ("192.0.2.7", "2001:db8::7"):
        message = Message(
            Method.CONNECTION_ATTEMPT,
            Class.INDICATION,
            TRANSACTION,
            {
                "CONNECTION-ID": 0xDEADBEEF,
                "XOR-PEER-ADDRESS": Address.parse(host, 5000),
                "MAPPED-ADDRESS": Address.parse(host, 5001),
                "ERROR-CODE": (437, "Allocation Mismatch"),
            },
        )
        decoded = stun.decode(stun.encode(message))
        assert decoded == message
        assert decoded.error == (437, "Allocation Mismatch")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(20),
        NOMINATING[:-4],
        b"\xc0" + NOMINATING[1:],
        bytes.fromhex("0fff0000") + stun.COOKIE + TRANSACTION,  # unknown method
        bytes.fromhex("00010004") + stun.COOKIE + TRANSACTION + bytes.fromhex("00240004"),
        bytes.fromhex("00010008") + stun.COOKIE + TRANSACTION + bytes.fromhex("0024000200000000"),
        bytes.fromhex("00010008") + stun.COOKIE + TRANSACTION + bytes.fromhex("0020000400010000"),
        bytes.fromhex("00010008") + stun.COOKIE + TRANSACTION + bytes.fromhex("00060002c3280000"),
        bytes.fromhex("00010104") + stun.COOKIE + TRANSACTION + bytes.fromhex("f0000000") * 65,
    ],
)
def test_broken_messages(data: bytes) -> None:
    """Each is refused with a DecodeError."""
    with pytest.raises(DecodeError):
        stun.decode(data)


@given(st.binary(max_size=200) | st.binary(max_size=120).map(lambda tail: NOMINATING[:20] + tail))
def test_any_bytes(data: bytes) -> None:
    """Any bytes are a message or a DecodeError."""
    try:
        stun.decode(data)
    except DecodeError:
        return


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=24)), max_size=5))
def test_any_attributes(attributes: list[tuple[int, bytes]]) -> None:
    """The same with a sound header and any attributes."""
    body = b"".join(
        kind.to_bytes(2) + len(value).to_bytes(2) + value + bytes(-len(value) % 4)
        for kind, value in attributes
    )
    data = b"\x00\x01" + len(body).to_bytes(2) + stun.COOKIE + TRANSACTION + body
    try:
        message = stun.decode(data)
    except DecodeError:
        return
    stun.encode(message)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (NOMINATING, True),
        (NOMINATING[:19], False),
        (b"\x16" + NOMINATING[1:], False),
        (NOMINATING + b"\x00", False),
        (bytes(100), False),
    ],
)
def test_demultiplexing(data: bytes, expected: bool) -> None:
    """STUN between TLS records is told by first byte, cookie and length."""
    assert stun.is_stun(memoryview(data)[:20], len(data)) is expected
