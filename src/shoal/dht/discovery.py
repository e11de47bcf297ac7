"""LAN discovery: nodes of one local network find each other by multicast, without a bootstrap.

    asker                          group 239.192.0.1, ff08::101, UDP 8888              publisher
      │ ── "q" ───────────────────────────────► everybody ─────────────────────────────────► │
      │ ◄──────────────────────── {"dht": [node id, port, network]} (unicast to the asker) ── │

A datagram is one msgpack object: the text `q` asks; a map announces, one service per entry. A
publisher also announces to the group when it starts. Our service is `dht`; the map may hold others.

| Bytes | Meaning |
| --- | --- |
| `a1 71` | query |
| `81 a3 "dht" 93 c4 14 <id> cd <port> <network>` | announcement of the service `dht` |

Source: OpenDHT peer_discovery.cpp; dhtrunner.cpp, NodeInsertionPack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import msgpack

from shoal.core import Address, DecodeError, Family, InfoHash, SendDatagram
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

GROUP_PORT: Final = 8888  # OpenDHT peer_discovery.h: DEFAULT_PORT
GROUPS: Final = {  # OpenDHT peer_discovery.cpp: organization-local scope
    Family.IPV4: Address.parse("239.192.0.1", GROUP_PORT),
    Family.IPV6: Address.parse("ff08::101", GROUP_PORT),
}
DHT_SERVICE: Final = "dht"  # OpenDHT dhtrunner.cpp: PEER_DISCOVERY_DHT_SERVICE
REPEAT_FIRST: Final = 10.0  # seconds, doubled each time; OpenDHT: PeerDiscovery_PERIOD
REPEAT_MAX: Final = 60.0  # seconds; OpenDHT: PeerDiscovery_PERIOD_MAX
QUERY: Final = b"\xa1q"
DATAGRAM_SIZE_MAX: Final = 65_507  # what UDP over IPv4 can carry
PORT_MAX: Final = 0xFFFF
SERVICES_MAX: Final = 16  # ours: names we publish, and entries we look at in one announcement
ANSWERS_PER_SECOND_MAX: Final = 20  # ours: a forged source must not make us flood a neighbour


@dataclass(frozen=True, slots=True)
class NodeDiscovered:
    """Event: a DHT node of our network is at *addr*, as far as its announcement says."""

    node_id: InfoHash
    addr: Address


@dataclass(frozen=True, slots=True)
class ServiceDiscovered:
    """Event: somebody at *addr* announces another service.

    Attributes:
        payload: the msgpack object that was announced, packed again.
        addr: the source of the announcement; what its port means is up to the service.
    """

    name: str
    payload: bytes
    addr: Address


Effect: TypeAlias = SendDatagram | NodeDiscovered | ServiceDiscovered


@dataclass(slots=True)
class DiscoveryStats:
    """Each increment is one datagram, or one entry of an announcement for *ignored*."""

    malformed: int = 0
    queries_answered: int = 0
    queries_limited: int = 0
    announcements: int = 0
    ignored: int = 0


class NodeAnnouncement(NamedTuple):
    """The payload of the service `dht`."""

    node_id: InfoHash
    port: int
    network: int

    def packed(self) -> bytes:
        """Return the msgpack array of id, port and network."""
        packed: bytes = msgpack.packb([bytes(self.node_id), self.port, self.network])
        return packed

    @classmethod
    def from_object(cls, unpacked: object) -> NodeAnnouncement:
        """Read an unpacked payload.

        Raises:
            DecodeError: it is not `[id, port, network]`.
        """
        match unpacked:
            case [bytes(node_id), int(port), int(network), *_] if 0 < port <= PORT_MAX:
                return cls(InfoHash(node_id), port, network)
            case _:
                raise DecodeError("a node announces [id, port, network]")


class DiscoveryEngine:
    """Asks for nodes on the local network and tells others about ours.

    While the DHT is disconnected, the query and the announcement are repeated after 10 s, then
    after twice as long up to a minute; while it is connected we only answer.
    """

    def __init__(
        self,
        node_id: InfoHash,
        network: int,
        ports: Mapping[Family, int],
        *,
        is_published: bool = True,
        services: Mapping[str, bytes] | None = None,
        groups: Mapping[Family, Address] = GROUPS,
    ) -> None:
        """Prepare to find nodes of *network*, and to be found.

        Args:
            node_id: ours; announcements of it are ignored.
            network: nodes of others are ignored.
            ports: where the DHT listens, by family; discovery runs on these families.
            is_published: whether our own node is announced and queries are answered.
            services: further services to announce, name to packed payload.
            groups: where to ask.
        """
        if len(services or ()) >= SERVICES_MAX:
            raise ValueError(f"more than {SERVICES_MAX - 1} services besides {DHT_SERVICE!r}")
        self.stats = DiscoveryStats()
        self._node_id = node_id
        self._network = network
        self._groups = groups
        self._announcements = {
            family: _pack_services(
                {DHT_SERVICE: NodeAnnouncement(node_id, port, network).packed(), **(services or {})}
            )
            for family, port in ports.items()
            if is_published
        }
        self._families = tuple(ports)
        self._deadline: float | None = None
        self._wait = REPEAT_FIRST
        self._answer_second = -1
        self._answers = 0

    def start(self, now: float) -> list[Effect]:
        """Ask the group, announce to it, and go on until `connected`."""
        self._wait = REPEAT_FIRST
        self._deadline = now + self._wait
        return self._broadcast()

    def connected(self, now: float) -> list[Effect]:
        """Stop repeating: the DHT has found its network."""
        self._deadline = None
        return []

    def disconnected(self, now: float) -> list[Effect]:
        """Ask again and keep asking; also when the network below has changed."""
        return self.start(now)

    def receive(self, datagram: bytes, addr: Address, now: float) -> list[Effect]:
        """Take one datagram from the group or a neighbour; drop and count what is neither form."""
        if len(datagram) > DATAGRAM_SIZE_MAX:
            self.stats.malformed += 1
            return []
        try:
            unpacked = msgpack.unpackb(datagram, strict_map_key=False)
        except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException):
            self.stats.malformed += 1
            return []
        match unpacked:
            case "q":
                return self._answer(addr, now)
            case dict():
                self.stats.announcements += 1
                return self._read_announcement(unpacked, addr)
            case _:
                self.stats.malformed += 1
                return []

    def next_deadline(self) -> float | None:
        """When to ask again; None while connected."""
        return self._deadline

    def advance(self, now: float) -> list[Effect]:
        """Ask and announce again if it is time."""
        if self._deadline is None or now < self._deadline:
            return []
        self._wait = min(self._wait * 2, REPEAT_MAX)
        self._deadline = now + self._wait
        return self._broadcast()

    def _broadcast(self) -> list[Effect]:
        effects: list[Effect] = []
        for family in self._families:
            effects.append(SendDatagram(QUERY, self._groups[family]))
            if (announcement := self._announcements.get(family)) is not None:
                effects.append(SendDatagram(announcement, self._groups[family]))
        return effects

    def _answer(self, addr: Address, now: float) -> list[Effect]:
        announcement = self._announcements.get(addr.family)
        if announcement is None:
            return []
        if int(now) != self._answer_second:
            self._answer_second, self._answers = int(now), 0
        if self._answers >= ANSWERS_PER_SECOND_MAX:
            self.stats.queries_limited += 1
            return []
        self._answers += 1
        self.stats.queries_answered += 1
        return [SendDatagram(announcement, addr)]

    def _read_announcement(self, services: dict[object, object], addr: Address) -> list[Effect]:
        effects: list[Effect] = []
        for name, payload in list(services.items())[:SERVICES_MAX]:
            if not isinstance(name, str):
                self.stats.ignored += 1
            elif name == DHT_SERVICE:
                effects += self._read_node(payload, addr)
            elif (packed := _repacked(payload)) is not None:
                effects.append(ServiceDiscovered(name, packed, addr))
            else:
                self.stats.ignored += 1
        return effects

    def _read_node(self, payload: object, addr: Address) -> list[Effect]:
        try:
            node = NodeAnnouncement.from_object(payload)
        except DecodeError:
            self.stats.ignored += 1
            return []
        if node.node_id == self._node_id or node.network != self._network:
            self.stats.ignored += 1
            return []
        return [NodeDiscovered(node.node_id, Address(addr.ip, node.port))]


def _repacked(payload: object) -> bytes | None:
    """Pack what we just unpacked; text that was no UTF-8 never got here, deep nesting can."""
    try:
        packed: bytes = msgpack.packb(payload)
    except (ValueError, RecursionError):  # only the packer written in Python
        return None
    return packed


def _pack_services(services: Mapping[str, bytes]) -> bytes:
    packer = msgpack.Packer(autoreset=False)
    packer.pack_map_header(len(services))
    chunks = [packer.bytes()]
    for name, payload in services.items():
        chunks += (msgpack.packb(name), payload)
    return b"".join(chunks)
