"""One address family of a DHT node: its routing table, node cache, searches and connectivity."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from math import inf
from typing import TYPE_CHECKING, Final

from shoal.core import Address, Family, InfoHash
from shoal.core.records import dataclass
from shoal.dht import wire
from shoal.dht.effects import Status
from shoal.dht.errors import TooManyOperationsError
from shoal.dht.maintenance import Maintenance
from shoal.dht.nodes import Node, NodeCache
from shoal.dht.search import IDLE_KEPT, Search
from shoal.dht.table import Confidence, RoutingTable

if TYPE_CHECKING:
    from shoal.dht.context import Context

VOTES_MAX: Final = 32  # OpenDHT dht.cpp: reported addresses per family
PING: Final = 0  # purpose of requests
BOTH_FAMILIES: Final = (int(Family.IPV4), int(Family.IPV6))
IP_LENGTHS: Final = {Family.IPV4: 4, Family.IPV6: 16}
NAMED_MAX: Final = 16  # ours: nodes believed of one list; nodes name 8 at most
FAMILIAR: Final = 5.0  # ours: a node heard of so lately was offered to the table then
BLACKLIST_MAX: Final = 65_536  # ours: an address costs an attacker more than it costs us
IDLE_SEARCHES_MAX: Final = 256  # ours: searches kept for the nodes they know


@dataclass(frozen=True, slots=True)
class NodeCounts:
    """Nodes of one family by state (reference section 3.2), and sizes of what holds them."""

    good: int
    dubious: int
    cached: int
    incoming: int
    depth: int
    searches: int
    cache_size: int

    @property
    def network_size_estimate(self) -> int:
        """About how many nodes the network has, from how deep our own bucket lies."""
        return 8 << self.depth


class Side:
    """Everything of one family; both families share the context."""

    def __init__(self, family: Family, context: Context, now: float) -> None:
        self.family = family
        self.context = context
        self.cache = NodeCache(context.entropy)
        self.table = RoutingTable(context.own_id, is_bootstrap=context.config.is_bootstrap)
        self.searches: OrderedDict[InfoHash, Search] = OrderedDict()  # least recently used first
        self.votes: dict[bytes, int] = {}
        self.blacklist: set[Address] = set()
        self.has_new_votes = False
        self.is_other_poor = False  # whether the other family knows too few nodes
        self._public_ip: bytes | None = None
        self.maintenance = Maintenance(self, now)
        self._lasting: list[Search] = []  # with listens or permanent puts, in the order of keys
        self._lasting_numbers: list[int] = []
        self._ip_length = IP_LENGTHS[family]

    # ---- nodes -----------------------------------------------------------------------------

    def hear_from(
        self,
        node_id: InfoHash,
        addr: Address,
        confidence: Confidence,
        now: float,
        *,
        is_client: bool,
    ) -> Node:
        """Note a message that *node_id* sent us from *addr*."""
        node = self.cache.find(node_id)
        if node is None:
            node = self.cache.add(node_id, addr)
        elif node.addr != addr:
            if confidence is not Confidence.REPLIED and node.is_good(now):
                # Whoever knows an id could claim it: the node must answer from its new place.
                self.context.stats.unproven_moves += 1
                self.maintenance.ping_address(addr, now)
                return node
            node.move(addr)
        node.is_client = is_client
        is_familiar = not node.is_expired and now - node.heard_at < FAMILIAR
        was_good = node.is_good(now)
        node.is_expired = False
        node.heard_at = now
        if confidence is Confidence.REPLIED:
            node.replied_at = now
            self.maintenance.begin(now)
        if (
            not is_client
            and (confidence is Confidence.REPLIED or not (was_good or is_familiar))
            and self._place(node, confidence, now)
            and not was_good
        ):
            self._tell_searches(node, now)
        return node

    def hear_of(self, nodes: bytes, source: Address, now: float, search: Search | None) -> None:
        """Note nodes that somebody named in a compact list; offer them to *search*."""
        length, width = 20, 20 + self._ip_length + 2
        find, own_id = self.cache.find, self.context.own_id
        heard = set() if search is None else search.heard
        for start in range(0, min(len(nodes), NAMED_MAX * width), width):
            node_id = nodes[start : start + length]
            if node_id in heard:
                continue
            heard.add(node_id)
            node = find(node_id)  # type: ignore[arg-type]  # equal bytes are found
            if node is None or node.may_revive(now):
                if node_id == own_id:
                    continue
                addr = self._stated_addr(nodes[start + length : start + width], source)
                if addr is None:
                    continue
                if node is None:
                    node = self.cache.add(InfoHash(node_id), addr)
                    self._place(node, Confidence.HEARSAY, now)
                else:
                    node.move(addr)
                    node.is_expired = False
            if search is not None:
                search.offer(node)

    def insert(self, node_id: InfoHash, addr: Address, now: float) -> Node | None:
        """Take in a node from a state file or from the caller, unconfirmed."""
        if node_id == self.context.own_id or is_martian(addr) or addr in self.blacklist:
            return None
        node = self.cache.find(node_id)
        if node is None:
            node = self.cache.add(node_id, addr)
        elif node.addr != addr and not node.is_good(now):
            node.move(addr)
        node.is_expired = False
        self._place(node, Confidence.HEARSAY, now)
        return node

    def ban(self, node: Node, now: float) -> None:
        """Ignore an address that broke the protocol, until restart."""
        if len(self.blacklist) < BLACKLIST_MAX:
            self.blacklist.add(node.addr)
        self.context.requests.node_is_lost(node, now)

    def ping(self, node: Node, now: float) -> None:
        """Ask a known node whether it is there."""
        message = wire.Ping(node.take_tid(), self.context.own_id)
        self.context.count_request("ping")
        self.context.requests.ask(node, message, None, PING, None, now)

    def _stated_addr(self, stated: bytes, source: Address) -> Address | None:
        """Read an address that a node named; one on its loopback is at its own address."""
        ip, port = stated[:-2], int.from_bytes(stated[-2:])
        if _is_loopback(ip) and len(source.ip) == len(ip):
            ip = source.ip
        addr = Address(ip, port)
        return None if is_martian(addr) or addr in self.blacklist else addr

    def _place(self, node: Node, confidence: Confidence, now: float) -> bool:
        """Offer a node to the routing table; return whether lasting searches want to know."""
        had_grown_at = self.table.grown_at
        is_news, to_ping = self.table.offer(node, confidence, now)
        if self.table.grown_at == now and now - had_grown_at > 300.0:  # noqa: PLR2004 - 3.4
            self.maintenance.hasten(now)
        if to_ping is not None:
            self.ping(to_ping, now)
        return is_news and confidence is not Confidence.HEARSAY

    def _tell_searches(self, node: Node, now: float) -> None:
        """Let lasting searches around the node's id know of it: those it may be close to."""
        middle = bisect_left(self._lasting_numbers, node.number)
        for walk in (range(middle, len(self._lasting)), range(middle - 1, -1, -1)):
            for place in walk:
                search = self._lasting[place]
                if not search.offer(node):
                    break
                search.wake_at(now, now)

    # ---- searches --------------------------------------------------------------------------

    def want(self) -> tuple[int, ...] | None:
        """Return which families to ask for in `w`: None means this one."""
        return BOTH_FAMILIES if self.is_other_poor else None

    def search_for(self, key: InfoHash, now: float) -> Search:
        """Return the search for *key*, made if need be.

        Raises:
            TooManyOperationsError: every search has work to do.
        """
        search = self.searches.get(key)
        if search is not None:
            self.searches.move_to_end(key)
            return search
        if len(self.searches) >= self.context.config.searches_max:
            self._recycle()
        search = self.searches[key] = Search(key, self, now)
        self._forget_idle(now)
        return search

    def located(self, key: InfoHash, now: float) -> None:
        """The nodes around *key* are known; around our own id: time to know others as well."""
        if key == self.context.own_id:
            self.maintenance.fill_buckets(now)
            if not self.searches[key].is_attached:
                self._remove(key)  # the table has what it found

    def make_lasting(self, search: Search) -> None:
        """From now on *search* hears of nodes that join near its key."""
        place = bisect_left(self._lasting_numbers, search.number)
        if place == len(self._lasting) or self._lasting[place] is not search:
            self._lasting.insert(place, search)
            self._lasting_numbers.insert(place, search.number)

    def make_passing(self, search: Search) -> None:
        """Nothing lasting is wanted of *search* any more."""
        place = bisect_left(self._lasting_numbers, search.number)
        if place < len(self._lasting) and self._lasting[place] is search:
            del self._lasting[place], self._lasting_numbers[place]

    def revive_searches(self, now: float) -> None:
        """We are connected again: lasting searches that gave up may go on."""
        for search in self._lasting:
            if search.is_expired:
                search.refill(now)
                search.wake_at(now, now)

    def search_expired(self, now: float) -> None:
        """No node of a search answered: perhaps our own network changed."""
        if not self.context.config.is_public_stable:
            self.maintenance.suspect_connectivity(now)

    def _recycle(self) -> None:
        idle = (key for key, search in self.searches.items() if not search.is_attached)
        spare = (key for key, search in self.searches.items() if search.is_spare)
        key = next(idle, None) or next(spare, None)
        if key is None:
            raise TooManyOperationsError
        self._remove(key)

    def _forget_idle(self, now: float) -> None:
        """Let go of the searches longest unused; a few per new one keeps them bounded."""
        for _ in range(2):
            key, oldest = next(iter(self.searches.items()))
            is_many = len(self.searches) > IDLE_SEARCHES_MAX
            if oldest.is_attached:
                self.searches.move_to_end(key)
            elif is_many or now - oldest.used_at > IDLE_KEPT:
                self._remove(key)

    def _remove(self, key: InfoHash) -> None:
        self.searches.pop(key).forget()

    # ---- connectivity ----------------------------------------------------------------------

    def status(self, now: float) -> Status:
        """Connected by a good node, connecting while one may turn up (reference 3.11)."""
        if self.table.has_good(now):
            return Status.CONNECTED
        if self.table.has_dubious(now) or self.maintenance.is_pinging:
            return Status.CONNECTING
        return Status.DISCONNECTED

    def vote(self, ip: bytes) -> None:
        """Count a node's word on our address."""
        if len(ip) != self._ip_length:
            return
        votes = self.votes
        count = votes.get(ip, 0)
        if not count and len(votes) >= VOTES_MAX:
            del votes[min(votes, key=votes.__getitem__)]
        votes[ip] = count + 1
        if ip != self._public_ip:
            self.has_new_votes = True

    def public_ip(self) -> bytes | None:
        """Return what most nodes see us under."""
        self.has_new_votes = False
        self._public_ip = max(self.votes, key=lambda ip: self.votes[ip], default=None)
        return self._public_ip

    def forget_connectivity(self, now: float) -> None:
        """Our own network changed: believe nothing learned over the old one."""
        self.table.forget_times()
        for node in self.cache:
            node.heard_at = node.replied_at = node.lost_at = -inf
            node.is_expired = node.addr in self.blacklist
        self.votes.clear()
        self.maintenance.hasten(now)

    def counts(self, now: float) -> NodeCounts:
        """Count the nodes of the routing table by state."""
        nodes = list(self.table)
        good = sum(node.is_good(now) for node in nodes)
        return NodeCounts(
            good=good,
            dubious=sum(not node.is_expired and not node.is_good(now) for node in nodes),
            cached=sum(bucket.cached is not None for bucket in self.table.buckets),
            incoming=sum(node.is_good(now) and node.heard_at > node.replied_at for node in nodes),
            depth=self.table.depth,
            searches=len(self.searches),
            cache_size=len(self.cache),
        )


def is_martian(addr: Address) -> bool:
    """Whether no node can be at *addr* (reference section 1.7)."""
    ip, port = addr
    if not port:
        return True
    if len(ip) == IP_LENGTHS[Family.IPV4]:
        return ip[0] == 0 or ip[0] >= 224  # noqa: PLR2004 - multicast and above
    return ip.startswith(b"\xff") or not any(ip) or ip[:12] == bytes(10) + b"\xff\xff"


def _is_loopback(ip: bytes) -> bool:
    if len(ip) == IP_LENGTHS[Family.IPV4]:
        return ip[0] == 127  # noqa: PLR2004 - RFC 1122 section 3.2.1.3
    return ip == bytes(15) + b"\x01"
