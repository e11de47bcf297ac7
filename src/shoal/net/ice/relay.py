"""Relayed candidates: one allocation on a TURN server, and the links through it.

TCP   control link ── TurnClient ── PeerConnected ──► second link ── ConnectionBinding ──► a
      link like any accepted one
UDP   socket ── TurnClient ── datagrams of peers

A relay shuts out a peer that calls before its answer has come to us, and Jami 13.7 does. Whatever
then comes from the address that shut it out, 13.7 answers on the connection that was refused. So a
peer that stays silent on a TCP relay is called once more from a second address: the side door.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final, Protocol, assert_never

from shoal.net.ice.candidates import Transport
from shoal.net.turn.client import RelayTransport, TurnClient
from shoal.net.turn.effects import (
    Allocated,
    ConnectRefused,
    PeerConnected,
    PeerSent,
    PermissionRefused,
    Permitted,
    SendToServer,
    TurnFailed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shoal.core import Address
    from shoal.net.ice.candidates import Candidate
    from shoal.net.ice.config import TurnServer
    from shoal.net.ice.context import Context, Socket
    from shoal.net.turn.client import ConnectionBinding
    from shoal.net.turn.effects import Effect

RELAYED_LINKS_MAX: Final = 16  # at once per allocation, ours: more than a peer has addresses
SIDE_DOOR_WAIT: Final = 1.0  # seconds, ours: a round trip through the relay takes less


class RelayUser(Protocol):
    """Who wants to know of a relay."""

    def allocated(self, relay: Relay, mapped: Address | None, now: float) -> None:
        """The relay has an address, and the server sees us under *mapped*."""

    def relay_failed(self, relay: Relay, now: float) -> None:
        """The relay has no address, or no longer."""

    def relayed_link(self, relay: Relay, link: int, peer: Address, left: bytes, now: float) -> None:
        """A *link* with *peer* through the relay is there; *left* already came on it."""

    def relayed_connect_failed(self, relay: Relay, peer: Address, reason: str, now: float) -> None:
        """The server could not connect to *peer*."""

    def relayed_datagram(self, relay: Relay, data: bytes, peer: Address, now: float) -> None:
        """*peer* sent a datagram to the relay."""


class Relay:
    """One allocation. Owns the control link, or shares a UDP socket."""

    def __init__(
        self,
        context: Context,
        user: RelayUser,
        server: TurnServer,
        addr: Address,
        component: int,
        socket: Socket | None,
    ) -> None:
        transport = RelayTransport.TCP if socket is None else RelayTransport.UDP
        self.server = server
        self.server_addr = addr
        self.component = component
        self.socket = socket  # None over TCP
        self.candidate: Candidate | None = None
        self.client = TurnClient(
            server.username,
            server.password,
            context.entropy,
            transport=transport,
            family=addr.family,
            is_stream=socket is None,
        )
        self._context = context
        self._user = user
        self.control_link: int | None = None
        self._pending = 0
        self._called: dict[Address, float] = {}  # peers, and when to try the side door
        self._side_door: _SideDoor | None = None

    @property
    def transport(self) -> Transport:
        """What peers use to reach it."""
        return Transport.TCP if self.socket is None else Transport.UDP

    # Commands

    def start(self, now: float) -> None:
        """Get an address."""
        if self.socket is None:
            self.control_link = self._context.connect(self, None, self.server_addr)
        else:
            self._apply(self.client.start(now), now)

    def permit(self, peers: Sequence[Address], now: float) -> None:
        """Let the IP addresses of *peers* in."""
        for peer in peers:
            if peer.family is self.server_addr.family:
                self._apply(self.client.permit(peer, now), now)

    def connect(self, peer: Address, now: float) -> None:
        """Let the server connect to *peer*, soon through the side door too."""
        self.call(peer, now)
        self._called.setdefault(peer, now + SIDE_DOOR_WAIT)

    def call(self, peer: Address, now: float) -> None:
        """Let the server connect to *peer* from this address alone."""
        self._apply(self.client.connect(peer, now), now)

    def send(self, data: bytes, peer: Address, now: float) -> None:
        """Send a datagram to *peer*."""
        self._apply(self.client.send(data, peer, now), now)

    def bind_channel(self, peer: Address, now: float) -> None:
        """Save bytes on datagrams with *peer*."""
        self._apply(self.client.bind_channel(peer, now), now)

    def close(self, now: float) -> None:
        """Give the address back."""
        self._apply(self.client.close(now), now)
        self._context.close_link(self.control_link)
        self._close_side_door(now)

    def trim(self, is_used: Callable[[int], bool], now: float) -> set[int]:
        """Call nobody else; return the control links that the links of which *is_used* need."""
        self._called.clear()
        controls = {self.control_link}
        if self._side_door is not None:
            if any(is_used(link) for link in self._side_door.links):
                controls.add(self._side_door.relay.control_link)
            else:
                self._close_side_door(now)
        return {link for link in controls if link is not None}

    def receive_datagram(self, data: bytes, now: float) -> None:
        """Take a datagram from the server."""
        self._apply(self.client.receive(data, now), now)

    def next_deadline(self) -> float:
        """When `wake` has something to do."""
        deadline = min(self._called.values(), default=inf)
        if (moment := self.client.next_deadline()) is not None:
            deadline = min(deadline, moment)
        if self._side_door is not None:
            deadline = min(deadline, self._side_door.relay.next_deadline())
        return deadline

    def wake(self, now: float) -> None:
        """Do it."""
        self._apply(self.client.advance(now), now)
        if self._side_door is not None:
            self._side_door.relay.wake(now)
        for peer in [peer for peer, due in self._called.items() if due <= now]:
            self._called[peer] = inf
            if self._side_door is None:
                self._side_door = _SideDoor(self._context, self, self._user)
                self._side_door.relay.start(now)
            self._side_door.call(peer, now)

    # The control link

    def opened(self, local: Address, remote: Address, now: float) -> None:
        """Ask for the allocation."""
        self._apply(self.client.start(now), now)

    def received(self, data: bytes | memoryview, now: float) -> None:
        """Take what the server says."""
        self._apply(self.client.receive(data, now), now)

    def ended(self, now: float) -> None:
        """The server hung up."""
        self._context.close_link(self.control_link)
        self.lost("closed by the TURN server", now)

    def lost(self, reason: str, now: float) -> None:
        """The server cannot be reached."""
        self._apply(self.client.server_lost(now), now)

    # Inside

    def _close_side_door(self, now: float) -> None:
        self._called.clear()
        if self._side_door is not None:
            self._side_door.relay.close(now)
            self._side_door = None

    def link_over(self) -> None:
        """A second link has been bound or has failed."""
        self._pending -= 1

    def _apply(self, effects: Sequence[Effect], now: float) -> None:
        for effect in effects:
            match effect:
                case SendToServer(data):
                    self._send_to_server(data)
                case Allocated(_, mapped):
                    self._user.allocated(self, mapped, now)
                case TurnFailed():
                    self._context.close_link(self.control_link)
                    self._close_side_door(now)
                    self._user.relay_failed(self, now)
                case PeerConnected(connection, peer):
                    self._bind(connection, peer)
                case ConnectRefused(peer, error):
                    self._user.relayed_connect_failed(self, peer, str(error), now)
                case PeerSent(data, peer):
                    self._user.relayed_datagram(self, data, peer, now)
                case Permitted() | PermissionRefused():
                    pass  # a peer that is not let in does not connect: its pairs fail by themselves
                case _:
                    assert_never(effect)

    def _send_to_server(self, data: bytes) -> None:
        if self.socket is not None:
            self._context.send_from(self.socket.number, data, self.server_addr)
        elif self.control_link is not None:
            self._context.write(self.control_link, data)

    def _bind(self, connection: int, peer: Address) -> None:
        if self._pending >= RELAYED_LINKS_MAX:
            self._context.stats.refused_links += 1
            return
        self._pending += 1
        binding = self.client.binding(connection)
        waiting = _BindingLink(self._context, self, self._user, binding, peer)
        waiting.link = self._context.connect(waiting, None, self.server_addr)


class _BindingLink:
    """A second link to the server until it is the peer's."""

    def __init__(
        self,
        context: Context,
        relay: Relay,
        user: RelayUser,
        binding: ConnectionBinding,
        peer: Address,
    ) -> None:
        self.link = 0
        self._context = context
        self._relay = relay
        self._user = user
        self._binding = binding
        self._peer = peer

    def opened(self, local: Address, remote: Address, now: float) -> None:
        """Say which connection this is for."""
        for effect in self._binding.start(now):
            self._context.write(self.link, effect.data)

    def received(self, data: bytes | memoryview, now: float) -> None:
        """Wait for the server's word, then hand the link over."""
        for effect in self._binding.receive(data, now):
            self._context.write(self.link, effect.data)
        if self._binding.is_bound:
            self._relay.link_over()
            self._user.relayed_link(self._relay, self.link, self._peer, self._binding.left, now)
        elif self._binding.error is not None:
            self._context.close_link(self.link)
            self.lost(str(self._binding.error), now)

    def ended(self, now: float) -> None:
        """The server hung up."""
        self._context.close_link(self.link)
        self.lost("closed by the TURN server", now)

    def lost(self, reason: str, now: float) -> None:
        """No connection with the peer this time."""
        self._relay.link_over()
        self._user.relayed_connect_failed(self._relay, self._peer, reason, now)


