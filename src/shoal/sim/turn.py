"""A TURN server in virtual time (RFC 8656, RFC 6062): what coturn does, as far as clients see it.

It is an opponent for our clients: it challenges, lets nonces go stale, honours permissions and
lifetimes, and can be told to misbehave.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from shoal.core import Address, DecodeError
from shoal.core.records import dataclass
from shoal.net import stun
from shoal.net.turn import PacketSplitter, channel_data, channel_of
from shoal.sim.hosts import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shoal.sim.hosts import Host
    from shoal.sim.tcp import End, Tcp

PORT: Final = 3478  # RFC 8656 section 7
REALM: Final = "sim"
LIFETIME: Final = 600.0  # seconds, RFC 8656 section 3.2
PERMISSION_LIFETIME: Final = 300.0  # seconds, RFC 8656 section 9
FIRST_RELAYED_PORT: Final = 50_000  # ours
BIND_TIME: Final = 30.0  # seconds for a ConnectionBind, RFC 6062 section 5.4

_TCP: Final = 6  # IANA protocol number


@dataclass(slots=True, eq=False)
class _Client:
    """Whoever speaks to the server, by datagrams from one address or on one connection."""

    send: Callable[[bytes], None]
    addr: Address
    end: End | None = None
    splitter: PacketSplitter = field(default_factory=PacketSplitter)
    allocation: _Allocation | None = None
    bridge: End | None = None  # once it is a second connection, bound to a peer


@dataclass(slots=True, eq=False)
class _Allocation:
    client: _Client
    relayed: Address
    expires: float
    close: Callable[[], None]
    permissions: dict[bytes, float] = field(default_factory=dict)
    channels: dict[int, Address] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Waiting:
    """A connection with a peer that no client has bound yet."""

    end: End
    held: list[bytes] = field(default_factory=list)
    bound: _Client | None = None


class TurnServer:
    """A server on one public host."""

    def __init__(self, tcp: Tcp, host: Host, username: str, password: str) -> None:
        self.addr = Address(host.address.ip, PORT)
        self.allocations: dict[Address, _Allocation] = {}
        self.is_deaf = False  # if True, it takes everything and answers nothing
        self.nonce = b"first"
        self._tcp = tcp
        self._network = tcp.network
        self._host = host
        self._username = username
        key = f"{username}:{REALM}:{password}".encode()
        self._key = hashlib.md5(key, usedforsecurity=False).digest()
        self._ports = itertools.count(FIRST_RELAYED_PORT)
        self._connections = itertools.count(1)
        self._waiting: dict[int, _Waiting] = {}
        self._clients: dict[End, _Client] = {}
        self._peers: dict[End, _Waiting] = {}
        self._udp_clients: dict[Address, _Client] = {}
        self._endpoint = Endpoint(host, self.addr, self._realm)
        self._endpoint.realm.bind(self._endpoint)
        self._endpoint.receive = self._datagram
        tcp.listen(host, self.addr, self._accept)

    @property
    def _realm(self) -> Any:
        assert self._host.ipv4 is not None, "the server has IPv4"
        return self._host.ipv4.realm

    # Clients

    def _datagram(self, data: bytes, source: Address, now: float) -> Sequence[object]:
        client = self._udp_clients.get(source)
        if client is None:
            send = partial(self._send_datagram, source)
            client = self._udp_clients[source] = _Client(send, source)
        self._packet(client, data)
        return ()

    def _send_datagram(self, target: Address, data: bytes) -> None:
        self._network.send_from(self._endpoint, data, target)

    def _accept(self, end: End) -> TurnServer:
        self._clients[end] = _Client(end.write, end.remote, end)
        return self

    def opened(self, end: End) -> None:
        """A connection to a peer that a client wanted is there."""
        waiting = self._peers[end]
        assert waiting.bound is None, "nobody can have bound it"

    def received(self, end: End, data: bytes) -> None:
        """Take bytes of a client or of a peer."""
        if (waiting := self._peers.get(end)) is not None:
            if waiting.bound is None:
                waiting.held.append(data)
            else:
                waiting.bound.send(data)
            return
        client = self._clients[end]
        if client.bridge is not None:
            client.bridge.write(data)
            return
        try:
            for packet in client.splitter.feed(data):
                self._packet(client, packet)
        except DecodeError:
            end.close()

    def ended(self, end: End) -> None:
        """One side of something is over, so the other is."""
        end.close()
        if (waiting := self._peers.pop(end, None)) is not None:
            if waiting.bound is not None and waiting.bound.end is not None:
                waiting.bound.end.close()
            return
        client = self._clients.pop(end)
        if client.bridge is not None:
            client.bridge.close()
        if client.allocation is not None:
            self._free(client.allocation)

    def broken(self, end: End, reason: str) -> None:
        """The same, without good-bye."""
        self.ended(end)

    # Messages

    def _packet(self, client: _Client, packet: bytes) -> None:
        if self.is_deaf:
            return
        if (found := channel_of(packet)) is not None:
            allocation = client.allocation
            if allocation is not None and found[0] in allocation.channels:
                self._relay(allocation, allocation.channels[found[0]], found[1])
            return
        try:
            message = stun.decode(packet)
        except DecodeError:
            return
        if message.kind is stun.Class.REQUEST:
            self._request(client, message)
        elif message.method is stun.Method.SEND and client.allocation is not None:
            attributes = message.attributes
            self._relay(client.allocation, attributes["XOR-PEER-ADDRESS"], attributes["DATA"])

    def _request(self, client: _Client, message: stun.Message) -> None:
        if message.method is stun.Method.BINDING:
            self._answer(client, message, {"XOR-MAPPED-ADDRESS": client.addr})
            return
        if "USERNAME" not in message.attributes:
            self._refuse(client, message, 401, "Unauthorized")
        elif message.attributes.get("NONCE") != self.nonce:
            self._refuse(client, message, 438, "Stale Nonce")
        elif message.attributes["USERNAME"] != self._username or not message.is_signed_with(
            self._key
        ):
            self._refuse(client, message, 401, "Unauthorized")
        else:
            self._authorised(client, message)

    def _authorised(self, client: _Client, message: stun.Message) -> None:
        allocation = client.allocation
        match message.method:
            case stun.Method.ALLOCATE:
                self._allocate(client, message)
            case stun.Method.CONNECTION_BIND:
                self._bind(client, message)
            case _ if allocation is None:
                self._refuse(client, message, 437, "Allocation Mismatch")
            case stun.Method.REFRESH:
                lifetime = message.attributes.get("LIFETIME", LIFETIME)
                if lifetime == 0:
                    self._free(allocation)
                else:
                    allocation.expires = self._network.now + LIFETIME
                self._answer(client, message, {"LIFETIME": min(int(LIFETIME), lifetime)})
            case _ if (peer := message.attributes.get("XOR-PEER-ADDRESS")) is not None:
                self._about_peer(client, message, allocation, peer)
            case _:
                self._refuse(client, message, 400, "Bad Request")

    def _about_peer(
        self, client: _Client, message: stun.Message, allocation: _Allocation, peer: Address
    ) -> None:
        now = self._network.now
        match message.method:
            case stun.Method.CREATE_PERMISSION:
                allocation.permissions[peer.ip] = now + PERMISSION_LIFETIME
                self._answer(client, message, {})
            case stun.Method.CHANNEL_BIND:
                allocation.permissions[peer.ip] = now + PERMISSION_LIFETIME
                allocation.channels[message.attributes["CHANNEL-NUMBER"]] = peer
                self._answer(client, message, {})
            case stun.Method.CONNECT:
                self._connect(client, message, allocation, peer)
            case _:
                self._refuse(client, message, 400, "Bad Request")

    def _answer(
        self, client: _Client, request: stun.Message, attributes: dict[str, object]
    ) -> None:
        response = stun.Message(request.method, stun.Class.SUCCESS, request.transaction, attributes)
        key = None if request.method is stun.Method.BINDING else self._key
        client.send(stun.encode(response, key=key))

    def _refuse(self, client: _Client, request: stun.Message, code: int, reason: str) -> None:
        attributes: dict[str, object] = {"ERROR-CODE": (code, reason)}
        if code in {401, 438}:
            attributes |= {"REALM": REALM, "NONCE": self.nonce}
        client.send(
            stun.encode(
                stun.Message(request.method, stun.Class.ERROR, request.transaction, attributes)
            )
        )

    # Allocations

    def _allocate(self, client: _Client, message: stun.Message) -> None:
        if client.allocation is not None:
            self._refuse(client, message, 437, "Allocation Mismatch")
            return
        relayed = Address(self.addr.ip, next(self._ports))
        if message.attributes["REQUESTED-TRANSPORT"] >> 24 == _TCP:
            listening = self._tcp.listen(
                self._host, relayed, lambda end: self._accept_peer(relayed, end)
            )
            close = listening.close
        else:
            endpoint = Endpoint(self._host, relayed, self._realm)
            endpoint.realm.bind(endpoint)
            endpoint.receive = partial(self._peer_datagram, relayed)
            close = partial(self._unbind, endpoint)
        expires = self._network.now + LIFETIME
        allocation = _Allocation(client, relayed, expires, close)
        self.allocations[relayed] = client.allocation = allocation
        self._watch(allocation)
        self._answer(
            client,
            message,
            {
                "XOR-RELAYED-ADDRESS": relayed,
                "LIFETIME": int(LIFETIME),
                "XOR-MAPPED-ADDRESS": client.addr,
            },
        )

    def _watch(self, allocation: _Allocation) -> None:
        def look() -> None:
            if self.allocations.get(allocation.relayed) is not allocation:
                return
            if self._network.now >= allocation.expires:
                self._free(allocation)
            else:
                self._watch(allocation)

        self._network.call_at(allocation.expires, look)

    def _unbind(self, endpoint: Endpoint) -> None:
        del endpoint.realm.endpoints[endpoint.address]

    def _free(self, allocation: _Allocation) -> None:
        if self.allocations.pop(allocation.relayed, None) is not None:
            allocation.close()
            allocation.client.allocation = None
            for waiting in list(self._peers.values()):
                if waiting.end.local == allocation.relayed and waiting.bound is None:
                    waiting.end.close()

    def _permits(self, allocation: _Allocation | None, peer: Address) -> bool:
        return (
            allocation is not None and allocation.permissions.get(peer.ip, 0.0) > self._network.now
        )

    # Datagrams of peers

    def _peer_datagram(
        self, relayed: Address, data: bytes, source: Address, now: float
    ) -> Sequence[object]:
        allocation = self.allocations.get(relayed)
        if allocation is None or not self._permits(allocation, source):
            return ()
        for number, peer in allocation.channels.items():
            if peer == source:
                allocation.client.send(channel_data(number, data, is_padded=False))
                return ()
        attributes = {"XOR-PEER-ADDRESS": source, "DATA": data}
        message = stun.Message(stun.Method.DATA, stun.Class.INDICATION, bytes(12), attributes)
        allocation.client.send(stun.encode(message))
        return ()

    def _relay(self, allocation: _Allocation, peer: Address, data: bytes) -> None:
        if self._permits(allocation, peer):
            endpoint = self._realm.endpoints[allocation.relayed]
            self._network.send_from(endpoint, data, peer)

    # Connections of peers

    def _accept_peer(self, relayed: Address, end: End) -> TurnServer:
        allocation = self.allocations.get(relayed)
        self._peers[end] = _Waiting(end)
        if allocation is None or not self._permits(allocation, end.remote):
            del self._peers[end]
            self._clients[end] = _Client(end.write, end.remote, end)  # nobody: it hears nothing
            end.close()
            return self
        number = self._hold(self._peers[end])
        attributes = {"CONNECTION-ID": number, "XOR-PEER-ADDRESS": end.remote}
        message = stun.Message(
            stun.Method.CONNECTION_ATTEMPT, stun.Class.INDICATION, bytes(12), attributes
        )
        allocation.client.send(stun.encode(message))
        return self

    def _hold(self, waiting: _Waiting) -> int:
        number = next(self._connections)
        self._waiting[number] = waiting

        def give_up() -> None:
            if self._waiting.pop(number, None) is not None:
                self._peers.pop(waiting.end, None)
                waiting.end.close()

        self._network.call_at(self._network.now + BIND_TIME, give_up)
        return number

    def _connect(
        self, client: _Client, message: stun.Message, allocation: _Allocation, peer: Address
    ) -> None:
        user = _Outgoing(self, client, message)
        local = Address(allocation.relayed.ip, 0)
        self._tcp.connect(self._host, local, peer, user)

    def connected(self, client: _Client, request: stun.Message, end: End) -> _Waiting:
        """A connection that a client wanted is there."""
        waiting = self._peers[end] = _Waiting(end)
        self._answer(client, request, {"CONNECTION-ID": self._hold(waiting)})
        return waiting

    def not_connected(self, client: _Client, request: stun.Message) -> None:
        """A connection that a client wanted cannot be made."""
        self._refuse(client, request, 447, "Connection Timeout or Failure")

    def _bind(self, client: _Client, message: stun.Message) -> None:
        waiting = self._waiting.pop(message.attributes.get("CONNECTION-ID", 0), None)
        if waiting is None or client.end is None or not waiting.end.is_open:
            self._refuse(client, message, 400, "Bad Request")
            return
        self._answer(client, message, {})
        client.bridge = waiting.end
        waiting.bound = client
        for data in waiting.held:
            client.send(data)


class _Outgoing:
    """A connection that the server makes for a client."""

    def __init__(self, server: TurnServer, client: _Client, request: stun.Message) -> None:
        self._server = server
        self._client = client
        self._request = request

    def opened(self, end: End) -> None:
        """Tell the client."""
        self._server.connected(self._client, self._request, end)

    def received(self, end: End, data: bytes) -> None:
        """Hand it on."""
        self._server.received(end, data)

    def ended(self, end: End) -> None:
        """Hand it on."""
        self._server.ended(end)

    def broken(self, end: End, reason: str) -> None:
        """Tell the client, if it waits for it, or hand it on."""
        if end in self._server._peers:  # noqa: SLF001 - a part of it
            self._server.broken(end, reason)
        else:
            self._server.not_connected(self._client, self._request)
