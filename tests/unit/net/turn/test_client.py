"""A TURN client by hand: challenges, refreshes, permissions, channels, connections, refusals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address, Family
from shoal.net import stun
from shoal.net.stun import Class, Message, Method
from shoal.net.turn.client import PERMISSION_REFRESH, PERMISSIONS_MAX, RelayTransport, TurnClient
from shoal.net.turn.effects import (
    Allocated,
    ConnectRefused,
    Effect,
    PeerConnected,
    PeerSent,
    PermissionRefused,
    Permitted,
    SendToServer,
    TurnFailed,
)
from shoal.net.turn.errors import (
    TurnCredentialsError,
    TurnLostError,
    TurnQuotaError,
    TurnRefusedError,
    TurnUnreachableError,
)
from shoal.net.turn.packets import channel_data
from shoal.sim import SeededEntropy

RELAYED: Final = Address.parse("192.0.2.1", 50_000)
MAPPED: Final = Address.parse("198.51.100.1", 777)
PEER: Final = Address.parse("203.0.113.5", 888)
# RFC 8489 section 9.2.2: MD5 of "user:realm:pass".
KEY: Final = bytes.fromhex("8493fbc53ba582fb4c044c456bdc40eb")


@dataclass
class Server:
    """The other side, played by hand."""

    client: TurnClient
    now: float = 0.0
    requests: list[Message] = field(default_factory=list)
    events: list[Effect] = field(default_factory=list)

    def take(self, effects: list[Effect]) -> list[Effect]:
        """Sort what the client does; return its events."""
        events: list[Effect] = [each for each in effects if not isinstance(each, SendToServer)]
        self.events += events
        self.requests += [
            stun.decode(each.data) for each in effects if isinstance(each, SendToServer)
        ]
        return events

    def answer(self, **attributes: object) -> list[Effect]:
        """Answer the latest request with success, signed."""
        request = self.requests[-1]
        named = {name.replace("_", "-"): value for name, value in attributes.items()}
        message = Message(request.method, Class.SUCCESS, request.transaction, named)
        return self.give(stun.encode(message, key=KEY))

    def refuse(self, code: int, reason: str = "", **attributes: object) -> list[Effect]:
        """Answer the latest request with an error."""
        request = self.requests[-1]
        named = {"ERROR-CODE": (code, reason), **attributes}
        message = Message(request.method, Class.ERROR, request.transaction, named)
        return self.give(stun.encode(message))

    def challenge(self, nonce: bytes = b"n1", code: int = 401) -> list[Effect]:
        """Ask for credentials."""
        return self.refuse(code, "who?", REALM="realm", NONCE=nonce)

    def give(self, data: bytes) -> list[Effect]:
        """Let bytes arrive."""
        return self.take(self.client.receive(data, self.now))

    def wait(self, until: float) -> list[Effect]:
        """Let time pass."""
        events: list[Effect] = []
        while (deadline := self.client.next_deadline()) is not None and deadline <= until:
            self.now = deadline
            events += self.take(self.client.advance(deadline))
            after = self.client.next_deadline()
            assert after is None or after > deadline
        self.now = until
        return events


def make(transport: RelayTransport = RelayTransport.TCP, *, is_stream: bool = False) -> Server:
    """Return a client that has not begun, and its server."""
    entropy = SeededEntropy(1)
    client = TurnClient("user", "pass", entropy, transport=transport, is_stream=is_stream)
    return Server(client)


def allocated(transport: RelayTransport = RelayTransport.TCP, *, is_stream: bool = False) -> Server:
    """Return a client with an allocation of 600 s."""
    server = make(transport, is_stream=is_stream)
    server.take(server.client.start(0.0))
    server.challenge()
    (event,) = server.answer(XOR_RELAYED_ADDRESS=RELAYED, XOR_MAPPED_ADDRESS=MAPPED, LIFETIME=600)
    assert event == Allocated(RELAYED, MAPPED)
    return server


def test_an_allocation() -> None:
    """First without credentials, then with those that the challenge asks for."""
    server = allocated()
    first, second = server.requests

    assert (first.method, first.kind) == (Method.ALLOCATE, Class.REQUEST)
    assert first.attributes == {"REQUESTED-TRANSPORT": 6 << 24}
    assert second.attributes == {
        "REQUESTED-TRANSPORT": 6 << 24,
        "USERNAME": "user",
        "REALM": "realm",
        "NONCE": b"n1",
    }
    assert second.is_signed_with(KEY)
    assert server.client.relayed == RELAYED


def test_families_and_transports() -> None:
    """UDP is 17; an IPv6 address is asked for by its own attribute."""
    client = TurnClient(
        "u", "p", SeededEntropy(1), transport=RelayTransport.UDP, family=Family.IPV6
    )
    server = Server(client)
    server.take(client.start(0.0))
    assert server.requests[0].attributes == {
        "REQUESTED-TRANSPORT": 17 << 24,
        "REQUESTED-ADDRESS-FAMILY": 2 << 24,
    }


def test_refreshes() -> None:
    """A minute before the end, with whatever nonce is in force by then."""
    server = allocated()
    server.wait(539.9)
    assert len(server.requests) == 2
    server.wait(540.0)
    assert server.requests[-1].method is Method.REFRESH
    server.challenge(b"n2", code=438)
    assert server.requests[-1].attributes["NONCE"] == b"n2"
    server.answer(LIFETIME=600)
    server.wait(540.0 + 539.9)
    assert len(server.requests) == 4
    server.wait(540.0 + 540.0)
    assert server.refuse(437, "Allocation Mismatch")[0].__class__ is TurnFailed
    assert server.client.next_deadline() is None


def test_permissions_are_refreshed() -> None:
    """One for each IP address of a peer, every four minutes."""
    server = allocated()
    server.take(server.client.permit(PEER, 0.0))
    server.take(server.client.permit(PEER._replace(port=1), 0.0))
    assert server.requests[-1].method is Method.CREATE_PERMISSION
    assert server.requests[-1].attributes["XOR-PEER-ADDRESS"] == PEER
    assert len(server.requests) == 3
    assert server.answer() == [Permitted(PEER)]
    server.wait(PERMISSION_REFRESH)
    assert len(server.requests) == 4
    (refused,) = server.refuse(403, "Forbidden")
    assert isinstance(refused, PermissionRefused)
    assert str(refused.error) == "the TURN server refuses: 403 Forbidden"


def test_permissions_are_bounded() -> None:
    """A peer with too many addresses gets those that fit."""
    server = allocated()
    for last in range(PERMISSIONS_MAX + 9):
        server.take(server.client.permit(Address(bytes([1, 2, 3, last]), 1), 0.0))
    assert len(server.requests) == 2 + PERMISSIONS_MAX


def test_connections_of_peers() -> None:
    """The server reports one, and it is bound by another connection of ours."""
    server = allocated(is_stream=True)
    attempt = Message(
        Method.CONNECTION_ATTEMPT,
        Class.INDICATION,
        bytes(12),
        {"CONNECTION-ID": 7, "XOR-PEER-ADDRESS": PEER},
    )
    data = stun.encode(attempt)
    assert server.give(data[:9]) == []
    assert server.give(data[9:]) == [PeerConnected(7, PEER)]

    binding = server.client.binding(7)
    request = stun.decode(binding.start(0.0)[0].data)
    assert request.attributes["CONNECTION-ID"] == 7
    assert request.is_signed_with(KEY)
    stale = Message(
        Method.CONNECTION_BIND,
        Class.ERROR,
        request.transaction,
        {"ERROR-CODE": (438, "Stale"), "NONCE": b"n9", "REALM": "realm"},
    )
    (again,) = binding.receive(stun.encode(stale), 0.0)
    second = stun.decode(again.data)
    assert second.attributes["NONCE"] == b"n9"
    assert second.transaction != request.transaction
    good = stun.encode(Message(Method.CONNECTION_BIND, Class.SUCCESS, second.transaction), key=KEY)
    assert binding.receive(good[:5], 0.0) == []
    assert binding.receive(good[5:] + b"first words", 0.0) == []
    assert binding.is_bound
    assert binding.left == b"first words"


def test_a_binding_that_fails() -> None:
    """Refused, forged or garbage: an error, never an exception."""
    server = allocated()
    for bad in (b"\xff" * 40, b"\0\x01\0\0" + bytes(16)):
        binding = server.client.binding(1)
        binding.start(0.0)
        binding.receive(bad, 0.0)
        assert isinstance(binding.error, TurnLostError)
    binding = server.client.binding(1)
    request = stun.decode(binding.start(0.0)[0].data)
    refused = Message(
        Method.CONNECTION_BIND, Class.ERROR, request.transaction, {"ERROR-CODE": (447, "gone")}
    )
    binding.receive(stun.encode(refused), 0.0)
    assert isinstance(binding.error, TurnRefusedError)
    assert binding.error.code == 447


def test_connecting_to_a_peer() -> None:
    """The server connects for us, or says that it cannot."""
    server = allocated()
    server.take(server.client.connect(PEER, 0.0))
    assert server.requests[-1].method is Method.CONNECT
    assert server.answer(CONNECTION_ID=9) == [PeerConnected(9, PEER)]
    server.take(server.client.connect(PEER, 0.0))
    (refused,) = server.refuse(447, "Connection Timeout or Failure")
    assert isinstance(refused, ConnectRefused)
    server.take(server.client.connect(PEER, 0.0))
    (refused,) = server.answer()
    assert isinstance(refused, ConnectRefused)


@pytest.mark.parametrize("is_stream", [True, False])
def test_datagrams(is_stream: bool) -> None:
    """By indications at first, by four bytes once a channel is bound."""
    server = allocated(RelayTransport.UDP, is_stream=is_stream)
    client = server.client
    server.take(client.send(b"hello", PEER, 0.0))
    sent = server.requests[-1]
    assert (sent.method, sent.kind) == (Method.SEND, Class.INDICATION)
    assert sent.attributes == {"XOR-PEER-ADDRESS": PEER, "DATA": b"hello"}

    server.take(client.bind_channel(PEER, 0.0))
    server.take(client.bind_channel(PEER, 0.0))
    assert server.requests[-1].attributes["CHANNEL-NUMBER"] == 0x4000
    server.answer()

    framed = channel_data(0x4000, b"hello", is_padded=is_stream)
    assert client.send(b"hello", PEER, 0.0) == [SendToServer(framed)]
    assert server.give(framed) == [PeerSent(b"hello", PEER)]
    assert server.give(channel_data(0x4001, b"who", is_padded=is_stream)) == []
    data = Message(
        Method.DATA, Class.INDICATION, bytes(12), {"XOR-PEER-ADDRESS": PEER, "DATA": b"x"}
    )
    assert server.give(stun.encode(data)) == [PeerSent(b"x", PEER)]
    server.wait(539.0)
    asked = len(server.requests)
    server.wait(540.0)
    assert {each.method for each in server.requests[asked:]} == {
        Method.CHANNEL_BIND,
        Method.REFRESH,
    }


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (486, TurnQuotaError),
        (508, TurnQuotaError),
        (403, TurnRefusedError),
        (300, TurnRefusedError),
    ],
)
def test_refusals(code: int, kind: type[Exception]) -> None:
    """Each has its own error."""
    server = make()
    server.take(server.client.start(0.0))
    (failed,) = server.refuse(code, "no")
    assert isinstance(failed, TurnFailed)
    assert type(failed.error) is kind
    assert server.client.is_over


def test_a_wrong_password() -> None:
    """The same challenge again: it is our credentials; and no server can keep us asking."""
    server = make()
    server.take(server.client.start(0.0))
    server.challenge()
    (failed,) = server.challenge()
    assert isinstance(failed, TurnFailed)
    assert isinstance(failed.error, TurnCredentialsError)

    server = make()
    server.take(server.client.start(0.0))
    for number in range(20):
        server.challenge(b"n%d" % number)
    assert len(server.requests) == 4
    assert len(server.events) == 1


def test_a_silent_server() -> None:
    """Repeated, then given up after half a minute at most."""
    server = make()
    server.take(server.client.start(0.0))
    (failed,) = server.wait(30.0)
    assert isinstance(failed, TurnFailed)
    assert isinstance(failed.error, TurnUnreachableError)
    assert len({each.transaction for each in server.requests}) == 1
    assert len(server.requests) == 5


def test_a_lost_server() -> None:
    """Before the allocation it was not reached, afterwards it was lost."""
    server = make()
    server.take(server.client.start(0.0))
    (failed,) = server.take(server.client.server_lost(0.0))
    assert isinstance(failed, TurnFailed)
    assert isinstance(failed.error, TurnUnreachableError)
    server = allocated()
    (failed,) = server.take(server.client.server_lost(0.0))
    assert isinstance(failed, TurnFailed)
    assert isinstance(failed.error, TurnLostError)
    assert server.take(server.client.server_lost(0.0)) == []


def test_closing_gives_the_allocation_back() -> None:
    """A refresh with no lifetime, and silence."""
    server = allocated()
    server.take(server.client.close(0.0))
    assert server.requests[-1].method is Method.REFRESH
    assert server.requests[-1].attributes["LIFETIME"] == 0
    assert server.client.close(0.0) == []
    assert server.client.send(b"x", PEER, 0.0) == []
    assert server.client.receive(b"x", 0.0) == []
    assert make().client.close(0.0) == []


def test_what_is_not_believed() -> None:
    """Unsigned success, answers to nothing, another method, garbage: counted and dropped."""
    server = allocated()
    server.take(server.client.permit(PEER, 0.0))
    request = server.requests[-1]
    unsigned = Message(request.method, Class.SUCCESS, request.transaction)
    assert server.give(stun.encode(unsigned)) == []
    other = Message(Method.REFRESH, Class.SUCCESS, request.transaction)
    assert server.give(stun.encode(other, key=KEY)) == []
    unasked = Message(request.method, Class.SUCCESS, bytes(12))
    assert server.give(stun.encode(unasked, key=KEY)) == []
    assert server.client.stats.unsolicited == 3
    assert server.give(b"garbage") == []
    assert server.give(stun.encode(Message(Method.DATA, Class.INDICATION, bytes(12)))) == []
    assert server.client.stats.malformed == 2


def test_a_stream_that_is_no_turn() -> None:
    """There is no way to find the next packet: the allocation is lost."""
    server = allocated(is_stream=True)
    (failed,) = server.give(b"\x90\x00\x00\x00")
    assert isinstance(failed, TurnFailed)
    assert isinstance(failed.error, TurnLostError)


def test_an_allocation_without_address() -> None:
    """A success that says nothing is none."""
    server = make()
    server.take(server.client.start(0.0))
    server.challenge()
    (failed,) = server.answer()
    assert isinstance(failed, TurnFailed)


@given(st.lists(st.binary(max_size=60), max_size=5), st.booleans())
def test_any_bytes(pieces: list[bytes], is_stream: bool) -> None:
    """Whatever a server sends, nothing raises."""
    server = allocated(is_stream=is_stream)
    for piece in pieces:
        server.client.receive(piece, 1.0)
        server.client.receive(stun.COOKIE + piece, 1.0)
        server.client.receive(b"\x01\x03\x00\x04" + stun.COOKIE + piece, 1.0)