class _SideDoor:
    """A second allocation on the same server, for peers that do not hear us from the first."""

    def __init__(self, context: Context, main: Relay, user: RelayUser) -> None:
        self.relay = Relay(
            context, self, main.server, main.server_addr, main.component, socket=None
        )
        self.links: list[int] = []
        self._main = main
        self._user = user
        self._peers: list[Address] = []

    def call(self, peer: Address, now: float) -> None:
        """Let the server connect to *peer*, as soon as there is an address."""
        self._peers.append(peer)
        if self.relay.client.relayed is not None:
            self._call_all(now)

    def allocated(self, relay: Relay, mapped: Address | None, now: float) -> None:
        """Call those who wait."""
        self._call_all(now)

    def relay_failed(self, relay: Relay, now: float) -> None:
        """Nothing is lost: the first address goes on."""

    def relayed_link(self, relay: Relay, link: int, peer: Address, left: bytes, now: float) -> None:
        """Hand it over as one of the relay that has this door."""
        self.links.append(link)
        self._user.relayed_link(self._main, link, peer, left, now)

    def relayed_connect_failed(self, relay: Relay, peer: Address, reason: str, now: float) -> None:
        """The first address has been no better."""

    def relayed_datagram(self, relay: Relay, data: bytes, peer: Address, now: float) -> None:
        """Nothing comes over a TCP allocation."""

    def _call_all(self, now: float) -> None:
        peers, self._peers = self._peers, []
        for peer in peers:
            self.relay.permit([peer], now)
            self.relay.call(peer, now)
