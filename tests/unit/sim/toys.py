"""Small engines to try the simulator and the engine laws on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shoal.core import Address, Entropy, SendDatagram
from shoal.sim import Network, SeededEntropy

if TYPE_CHECKING:
    from collections.abc import Sequence

PEERS_MAX: Final = 8
SEEN_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Heard:
    """Event: a rumour arrived for the first time."""

    rumour: bytes


class Sink:
    """Keeps what it receives; never wants time."""

    def __init__(self) -> None:
        self.received: list[tuple[bytes, Address, float]] = []

    def receive(self, datagram: bytes, addr: Address, now: float) -> list[object]:
        """Take a datagram."""
        self.received.append((datagram, addr, now))
        return []

    def next_deadline(self) -> float | None:
        """When it wants time."""
        return None

    def advance(self, now: float) -> list[object]:
        """Do what is due."""
        return []


class Echo(Sink):
    """Sends everything back."""

    def receive(self, datagram: bytes, addr: Address, now: float) -> list[object]:
        """Take a datagram."""
        return [*super().receive(datagram, addr, now), SendDatagram(datagram, addr)]


class Gossip:
    """Passes each rumour on to a few random peers, after a random wait.

    Its wire: one byte 0x52, then the rumour; it learns its peers from what it receives.
    """

    def __init__(self, entropy: Entropy, peers: Sequence[Address] = ()) -> None:
        self.malformed = 0
        self.peers: dict[Address, None] = dict.fromkeys(peers[:PEERS_MAX])
        self.seen: dict[bytes, None] = {}
        self._entropy = entropy
        self._due: dict[bytes, float] = {}

    def tell(self, rumour: bytes, now: float) -> list[object]:
        """Start a rumour."""
        if not rumour:
            raise ValueError("a rumour has words")
        return self._learn(rumour, now)

    def receive(self, datagram: bytes, addr: Address, now: float) -> list[object]:
        """Take a datagram."""
        if datagram[:1] != b"R" or len(datagram) < 2:
            self.malformed += 1
            return []
        self.peers[addr] = None
        if len(self.peers) > PEERS_MAX:
            del self.peers[next(iter(self.peers))]
        return self._learn(datagram[1:], now)

    def next_deadline(self) -> float | None:
        """When it wants time."""
        return min(self._due.values(), default=None)

    def advance(self, now: float) -> list[object]:
        """Do what is due."""
        effects: list[object] = []
        for rumour in [rumour for rumour, due in self._due.items() if due <= now]:
            del self._due[rumour]
            lucky = [addr for addr in self.peers if self._entropy.below(2)]
            effects += [SendDatagram(b"R" + rumour, addr) for addr in lucky]
        return effects

    def _learn(self, rumour: bytes, now: float) -> list[object]:
        if rumour in self.seen:
            return []
        self.seen[rumour] = None
        if len(self.seen) > SEEN_MAX:
            forgotten = next(iter(self.seen))
            del self.seen[forgotten]
            self._due.pop(forgotten, None)
        self._due[rumour] = now + self._entropy.uniform(0.0, 1.0)
        return [Heard(rumour)]


def gossip_world(network: Network, count: int) -> None:
    """Add *count* gossiping hosts, each knowing a few earlier ones, and start a rumour."""
    for number in range(count):
        chance = SeededEntropy(network.seed, "peers", number)
        known = [host.address for host in network.hosts.values()]
        engine = Gossip(network.entropy("node", number), chance.sample(known, 4))
        host = network.add_host(engine)
        network.apply(host, engine.tell(b"news of %d" % number, network.now))


@dataclass(frozen=True, slots=True)
class Ended:
    """Event: question *op* was answered, or given up."""

    op: int
    is_answered: bool


class Asker:
    """Asks a question, waits three seconds for the answer, and answers those of others.

    Its wire: one byte, 0x3f for a question and 0x21 for an answer, then 8 bytes of transaction id.
    """

    def __init__(self, entropy: Entropy) -> None:
        self.waiting: dict[bytes, tuple[int, Address, float]] = {}
        self._entropy = entropy

    def ask(self, op: int, addr: Address, now: float) -> list[object]:
        """Ask *addr*; one Ended follows, at once if too many questions are waiting."""
        if len(self.waiting) >= 64:
            return [Ended(op, is_answered=False)]
        tid = self._entropy.token_bytes(8)
        self.waiting[tid] = (op, addr, now + 3.0)
        return [SendDatagram(b"?" + tid, addr)]

    def receive(self, datagram: bytes, addr: Address, now: float) -> list[object]:
        """Answer a question, or take an answer."""
        tid = datagram[1:]
        if len(tid) != 8:
            return []
        if datagram[0] == ord("?"):
            return [SendDatagram(b"!" + tid, addr)]
        if datagram[0] == ord("!") and tid in self.waiting and self.waiting[tid][1] == addr:
            return [Ended(self.waiting.pop(tid)[0], is_answered=True)]
        return []

    def next_deadline(self) -> float | None:
        """When the oldest question is given up."""
        return min((due for _, _, due in self.waiting.values()), default=None)

    def advance(self, now: float) -> list[object]:
        """Give up what is due."""
        over = [tid for tid, (_, _, due) in self.waiting.items() if due <= now]
        return [Ended(self.waiting.pop(tid)[0], is_answered=False) for tid in over]
