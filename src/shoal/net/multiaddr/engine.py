"""Direct connections: dialling a device's addresses, and being dialled.

Theory of operation. A dial tries addresses in their order. The next one begins a quarter of a
second after the one before, or at once when that fails, and what has begun goes on beside it (RFC
8305). An address leads to the device when somebody there answers our greeting with the beginning
of a TLS handshake: so a port that now belongs to another server counts as one that fails. The first
that leads there wins, and all others are closed.

A link that was accepted has a few seconds to greet. Few may be greeting at once, in all and from
one network, since opening a greeting takes a private key and milliseconds.

    dialled   CONNECTING ──► GREETING ──first bytes──► IN USE ──► over
    accepted  LISTENING ──greeting──► JUDGING ──peer──► IN USE ──► over

What links carry afterwards is not looked at.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from dataclasses import field
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core import Address, Compute, ShoalError
from shoal.core.records import dataclass
from shoal.net.errors import DialError, HelloError, TooManyAttemptsError
from shoal.net.multiaddr.effects import (
    Came,
    CloseLink,
    DialFailed,
    Dialled,
    Effect,
    Ended,
    Greeted,
    OpenLink,
    WriteLink,
)
from shoal.net.multiaddr.hello import TLS_HANDSHAKE, encode_frame, frame_size, sealed_part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.net.multiaddr.address import Multiaddr
    from shoal.net.peer import Peer

ATTEMPT_DELAY: Final = 0.25  # seconds; RFC 8305 section 8: Connection Attempt Delay
LINK_TIMEOUT: Final = 5.0  # seconds for connecting and greeting, each; design notes, section 3.1
PARALLEL_MAX: Final = 4  # links of one dial at once, ours
ADDRESSES_MAX: Final = 16  # of one dial: as many as a record has
DIALS_MAX: Final = 64  # at once, ours
GREETING_MAX: Final = 64  # links that have not greeted yet, ours; further ones are closed
GREETING_PER_NETWORK_MAX: Final = 8  # of them from one IPv4 address or IPv6 /64, ours
_PREFIX_LENGTH: Final = 8  # bytes of an IPv6 /64

Seal: TypeAlias = Callable[["Peer"], bytes]  # our greeting, sealed for that peer
Unseal: TypeAlias = Callable[[bytes], "Peer"]  # who greets; raises ShoalError; slow


class _Stage(enum.Enum):
    CONNECTING = "connecting"
    GREETING = "greeting"
    LISTENING = "listening"
    JUDGING = "judging"
    IN_USE = "in use"


@dataclass(slots=True, eq=False)
class _Link:
    number: int
    stage: _Stage
    deadline: float
    dial: _Dial | None = None
    address: Multiaddr | None = None
    network: bytes = b""
    begun: bytearray = field(default_factory=bytearray)


@dataclass(slots=True, eq=False)
class _Dial:
    number: int
    peer: Peer
    hello: bytes
    waiting: deque[Multiaddr]
    next_at: float
    links: dict[int, _Link] = field(default_factory=dict)
    tried: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class DirectStats:
    """Counters; each field says what one increment means."""

    dialled: int = 0  # an address led to its device
    dials_failed: int = 0  # no address of a device did
    greeted: int = 0  # a greeting was taken
    refused: int = 0  # a greeting could not be opened, or its sender not be proven
    limited: int = 0  # a link was closed since too many have not greeted yet
    silent: int = 0  # a link did not greet in time, or ended before


class DirectEngine:
    """All direct links of one device.

    Args:
        seal: returns our greeting for a peer.
        unseal: opens a greeting and checks who it is from; run as a `Compute`.
    """

    def __init__(self, seal: Seal, unseal: Unseal) -> None:
        self.stats = DirectStats()
        self._seal, self._unseal = seal, unseal
        self._links: dict[int, _Link] = {}
        self._dials: dict[int, _Dial] = {}
        self._timed: dict[int, _Link] = {}  # links with a deadline
        self._greeting: dict[int, _Link] = {}  # those that were accepted and not judged yet
        self._count = 0

    # Commands

    def dial(
        self, dial: int, peer: Peer, addresses: Sequence[Multiaddr], now: float
    ) -> list[Effect]:
        """Reach *peer* at one of *addresses*; ends with `Dialled` or `DialFailed`.

        Raises:
            TooManyAttemptsError: too many dials are under way, or *dial* is.
        """
        if len(self._dials) >= DIALS_MAX or dial in self._dials:
            raise TooManyAttemptsError(f"{len(self._dials)} dials")
        usable = [each for each in dict.fromkeys(addresses) if each.endpoint is not None]
        entry = _Dial(dial, peer, b"", deque(usable[:ADDRESSES_MAX]), now)
        if not usable:
            return self._give_up(entry)
        entry.hello = encode_frame(self._seal(peer))
        self._dials[dial] = entry
        return self._try_next(entry, now)

    def cancel(self, dial: int, now: float) -> list[Effect]:
        """Stop dialling; harmless if it has ended."""
        entry = self._dials.pop(dial, None)
        return [] if entry is None else self._close_all(entry)

    def send(self, link: int, data: bytes, now: float) -> list[Effect]:
        """Send on a link in use; nothing if it has ended."""
        found = self._links.get(link)
        if found is None or found.stage is not _Stage.IN_USE:
            return []
        return [WriteLink(link, data)]

    def close_link(self, link: int, now: float) -> list[Effect]:
        """Close a link; harmless if it has ended."""
        found = self._links.get(link)
        return [] if found is None else self._close(found)

    def close(self, now: float) -> list[Effect]:
        """Close everything; dials fail."""
        effects: list[Effect] = []
        for entry in list(self._dials.values()):
            effects += self._close_all(entry)
            effects += self._give_up(entry)
        for link in list(self._links.values()):
            effects += self._close(link)
        return effects

    # Input

    def link_opened(self, link: int, now: float) -> list[Effect]:
        """Learn that `OpenLink` succeeded."""
        found = self._links.get(link)
        if found is None or found.stage is not _Stage.CONNECTING or found.dial is None:
            return []
        found.stage, found.deadline = _Stage.GREETING, now + LINK_TIMEOUT
        return [WriteLink(link, found.dial.hello)]

    def link_accepted(self, link: int, remote: Address, now: float) -> list[Effect]:
        """Learn that somebody has connected to us; the driver numbers links from -1 downwards."""
        network = remote.ip if len(remote.ip) <= _PREFIX_LENGTH else remote.ip[:_PREFIX_LENGTH]
        from_there = sum(each.network == network for each in self._greeting.values())
        if len(self._greeting) >= GREETING_MAX or from_there >= GREETING_PER_NETWORK_MAX:
            self.stats.limited += 1
            return [CloseLink(link)]
        accepted = _Link(link, _Stage.LISTENING, now + LINK_TIMEOUT, network=network)
        self._links[link] = self._timed[link] = self._greeting[link] = accepted
        return []

    def link_failed(self, link: int, reason: str, now: float) -> list[Effect]:
        """Learn that a link could not be opened, or broke; the driver has closed it."""
        found = self._links.get(link)
        return [] if found is None else self._lost(found, reason, now)

    def receive_eof(self, link: int, now: float) -> list[Effect]:
        """Learn that the other side sends no more."""
        found = self._links.get(link)
        if found is None:
            return []
        return [CloseLink(link), *self._lost(found, "closed by the other side", now)]

    def receive(self, link: int, data: bytes | memoryview, now: float) -> list[Effect]:
        """Take bytes from a link."""
        found = self._links.get(link)
        if found is None:
            return []
        match found.stage:
            case _Stage.IN_USE:
                return [Came(link, data)]
            case _Stage.GREETING:
                return self._take_answer(found, data, now)
            case _Stage.LISTENING:
                found.begun += data
                return self._take_greeting(found)
            case _Stage.JUDGING | _Stage.CONNECTING:
                # Nothing is due before we have answered.
                return [CloseLink(link), *self._lost(found, "not a greeting", now)]

    def computed(self, id: int, result: Peer | ShoalError, now: float) -> list[Effect]:  # noqa: A002 - the field's own word
        """Take the result of a job: a peer, or a reason against it."""
        found = self._links.get(id)
        if found is None or found.stage is not _Stage.JUDGING:
            return []
        if isinstance(result, ShoalError):
            self.stats.refused += 1
            return self._close(found)
        self.stats.greeted += 1
        self._use(found)
        return [Greeted(id, result)]

    # Time

    def next_deadline(self) -> float | None:
        """When an address is due, or a link has taken too long."""
        deadlines = [each.deadline for each in self._timed.values()]
        deadlines += [each.next_at for each in self._dials.values() if self._may_try(each)]
        return min(deadlines, default=None)

    def advance(self, now: float) -> list[Effect]:
        """Do what is due at *now*."""
        effects: list[Effect] = []
        for link in [each for each in self._timed.values() if each.deadline <= now]:
            if link.number in self._timed:
                effects += [CloseLink(link.number), *self._lost(link, "no answer", now)]
        for dial in [each for each in self._dials.values() if each.next_at <= now]:
            if dial.number in self._dials and self._may_try(dial):
                effects += self._try_next(dial, now)
        return effects

    @property
    def sizes(self) -> dict[str, int]:
        """How much of everything there is."""
        return {
            "links": len(self._links),
            "dials": len(self._dials),
            "greeting": len(self._greeting),
        }

    # Inside

    def _may_try(self, dial: _Dial) -> bool:
        return bool(dial.waiting) and len(dial.links) < PARALLEL_MAX

    def _try_next(self, dial: _Dial, now: float) -> list[Effect]:
        """Begin with the next address."""
        address = dial.waiting.popleft()
        endpoint = address.endpoint
        assert endpoint is not None, "others were left out"
        self._count += 1
        number = self._count
        link = _Link(number, _Stage.CONNECTING, now + LINK_TIMEOUT, dial, address)
        self._links[number] = self._timed[number] = dial.links[number] = link
        dial.next_at = now + ATTEMPT_DELAY
        return [OpenLink(number, endpoint)]

    def _take_answer(self, link: _Link, data: bytes | memoryview, now: float) -> list[Effect]:
        """Somebody answers our greeting: the device, if TLS begins."""
        link.begun += data
        begun = bytes(link.begun)
        if not begun.startswith(TLS_HANDSHAKE[: len(begun)]):
            return [CloseLink(link.number), *self._lost(link, "not the device", now)]
        if len(begun) < len(TLS_HANDSHAKE):
            return []
        dial, address = link.dial, link.address
        assert dial is not None, "who greets has dialled"
        assert address is not None, "who greets has dialled"
        del self._dials[dial.number], dial.links[link.number]
        self._use(link)
        self.stats.dialled += 1
        return [
            *self._close_all(dial),
            Dialled(dial.number, link.number, address),
            Came(link.number, begun),
        ]

    def _take_greeting(self, link: _Link) -> list[Effect]:
        """Look at a greeting as it comes; have it opened once it is whole."""
        try:
            size = frame_size(link.begun)
        except HelloError:
            self.stats.refused += 1
            return self._close(link)
        if size is None or len(link.begun) < size:
            return []
        if len(link.begun) > size:  # nothing may follow before our answer
            self.stats.refused += 1
            return self._close(link)
        link.stage = _Stage.JUDGING
        del self._timed[link.number]
        sealed = sealed_part(bytes(link.begun))
        link.begun.clear()
        unseal = self._unseal
        return [Compute(link.number, lambda: _judge(unseal, sealed))]

    def _lost(self, link: _Link, reason: str, now: float) -> list[Effect]:
        """A link is gone."""
        self._forget(link)
        dial = link.dial
        if link.stage is _Stage.IN_USE:
            return [Ended(link.number)]
        if dial is None:
            self.stats.silent += 1
            return []
        dial.tried.append((str(link.address), reason))
        if self._may_try(dial):
            return self._try_next(dial, now)
        if dial.links or dial.waiting:
            return []
        return self._give_up(dial)

    def _give_up(self, dial: _Dial) -> list[Effect]:
        self._dials.pop(dial.number, None)
        self.stats.dials_failed += 1
        words = "; ".join(f"{address} {reason}" for address, reason in dial.tried)
        error = DialError(
            words or "the device publishes no address that can be dialled", dial.tried
        )
        return [DialFailed(dial.number, error)]

    def _close_all(self, dial: _Dial) -> list[Effect]:
        return [effect for link in list(dial.links.values()) for effect in self._close(link)]

    def _close(self, link: _Link) -> list[Effect]:
        self._forget(link)
        return [CloseLink(link.number)]

    def _use(self, link: _Link) -> None:
        """From now on the link is somebody's."""
        self._timed.pop(link.number, None)
        self._greeting.pop(link.number, None)
        link.stage, link.dial = _Stage.IN_USE, None
        link.begun.clear()

    def _forget(self, link: _Link) -> None:
        self._links.pop(link.number, None)
        self._timed.pop(link.number, None)
        self._greeting.pop(link.number, None)
        if link.dial is not None:
            link.dial.links.pop(link.number, None)


def _judge(unseal: Unseal, sealed: bytes) -> Peer | ShoalError:
    """Return who greets, or the reason why nobody can tell."""
    try:
        return unseal(sealed)
    except ShoalError as error:
        return error
