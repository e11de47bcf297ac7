"""What the parts of one ICE engine share: effects on their way out, and what is open."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Protocol

from shoal.core.records import dataclass
from shoal.net.ice.effects import (
    CloseLink,
    CloseSocket,
    Connect,
    Effect,
    Listen,
    MapPort,
    SendFrom,
    UnmapPort,
    Write,
)
from shoal.net.stun import TRANSACTION_ID_LENGTH

if TYPE_CHECKING:
    from shoal.core import Address, Entropy
    from shoal.net.ice.candidates import Transport
    from shoal.net.ice.config import IceConfig
    from shoal.net.ice.errors import IceError


class LinkOwner(Protocol):
    """A part that a TCP link belongs to."""

    def opened(self, local: Address, remote: Address, now: float) -> None:
        """The link is there."""

    def received(self, data: bytes | memoryview, now: float) -> None:
        """Bytes came."""

    def ended(self, now: float) -> None:
        """The other side sends no more; the link is still open."""

    def lost(self, reason: str, now: float) -> None:
        """It could not be opened or it broke; it is gone."""


@dataclass(slots=True)
class Socket:
    """A socket that was ordered."""

    number: int
    local: Address
    transport: Transport
    component: int
    is_open: bool = False
    is_mapped: bool = False  # MapPort was ordered and not taken back
    external: Address | None = None  # what the router forwards to it
    seen: list[Address] = field(default_factory=list)  # UDP: how servers see it


@dataclass(slots=True)
class IceStats:
    """Each field says what one increment means."""

    malformed: int = 0  # a STUN message that could not be read
    unauthenticated: int = 0  # a check without our password
    unsolicited: int = 0  # a response to no check of ours
    unwanted_data: int = 0  # data from somebody who had not proved to be the peer
    refused_links: int = 0  # a connection closed because too many waited
    ignored_checks: int = 0  # a check of a peer that sends too many


class Context:
    """Hands out numbers, collects effects, and knows what has to be closed in the end."""

    def __init__(self, config: IceConfig, entropy: Entropy) -> None:
        self.config = config
        self.entropy = entropy
        self.stats = IceStats()
        self.out: list[Effect] = []
        self.links: dict[int, LinkOwner] = {}
        self.sockets: dict[int, Socket] = {}
        self.failure: IceError | None = None
        self.is_closed_by_peer = False
        self._numbers = 0

    def draw_transaction_id(self) -> bytes:
        """Return a new one."""
        return self.entropy.token_bytes(TRANSACTION_ID_LENGTH)

    def fail(self, error: IceError) -> None:
        """End the session once the current input has been dealt with; the first reason counts."""
        if self.failure is None:
            self.failure = error

    # Links

    def connect(self, owner: LinkOwner, local: Address | None, remote: Address) -> int:
        """Open a link for *owner*."""
        self._numbers += 1
        self.links[self._numbers] = owner
        self.out.append(Connect(self._numbers, local, remote))
        return self._numbers

    def write(self, link: int, data: bytes) -> None:
        """Write to a link, if it is still there."""
        if link in self.links:
            self.out.append(Write(link, data))

    def close_link(self, link: int | None) -> None:
        """Close a link, if it is still there; its owner hears no more of it."""
        if link is not None and self.links.pop(link, None) is not None:
            self.out.append(CloseLink(link))

    def refuse_link(self, link: int) -> None:
        """Close a link that somebody opened and nobody wants."""
        self.stats.refused_links += 1
        self.links.pop(link, None)
        self.out.append(CloseLink(link))

    # Sockets

    def listen(self, local: Address, transport: Transport, component: int) -> None:
        """Order a socket."""
        self._numbers += 1
        self.sockets[self._numbers] = Socket(self._numbers, local, transport, component)
        self.out.append(Listen(self._numbers, local, transport))

    def send_from(self, socket: int, data: bytes, addr: Address) -> None:
        """Send a datagram, if the socket is still there."""
        if socket in self.sockets:
            self.out.append(SendFrom(socket, data, addr))

    def map_port(self, socket: Socket) -> None:
        """Ask the router for a port."""
        socket.is_mapped = True
        self.out.append(MapPort(socket.number, socket.local, socket.transport))

    def unmap_port(self, socket: Socket) -> None:
        """Give the router its port back."""
        if socket.is_mapped:
            socket.is_mapped = False
            self.out.append(UnmapPort(socket.number))

    def close_socket(self, number: int, *, keeps_mapping: bool = False) -> None:
        """Close a socket; with *keeps_mapping* its record stays for `close_all` to unmap."""
        socket = self.sockets.get(number)
        if socket is None:
            return
        if socket.is_open or not socket.is_mapped:
            self.out.append(CloseSocket(number))
        socket.is_open = False
        if not keeps_mapping or not socket.is_mapped:
            self.unmap_port(socket)
            del self.sockets[number]

    def close_all(self) -> None:
        """Close whatever is open."""
        for link in list(self.links):
            self.close_link(link)
        for socket in list(self.sockets):
            self.close_socket(socket)
