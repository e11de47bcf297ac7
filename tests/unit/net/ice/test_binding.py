"""The messages of checks, against the bytes of Jami."""

from __future__ import annotations

from typing import Final

from shoal.core import Address
from shoal.net import stun
from shoal.net.ice import binding
from shoal.net.ice.binding import Credentials
from shoal.net.ice.framing import frame
from shoal.net.stun import Class, Method

TRANSACTION: Final = bytes(range(12))
REMOTE_PWD: Final = "25e685ff248bb72e127eef70"  # noqa: S105 - the vector's
CREDENTIALS: Final = Credentials("0b909487", "0" * 24, "5ac87e74", REMOTE_PWD)


def test_nominating_request() -> None:
    """Byte by byte what the reference has, the frame's length included."""
    data = binding.request(
        TRANSACTION,
        CREDENTIALS,
        priority=0x6EFFFFFF,
        is_controlling=True,
        tie_breaker=0x0001020304050607,
        nominates=True,
    )
    assert frame(data) == bytes.fromhex(
        "0064"
        "000100502112a442000102030405060708090a0b002400046effffff00250000802a00080001020304050607"
        "0006001135616338376537343a3062393039343837000000000800149262d9d06f542d39838c19d89fa662d2"
        "5696269c80280004f53acb7a"
    )


def test_plain_request_of_the_controlled_side() -> None:
    """No USE-CANDIDATE, the other role, SOFTWARE before USERNAME: Jami's order."""
    data = binding.request(
        TRANSACTION,
        CREDENTIALS,
        priority=1,
        is_controlling=False,
        tie_breaker=7,
        software="pjnath-2.12.1\0\0\0",
    )
    message = stun.decode(data)

    assert list(message.attributes) == ["PRIORITY", "ICE-CONTROLLED", "SOFTWARE", "USERNAME"]
    assert message.attributes["USERNAME"] == "5ac87e74:0b909487"
    assert message.is_signed_with(REMOTE_PWD.encode())
    assert len(data) + 2 == 0x74 + 2  # as long as what 13.7 sends


def test_response() -> None:
    """The reference's vector: signed with the password of whoever answers."""
    data = binding.success(TRANSACTION, Address.parse("10.78.0.2", 45561), REMOTE_PWD)
    assert frame(data) == bytes.fromhex(
        "00400101002c2112a442000102030405060708090a0b00200008000190eb2b5ca440"
        "00080014a25b4a1e29ddbe2f8e26c8f9668ff3b633343ac180280004992fdae6"
    )


def test_keep_alive() -> None:
    """An indication of 28 bytes, 30 on the wire."""
    assert frame(binding.keep_alive(TRANSACTION)) == bytes.fromhex(
        "001c001100082112a442000102030405060708090a0b80280004484dcdf6"
    )


def test_failure() -> None:
    """A role conflict says so, signed."""
    message = stun.decode(binding.failure(TRANSACTION, 487, "Role Conflict", "pwd"))
    assert (message.kind, message.error) == (Class.ERROR, (487, "Role Conflict"))
    assert message.is_signed_with(b"pwd")


def test_probe() -> None:
    """A question to a STUN server needs no credentials."""
    message = stun.decode(binding.probe(TRANSACTION))
    assert (message.method, message.kind) == (Method.BINDING, Class.REQUEST)
    assert message.attributes == {}
