"""A polite walk over a whole DHT network: who is there, at what addresses, running what.

A crawler stands beside the network: it asks as a client, so that nobody stores or routes for it,
at a bounded rate, each node a few times at most.

    seeds ──► queue ──► find(near the node's own id) ──► answer: 8 neighbours ──► queue
                            │                              └─► find(in other halves of the space)
                            └─ no answer to two attempts: silent

A node knows those nearest to its own id best, and some of every other part: of the other half of
the id space, of the other quarter of its own half, and so on. Each such part is asked for, by way
of different nodes, until eight of them knew somebody there; whoever they name is asked in turn. So
every part is reached which anybody knows of.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from shoal.core import Address, DecodeError, Family, InfoHash, SendDatagram
from shoal.core.ids import INFO_HASH_LENGTH
from shoal.core.records import dataclass
from shoal.dht import wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shoal.core import Entropy

RATE: Final = 50.0  # requests per second, of all; ours: below what one node may ask another
NODES_MAX: Final = 65_536  # ours: nodes remembered; the rest of a larger network is left out
IN_FLIGHT_MAX: Final = 256  # ours: at two seconds each, enough for more than the default rate
ANSWER_WAIT: Final = 2.0  # seconds; OpenDHT waits 1 to 1.25 before it repeats
ATTEMPTS_MAX: Final = 2  # ours: enough to tell a lost packet from a dead node
HELPERS_PER_PART: Final = 8  # ours: what one node knows may be little, or out of date
MORE_PER_NODE: Final = 6  # ours: questions to a node beside that for its neighbourhood
_ID_BITS: Final = 8 * INFO_HASH_LENGTH
_IP_LENGTHS: Final = {Family.IPV4: 4, Family.IPV6: 16}
_LOOPBACK_IPV4: Final = 127  # RFC 1122 section 3.2.1.3
_LOOPBACK_IPV6: Final = bytes(15) + b"\x01"  # RFC 4291 section 2.5.3
_MULTICAST_IPV4: Final = 224  # RFC 5771; what follows is reserved


@dataclass(frozen=True, slots=True)
class NodeAnswered:
    """Event: a node exists; reported once per family.

    Attributes:
        agent: the software it names, such as `o2` or `RNG1`.
        rtt: seconds from question to answer.
    """

    node_id: InfoHash
    addr: Address
    agent: str
    rtt: float


@dataclass(frozen=True, slots=True)
class CrawlEnded:
    """Event: nobody is left to ask."""

    answered: int
    silent: int


Effect: TypeAlias = SendDatagram | NodeAnswered | CrawlEnded


@dataclass(slots=True)
class CrawlStats:
    """Each increment is one datagram, but for *silent* and *left_out*: one node."""

    sent: int = 0
    answered: int = 0
    malformed: int = 0
    unsolicited: int = 0
    silent: int = 0
    left_out: int = 0


class _Part(NamedTuple):
    """The ids that begin with the bits of *prefix*, which are one more than *bit*."""

    family: Family
    bit: int
    prefix: int

    def has(self, node_id: InfoHash) -> bool:
        """Whether *node_id* is one of them."""
        return int.from_bytes(node_id) >> (_ID_BITS - 1 - self.bit) == self.prefix


class _Question(NamedTuple):
    addr: Address
    node_id: InfoHash | None  # None: a seed, known by its address only
    target: InfoHash
    part: _Part | None = None  # None: the node's own neighbourhood
    attempt: int = 1


class _Sent(NamedTuple):
    question: _Question
    moment: float


class CrawlEngine:
    """Walks one network, from seeds to the end."""

    def __init__(
        self,
        entropy: Entropy,
        *,
        network: int = 0,
        families: Iterable[Family] = tuple(Family),
        rate: float = RATE,
        nodes_max: int = NODES_MAX,
    ) -> None:
        """Prepare to walk *network* over *families*, with at most *rate* requests per second."""
        self.stats = CrawlStats()
        self._entropy = entropy
        self._own_id = InfoHash(entropy.token_bytes(InfoHash.length))
        self._network = network
        self._families = tuple(families)
        self._interval = 1.0 / rate
        self._nodes_max = nodes_max
        self._seen: set[tuple[InfoHash, Family]] = set()
        self._answered: set[tuple[InfoHash, Family]] = set()
        self._helpers: dict[_Part, int] = {}  # answers that named somebody there
        self._queue: deque[_Question] = deque()
        self._sent: dict[int, _Sent] = {}
        self._expiries: deque[tuple[float, int]] = deque()  # in order: all wait equally long
        self._next_send = 0.0
        self._is_running = False

    def start(self, seeds: Iterable[Address], now: float) -> list[Effect]:
        """Begin at these addresses; without any, the walk has ended."""
        self._is_running = True
        self._next_send = now
        self._queue += (
            _Question(addr, None, self._own_id)
            for addr in dict.fromkeys(seeds)
            if addr.family in self._families
        )
        return self.advance(now)

    def receive(self, datagram: bytes, addr: Address, now: float) -> list[Effect]:
        """Take an answer; drop and count everything else."""
        try:
            message, network, _, agent = wire.decode(datagram)
        except DecodeError:
            self.stats.malformed += 1
            return []
        is_answer = isinstance(message, wire.Reply) and network == self._network
        sent = self._sent.get(message.tid) if is_answer else None
        if sent is None or sent.question.addr != addr or not isinstance(message, wire.Reply):
            self.stats.unsolicited += 1
            return []
        del self._sent[message.tid]
        self.stats.answered += 1
        effects: list[Effect] = []
        place = (message.sender, addr.family)
        if place not in self._answered and message.sender != self._own_id:
            self._answered.add(place)
            self._seen.add(place)
            effects.append(NodeAnswered(message.sender, addr, agent, now - sent.moment))
        neighbours = self._learn(message, addr)
        if sent.question.node_id is None:
            # A seed was asked for anything, its id being unknown: now for its neighbourhood.
            self._queue.append(_Question(addr, message.sender, message.sender))
        elif sent.question.part is None:
            self._ask_more(message.sender, addr, neighbours)
        elif any(map(sent.question.part.has, neighbours)):
            part = sent.question.part
            self._helpers[part] = self._helpers.get(part, 0) + 1
        return effects + self.advance(now)

    def next_deadline(self) -> float | None:
        """When the next question may be sent, or the next one has waited long enough."""
        moments = [moment for moment, _ in [*self._expiries][:1]]
        if self._queue and len(self._sent) < IN_FLIGHT_MAX:
            moments.append(self._next_send)
        return min(moments, default=None) if self._is_running else None

    def advance(self, now: float) -> list[Effect]:
        """Give up on the silent, and ask whom it is time to ask."""
        self._expire(now)
        effects: list[Effect] = []
        while self._queue and now >= self._next_send and len(self._sent) < IN_FLIGHT_MAX:
            question = self._queue.popleft()
            if question.part is not None and self._has_helpers(question.part):
                continue  # enough of them, since this was queued
            effects.append(self._ask(question, now))
            self._next_send = max(self._next_send, now - self._interval) + self._interval
        if self._is_running and not self._queue and not self._sent:
            self._is_running = False
            effects.append(CrawlEnded(len(self._answered), self.stats.silent))
        return effects

    def _has_helpers(self, part: _Part) -> bool:
        return self._helpers.get(part, 0) >= HELPERS_PER_PART

    def _ask(self, question: _Question, now: float) -> SendDatagram:
        tid = self._entropy.below(2**32)
        while tid in self._sent:
            tid = self._entropy.below(2**32)
        self._sent[tid] = _Sent(question, now)
        self._expiries.append((now + ANSWER_WAIT, tid))
        self.stats.sent += 1
        find = wire.Find(tid, self._own_id, question.target, tuple(self._families))
        (datagram,) = wire.encode(find, network=self._network, is_client=True)
        return SendDatagram(datagram, question.addr)

    def _expire(self, now: float) -> None:
        while self._expiries and (
            self._expiries[0][0] <= now or self._expiries[0][1] not in self._sent
        ):
            _, tid = self._expiries.popleft()
            sent = self._sent.pop(tid, None)
            if sent is None:
                continue
            question = sent.question
            if question.attempt < ATTEMPTS_MAX:
                self._queue.appendleft(question._replace(attempt=question.attempt + 1))
            elif question.part is None:
                self.stats.silent += 1

    def _learn(self, reply: wire.Reply, source: Address) -> list[InfoHash]:
        """Queue the nodes that *reply* names; return those of its own family."""
        neighbours: list[InfoHash] = []
        for family, compact in ((Family.IPV4, reply.nodes4), (Family.IPV6, reply.nodes6)):
            try:
                entries = wire.parse_compact(compact, _IP_LENGTHS[family])
            except DecodeError:
                self.stats.malformed += 1
                continue
            if family is source.family:
                neighbours = [node_id for node_id, _ in entries]
            if family in self._families:
                for node_id, addr in entries:
                    self._meet(node_id, addr, source)
        return neighbours

    def _meet(self, node_id: InfoHash, addr: Address, source: Address) -> None:
        if _is_loopback(addr.ip) and addr.family is source.family:
            addr = Address(source.ip, addr.port)  # reference section 1.7
        place = (node_id, addr.family)
        if place in self._seen or node_id == self._own_id or not _is_reachable(addr):
            return
        if len(self._seen) >= self._nodes_max:
            self.stats.left_out += 1
            return
        self._seen.add(place)
        self._queue.append(_Question(addr, node_id, node_id))

    def _ask_more(self, node_id: InfoHash, addr: Address, neighbours: list[InfoHash]) -> None:
        """Ask a node for parts of the id space that too few have helped with.

        The smallest first: few nodes know those, and everybody some of the large ones.
        """
        others = [other for other in neighbours if other not in (node_id, self._own_id)]
        depth = min((node_id.common_bits(other) for other in others), default=0)
        number, asked = int.from_bytes(node_id), 0
        for bit in range(min(depth, _ID_BITS - 1), -1, -1):
            shift = _ID_BITS - 1 - bit
            part = _Part(addr.family, bit, (number >> shift) ^ 1)
            if self._has_helpers(part):
                continue
            target = InfoHash((number ^ (1 << shift)).to_bytes(INFO_HASH_LENGTH))
            self._queue.append(_Question(addr, node_id, target, part))
            asked += 1
            if asked == MORE_PER_NODE:
                return


def _is_loopback(ip: bytes) -> bool:
    return ip[0] == _LOOPBACK_IPV4 if len(ip) == _IP_LENGTHS[Family.IPV4] else ip == _LOOPBACK_IPV6


def _is_reachable(addr: Address) -> bool:
    """Whether a node can be there at all: the martians of reference section 1.7 are not asked."""
    if not addr.port or not any(addr.ip):
        return False
    if addr.family is Family.IPV4:
        return 0 < addr.ip[0] < _MULTICAST_IPV4
    return addr.ip[0] != 0xFF  # noqa: PLR2004 - ff00::/8 is multicast
