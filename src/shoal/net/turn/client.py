"""One allocation on a TURN server: RFC 8656 for UDP, RFC 6062 for TCP.

Theory of operation. The owner carries bytes between this engine and the server, by datagrams or on
one TCP connection. A first Allocate is answered by a challenge, the second by the relayed address.
Then the allocation, each permission and each channel are refreshed before they lapse. Requests are
independent of one another: each is repeated until answered, and asked again with a new nonce when
the server wants one.

For a TCP allocation, the server reports each connection of a permitted peer, and makes connections
for us; each waits at the server for a second connection of ours, on which `ConnectionBinding`
speaks first.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from shoal.core import Address, DecodeError, Family
from shoal.core.records import dataclass
from shoal.net import stun
from shoal.net.stun import TRANSACTION_ID_LENGTH, Class, Message, Method
from shoal.net.transactions import Transaction
from shoal.net.turn.authentication import CHALLENGES_MAX, UNAUTHENTICATED, Authentication
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
    TurnError,
    TurnLostError,
    TurnQuotaError,
    TurnRefusedError,
    TurnUnreachableError,
)
from shoal.net.turn.packets import PacketSplitter, channel_data, channel_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shoal.core import Entropy

LIFETIME: Final = 600.0  # seconds, RFC 8656 section 3.2: the default
PERMISSION_REFRESH: Final = 240.0  # seconds: RFC 8656 section 9's lifetime of 300 less one minute
CHANNEL_REFRESH: Final = 540.0  # seconds: RFC 8656 section 12's lifetime of 600 less one minute
REFRESH_MARGIN: Final = 60.0  # seconds before the end, RFC 8656 section 8: about one minute
LIFETIME_MIN: Final = 20.0  # ours: a server that grants less would have us refresh without end
FIRST_CHANNEL: Final = 0x4000  # RFC 8656 section 12: 0x4000 to 0x4FFF
SENDS_MAX: Final = 5  # ours: a server is given up after 16 s, before the peer's patience ends

# Bounds, ours: what one ICE session can need, twice over.
PERMISSIONS_MAX: Final = 64
CHANNELS_MAX: Final = 64
REQUESTS_MAX: Final = 192

ALLOCATION_QUOTA: Final = 486  # RFC 8656 section 19
INSUFFICIENT_CAPACITY: Final = 508  # RFC 8656 section 19


class RelayTransport(enum.IntEnum):
    """What peers use to reach the relayed address: IANA protocol numbers."""

    TCP = 6
    UDP = 17


@dataclass(slots=True)
class TurnStats:
    """Each field says what one increment means."""

    malformed: int = 0  # something from the server that is neither STUN nor ChannelData
    unsolicited: int = 0  # a response to no request of ours, or not signed by the server
    refused: int = 0  # a request was answered by an error


_Answered: TypeAlias = Callable[[Message, float], list[Effect]]
_Refused: TypeAlias = Callable[[TurnError], list[Effect]]


@dataclass(slots=True)
class _Request:
    method: Method
    attributes: dict[str, object]
    transaction: Transaction
    answered: _Answered
    refused: _Refused
    challenges: int = 0


class TurnClient:
    """Gets and keeps one allocation."""

    def __init__(
        self,
        username: str,
        password: str,
        entropy: Entropy,
        *,
        transport: RelayTransport,
        family: Family = Family.IPV4,
        is_stream: bool = False,
    ) -> None:
        self.stats = TurnStats()
        self.relayed: Address | None = None
        self.is_over = False
        self._authentication = Authentication(username, password)
        self._entropy = entropy
        self._transport = transport
        self._family = family
        self._packets = PacketSplitter() if is_stream else None
        self._requests: dict[bytes, _Request] = {}
        self._refresh_at = inf
        self._permissions: dict[bytes, float] = {}  # by peer IP: when to refresh
        self._channels: dict[Address, int] = {}  # once the server knows it
        self._channels_wanted: dict[Address, tuple[int, float]] = {}  # number, when to refresh
        self._peers: dict[int, Address] = {}

    # Commands

    def start(self, now: float) -> list[Effect]:
        """Ask for an allocation; `Allocated` or `TurnFailed` follows."""
        attributes: dict[str, object] = {"REQUESTED-TRANSPORT": self._transport << 24}
        if self._family is Family.IPV6:
            attributes["REQUESTED-ADDRESS-FAMILY"] = 2 << 24  # RFC 8656 section 18.2
        return self._ask(Method.ALLOCATE, attributes, self._allocated, self._fail, now)

    def permit(self, peer: Address, now: float) -> list[Effect]:
        """Let the IP address of *peer* reach us; refreshed until the end.

        `Permitted` or `PermissionRefused` follows, unless there is one or there are too many.
        """
        if self._has_no_room_for(peer.ip, self._permissions, PERMISSIONS_MAX):
            return []
        self._permissions[peer.ip] = inf
        return self._permit(peer, now)

    def connect(self, peer: Address, now: float) -> list[Effect]:
        """Let the server open a TCP connection to *peer* (RFC 6062 section 4.3).

        `PeerConnected` or `ConnectRefused` follows.
        """

        def connected(response: Message, now: float) -> list[Effect]:
            connection = response.attributes.get("CONNECTION-ID")
            if connection is None:
                return [ConnectRefused(peer, TurnLostError())]
            return [PeerConnected(connection, peer)]

        return self._ask(
            Method.CONNECT,
            {"XOR-PEER-ADDRESS": peer},
            connected,
            lambda error: [ConnectRefused(peer, error)],
            now,
        )

    def send(self, data: bytes, peer: Address, now: float) -> list[Effect]:
        """Send one datagram to *peer* from the relayed address."""
        if self.is_over:
            return []
        channel = self._channels.get(peer)
        if channel is not None:
            padded = self._packets is not None
            return [SendToServer(channel_data(channel, data, is_padded=padded))]
        message = Message(
            Method.SEND,
            Class.INDICATION,
            self._draw_id(),
            {"XOR-PEER-ADDRESS": peer, "DATA": data},
        )
        return [SendToServer(stun.encode(message))]

    def bind_channel(self, peer: Address, now: float) -> list[Effect]:
        """Use four bytes instead of 36 for each datagram with *peer* from soon on."""
        if self._has_no_room_for(peer, self._channels_wanted, CHANNELS_MAX):
            return []
        self._channels_wanted[peer] = FIRST_CHANNEL + len(self._channels_wanted), inf
        return self._bind_channel(peer, now)

    def binding(self, connection: int) -> ConnectionBinding:
        """Return the engine that binds a new connection to the server to *connection*."""
        return ConnectionBinding(self._authentication.copy(), connection, self._draw_id())

    def close(self, now: float) -> list[Effect]:
        """Give the allocation back; nothing else follows."""
        if self.is_over or self.relayed is None:
            self.is_over = True
            return []
        data = self._authentication.request(Method.REFRESH, self._draw_id(), {"LIFETIME": 0})
        self._end()
        return [SendToServer(data)]

    # Inputs

    def receive(self, data: bytes | memoryview, now: float) -> list[Effect]:
        """Take one datagram from the server, or bytes of the connection to it."""
        if self.is_over:
            return []
        if self._packets is None:
            return self._receive_packet(bytes(data), now)
        effects: list[Effect] = []
        try:
            for packet in self._packets.feed(data):
                if self.is_over:
                    break
                effects += self._receive_packet(packet, now)
        except DecodeError:
            self.stats.malformed += 1
            effects += self._fail(TurnLostError())
        return effects

    def server_lost(self, now: float) -> list[Effect]:
        """Learn that the server cannot be reached, or not any more."""
        if self.is_over:
            return []
        return self._fail(TurnUnreachableError() if self.relayed is None else TurnLostError())

    def next_deadline(self) -> float | None:
        """When something is to be repeated, refreshed or given up."""
        if self.is_over:
            return None
        earliest = min(
            self._refresh_at,
            *(request.transaction.deadline for request in self._requests.values()),
            *self._permissions.values(),
            *(moment for _, moment in self._channels_wanted.values()),
            inf,
        )
        return None if earliest == inf else earliest

    def advance(self, now: float) -> list[Effect]:
        """Repeat, refresh and give up what is due."""
        effects: list[Effect] = []
        for request in list(self._requests.values()):
            if request.transaction.advance(now):
                effects.append(SendToServer(request.transaction.data))
            elif request.transaction.is_expired and request.transaction.id in self._requests:
                del self._requests[request.transaction.id]
                effects += request.refused(TurnUnreachableError())
        if self.is_over:
            return effects
        if now >= self._refresh_at:
            self._refresh_at = inf
            attributes: dict[str, object] = {"LIFETIME": int(LIFETIME)}
            effects += self._ask(Method.REFRESH, attributes, self._refreshed, self._fail, now)
        for ip, moment in self._permissions.items():
            if now >= moment:
                self._permissions[ip] = inf
                effects += self._permit(Address(ip, 0), now)
        for peer, (number, moment) in self._channels_wanted.items():
            if now >= moment:
                self._channels_wanted[peer] = number, inf
                effects += self._bind_channel(peer, now)
        return effects

    # Packets

    def _receive_packet(self, packet: bytes, now: float) -> list[Effect]:
        if (channel := channel_of(packet)) is not None:
            number, data = channel
            if (peer := self._peers.get(number)) is not None:
                return [PeerSent(data, peer)]
            self.stats.unsolicited += 1
            return []
        try:
            message = stun.decode(packet)
        except DecodeError:
            self.stats.malformed += 1
            return []
        return self._receive_message(message, now)

    def _receive_message(self, message: Message, now: float) -> list[Effect]:
        if message.kind is Class.INDICATION:
            return self._indicated(message)
        request = self._requests.get(message.transaction)
        if (
            request is None
            or request.method is not message.method
            or message.kind is Class.REQUEST
            or not self._authentication.is_genuine(message)
        ):
            self.stats.unsolicited += 1
            return []
        del self._requests[message.transaction]
        if message.kind is Class.SUCCESS:
            return request.answered(message, now)
        return self._refuse(request, message, now)

    def _indicated(self, message: Message) -> list[Effect]:
        peer = message.attributes.get("XOR-PEER-ADDRESS")
        if message.method is Method.DATA and peer is not None and "DATA" in message.attributes:
            return [PeerSent(message.attributes["DATA"], peer)]
        connection = message.attributes.get("CONNECTION-ID")
        if message.method is Method.CONNECTION_ATTEMPT and peer is not None:
            return [] if connection is None else [PeerConnected(connection, peer)]
        self.stats.malformed += 1
        return []

    def _refuse(self, request: _Request, response: Message, now: float) -> list[Effect]:
        """Ask again with what the server wants to see, or give up."""
        code, reason = response.error
        if request.challenges < CHALLENGES_MAX and self._authentication.take_challenge(response):
            again = self._ask(
                request.method, request.attributes, request.answered, request.refused, now
            )
            self._requests[next(reversed(self._requests))].challenges = request.challenges + 1
            return again
        self.stats.refused += 1
        if code == UNAUTHENTICATED:
            return request.refused(TurnCredentialsError())
        if code in {ALLOCATION_QUOTA, INSUFFICIENT_CAPACITY}:
            return request.refused(TurnQuotaError())
        return request.refused(TurnRefusedError(code, reason))

    # Requests

    def _ask(
        self,
        method: Method,
        attributes: dict[str, object],
        answered: _Answered,
        refused: _Refused,
        now: float,
    ) -> list[Effect]:
        if self.is_over or len(self._requests) >= REQUESTS_MAX:
            return []
        transaction_id = self._draw_id()
        data = self._authentication.request(method, transaction_id, attributes)
        transaction = Transaction(transaction_id, data, now, SENDS_MAX)
        self._requests[transaction_id] = _Request(
            method, attributes, transaction, answered, refused
        )
        return [SendToServer(data)]

    def _allocated(self, response: Message, now: float) -> list[Effect]:
        relayed = response.attributes.get("XOR-RELAYED-ADDRESS")
        if relayed is None:
            return self._fail(TurnLostError())
        self.relayed = relayed
        self._schedule_refresh(response, now)
        return [Allocated(relayed, response.attributes.get("XOR-MAPPED-ADDRESS"))]

    def _refreshed(self, response: Message, now: float) -> list[Effect]:
        self._schedule_refresh(response, now)
        return []

    def _schedule_refresh(self, response: Message, now: float) -> None:
        lifetime = max(LIFETIME_MIN, float(response.attributes.get("LIFETIME", LIFETIME)))
        self._refresh_at = now + max(lifetime - REFRESH_MARGIN, lifetime / 2)

    def _permit(self, peer: Address, now: float) -> list[Effect]:
        def permitted(response: Message, now: float) -> list[Effect]:
            self._permissions[peer.ip] = now + PERMISSION_REFRESH
            return [Permitted(peer)]

        def refused(error: TurnError) -> list[Effect]:
            del self._permissions[peer.ip]
            return [PermissionRefused(peer, error)]

        attributes: dict[str, object] = {"XOR-PEER-ADDRESS": peer}
        return self._ask(Method.CREATE_PERMISSION, attributes, permitted, refused, now)

    def _bind_channel(self, peer: Address, now: float) -> list[Effect]:
        number, _ = self._channels_wanted[peer]

        def bound(response: Message, now: float) -> list[Effect]:
            self._channels[peer] = number
            self._peers[number] = peer
            self._channels_wanted[peer] = number, now + CHANNEL_REFRESH
            return []

        def refused(error: TurnError) -> list[Effect]:
            self._channels.pop(peer, None)  # indications go on; the number stays taken
            return []

        attributes: dict[str, object] = {"CHANNEL-NUMBER": number, "XOR-PEER-ADDRESS": peer}
        return self._ask(Method.CHANNEL_BIND, attributes, bound, refused, now)

    def _has_no_room_for(self, key: object, table: Mapping[Any, object], limit: int) -> bool:
        return self.is_over or key in table or len(table) >= limit

    def _fail(self, error: TurnError) -> list[Effect]:
        if self.is_over:
            return []
        self._end()
        return [TurnFailed(error)]

    def _end(self) -> None:
        self.is_over = True
        self._requests.clear()
        self._permissions.clear()
        self._channels_wanted.clear()

    def _draw_id(self) -> bytes:
        return self._entropy.token_bytes(TRANSACTION_ID_LENGTH)


class ConnectionBinding:
    """The first words on a second connection to the server (RFC 6062 section 4.3).

    Once `is_bound`, what arrives is the peer's, from `left` on.
    """

    def __init__(self, authentication: Authentication, connection: int, seed: bytes) -> None:
        self.is_bound = False
        self.error: TurnError | None = None
        self.left = b""
        self._authentication = authentication
        self._connection = connection
        self._id = seed
        self._challenges = 0
        self._begun = b""

    def start(self, now: float) -> list[SendToServer]:
        """Ask for the connection."""
        attributes = {"CONNECTION-ID": self._connection}
        data = self._authentication.request(Method.CONNECTION_BIND, self._id, attributes)
        return [SendToServer(data)]

    def receive(self, data: bytes | memoryview, now: float) -> list[SendToServer]:
        """Take what the server says; look at `is_bound` and `error` afterwards."""
        self._begun += data
        begun = self._begun
        if len(begun) < stun.HEADER_LENGTH:
            return []
        length = stun.HEADER_LENGTH + int.from_bytes(begun[2:4])
        if len(begun) < length and begun[4:8] == stun.COOKIE:
            return []
        try:
            message = stun.decode(begun[:length])
        except DecodeError:
            self.error = TurnLostError()
            return []
        self._begun = begun[length:]
        if message.transaction != self._id or not self._authentication.is_genuine(message):
            self.error = TurnLostError()
        elif message.kind is Class.SUCCESS:
            self.is_bound = True
            self.left, self._begun = self._begun, b""
        elif self._challenges < CHALLENGES_MAX and self._authentication.take_challenge(message):
            self._challenges += 1
            self._id = _next_id(self._id)
            return self.start(now)
        else:
            self.error = TurnRefusedError(*message.error)
        return []


def _next_id(transaction_id: bytes) -> bytes:
    """Return another id, as hard to guess as the first."""
    number = int.from_bytes(transaction_id) + 1
    return (number % (1 << 8 * TRANSACTION_ID_LENGTH)).to_bytes(TRANSACTION_ID_LENGTH)
