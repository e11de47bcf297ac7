"""How the bytes of a pair travel: on a TCP link, from a UDP socket, or by datagrams of a relay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from shoal.net.ice.effects import Received
from shoal.net.ice.framing import FRAME_LENGTH_MAX, Deframer, frame, frames
from shoal.net.ice.relay import Relay

if TYPE_CHECKING:
    from shoal.core import Address
    from shoal.net.ice.context import Context, Socket
    from shoal.net.ice.pair import Pair

EARLY_DATA_MAX: Final = 256 * 1024  # bytes kept until the pair is chosen, ours: 4 TLS flights
CHECKS_BURST: Final = 64  # checks answered on one path at once, ours: nine full repetitions
CHECKS_RATE: Final = 4.0  # and per second afterwards, ours


class PathUser(Protocol):
    """The checklist, as a path sees it."""

    def path_opened(self, pair: Pair, now: float) -> None:
        """The pair's link is there."""

    def path_lost(self, pair: Pair, reason: str, now: float, *, is_end: bool) -> None:
        """The pair's link is gone, or the peer has ended it in order."""

    def stun_received(self, pair: Pair, message: bytes, source: Address, now: float) -> None:
        """A STUN message came."""

    def flooded(self, pair: Pair, now: float) -> None:
        """The peer sends what it must not send yet."""


class Allowance:
    """How many checks of the peer are still answered."""

    def __init__(self, now: float) -> None:
        self._left: float = CHECKS_BURST
        self._since = now

    def take(self, now: float) -> bool:
        """Tell whether to answer one more."""
        self._left = min(CHECKS_BURST, self._left + CHECKS_RATE * (now - self._since))
        self._since = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class TcpPath:
    """A TCP link: opened by us, accepted by a socket, or bound at a relay."""

    def __init__(self, context: Context, user: PathUser, pair: Pair, link: int = 0) -> None:
        self.link = link
        self._context = context
        self._user = user
        self._pair = pair
        self._deframer = Deframer()
        self._early: list[memoryview] = []
        self._early_size = 0
        self._is_selected = False
        self._frame_size = min(context.config.frame_size, FRAME_LENGTH_MAX)

    # As a path

    def send(self, message: bytes, now: float) -> None:
        """Send one STUN message in a frame."""
        self._context.write(self.link, frame(message))

    def send_data(self, data: bytes | memoryview, now: float) -> None:
        """Send a piece of the stream in frames."""
        if framed := frames(data, self._frame_size):
            self._context.write(self.link, framed)

    def accept_data(self) -> None:
        """Hand over what came early, and everything else as it comes."""
        self._is_selected = True
        component = self._pair.component
        self._context.out += [Received(data, component) for data in self._early]
        self._early.clear()

    def is_on(self, *, link: int = 0, socket: int = 0) -> bool:
        """Tell whether this is *link*."""
        return link == self.link

    def close(self) -> None:
        """Close the link."""
        self._context.close_link(self.link)

    # As a link's owner

    def opened(self, local: Address, remote: Address, now: float) -> None:
        """The checks can begin."""
        self._user.path_opened(self._pair, now)

    def received(self, data: bytes | memoryview, now: float) -> None:
        """Tell checks from data; what many frames hold is told at once."""
        pieces: list[memoryview] = []
        for item in self._deframer.feed(data):
            if isinstance(item, memoryview):
                if self._is_selected:
                    pieces.append(item)
                else:
                    self._keep(item, now)
                continue
            self._tell(pieces)
            pieces = []
            self._user.stun_received(self._pair, item, self._pair.remote.addr, now)
            if self.link not in self._context.links:
                return  # that message made us close it
        self._tell(pieces)

    def _tell(self, pieces: list[memoryview]) -> None:
        if pieces:
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            self._context.out.append(Received(data, self._pair.component))

    def ended(self, now: float) -> None:
        """The peer has said everything."""
        self.close()
        self._user.path_lost(self._pair, "closed by the peer", now, is_end=True)

    def lost(self, reason: str, now: float) -> None:
        """The link could not be opened, or broke."""
        self._user.path_lost(self._pair, reason, now, is_end=False)

    def _keep(self, data: memoryview, now: float) -> None:
        """Keep data that overtook the response to a nomination."""
        self._early_size += len(data)
        if not self._pair.is_authenticated:
            self._context.stats.unwanted_data += 1
        if not self._pair.is_authenticated or self._early_size > EARLY_DATA_MAX:
            self._early.clear()
            self._user.flooded(self._pair, now)
        else:
            self._early.append(data)


class UdpPath:
    """Datagrams between a base of ours, a socket or a relay, and one address of the peer."""

    def __init__(self, context: Context, base: Socket | Relay, pair: Pair, remote: Address) -> None:
        self.base = base
        self.remote = remote
        self._context = context
        self._pair = pair
        self._early: list[bytes] = []
        self._early_size = 0
        self._is_selected = False

    def send(self, message: bytes, now: float) -> None:
        """Send one datagram."""
        if isinstance(self.base, Relay):
            self.base.send(message, self.remote, now)
        else:
            self._context.send_from(self.base.number, message, self.remote)

    def send_data(self, data: bytes | memoryview, now: float) -> None:
        """Send one datagram."""
        self.send(bytes(data), now)

    def received(self, data: bytes) -> None:
        """Take a datagram that is no STUN; before the pair is chosen a few are kept."""
        if self._is_selected:
            self._context.out.append(Received(data, self._pair.component))
            return
        self._early_size += len(data)
        if self._pair.is_authenticated and self._early_size <= EARLY_DATA_MAX:
            self._early.append(data)
        else:
            self._context.stats.unwanted_data += 1

    def accept_data(self) -> None:
        """Hand over what came early, and everything else as it comes."""
        self._is_selected = True
        component = self._pair.component
        self._context.out += [Received(data, component) for data in self._early]
        self._early.clear()

    def is_on(self, *, link: int = 0, socket: int = 0) -> bool:
        """Tell whether it sends from *socket*."""
        base = self.base.socket if isinstance(self.base, Relay) else self.base
        return base is not None and base.number == socket

    def close(self) -> None:
        """Nothing is its own: sockets and relays serve several pairs."""


class RelayedConnect:
    """A pair that the relay shall connect for us, until it has."""

    def __init__(self, relay: Relay, remote: Address) -> None:
        self.relay = relay
        self.remote = remote

    def send(self, message: bytes, now: float) -> None:
        """Nothing can be sent yet."""

    def send_data(self, data: bytes | memoryview, now: float) -> None:
        """Nothing can be sent yet."""

    def accept_data(self) -> None:
        """Nothing came yet."""

    def is_on(self, *, link: int = 0, socket: int = 0) -> bool:
        """It uses neither."""
        return False

    def close(self) -> None:
        """The relay closes it with itself."""
