"""DHT nodes as we know them, and the cache of all that we know.

Node states follow reference section 3.2; one cache exists per address family.
"""

from __future__ import annotations

from bisect import bisect_left
from math import inf
from typing import TYPE_CHECKING, Final

from shoal.core.ids import INFO_HASH_LENGTH

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator

    from shoal.core import Address, Entropy, InfoHash
    from shoal.dht.listening import Subscription
    from shoal.dht.requests import Request

ID_BITS: Final = 8 * INFO_HASH_LENGTH
GOOD_REPLIED_WITHIN: Final = 120 * 60.0  # OpenDHT node.h: NODE_GOOD_TIME
GOOD_HEARD_WITHIN: Final = 10 * 60.0  # OpenDHT node.h: NODE_EXPIRE_TIME
AUTH_ERRORS_MAX: Final = 3  # OpenDHT node.h: MAX_AUTH_ERRORS
TOKEN_FRESH_WITHIN: Final = 10 * 60.0  # ours: below the 15 minutes that any token lives
IDLE_NODES_MAX: Final = 512  # ours: nodes kept that no bucket, search or request needs
NEVER: Final = -inf  # one object for all: `-inf` makes a float each time


class Node:
    """One node of the DHT, shared by the routing table, all searches and all requests."""

    __slots__ = (
        "addr",
        "auth_errors",
        "compact",
        "has_turn",
        "heard_at",
        "id",
        "in_flight",
        "is_client",
        "is_expired",
        "lost_at",
        "next_tid",
        "number",
        "pending",
        "pulse",
        "replied_at",
        "subscriptions",
        "token",
        "token_at",
        "uses",
        "waiting",
    )

    def __init__(self, node_id: InfoHash, addr: Address, first_tid: int) -> None:
        self.id = node_id
        self.number = int.from_bytes(node_id)
        self.addr = addr
        self.compact = _compact(node_id, addr)
        self.is_client = False
        self.heard_at = NEVER
        self.replied_at = NEVER
        self.is_expired = False
        self.lost_at = NEVER  # when it was last given up
        self.auth_errors = 0
        self.next_tid = first_tid
        self.uses = 0  # buckets and searches that hold this node
        self.token: bytes | None = None
        self.token_at = NEVER
        # Of requests.py: what is under way, what waits for its turn, when the next may leave, and
        # whether a wake-up will see to it.
        self.pending: dict[int, Request] | None = None
        self.in_flight = 0
        self.waiting: deque[Request] | None = None
        self.pulse = NEVER
        self.has_turn = False
        # Of listening.py: our subscriptions there, by socket id.
        self.subscriptions: dict[int, Subscription] | None = None

    def move(self, addr: Address) -> None:
        """The node is reached at *addr* from now on; a token is bound to the old address."""
        self.addr = addr
        self.compact = _compact(self.id, addr)
        self.token = None

    def is_good(self, now: float) -> bool:
        """Not expired, answered within two hours and heard of within ten minutes."""
        return (
            not self.is_expired
            and now - self.heard_at <= GOOD_HEARD_WITHIN
            and now - self.replied_at <= GOOD_REPLIED_WITHIN
        )

    def lose(self, now: float) -> None:
        """Expire: it does not answer, or not as it should."""
        self.is_expired = True
        self.lost_at = now

    def may_revive(self, now: float) -> bool:
        """Expired, and silent for so long that hearsay may bring it back, elsewhere perhaps."""
        return self.is_expired and now - max(self.heard_at, self.lost_at) > GOOD_HEARD_WITHIN

    def fresh_token(self, now: float) -> bytes | None:
        """Return the write token that this node gave us, unless it may have been rotated away."""
        return self.token if now - self.token_at <= TOKEN_FRESH_WITHIN else None

    def take_tid(self) -> int:
        """Return the next id for a request to this node or a subscription on it; never 0."""
        tid = self.next_tid
        self.next_tid = tid % 0xFFFFFFFF + 1
        return tid

    @property
    def is_idle(self) -> bool:
        """Nothing needs this object: the cache may forget it."""
        return not (self.uses or self.pending or self.waiting or self.subscriptions)


class NodeCache:
    """Every node of one family that we have heard of, found by id or by closeness."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._by_id: dict[InfoHash, Node] = {}
        self._numbers: list[int] = []  # sorted; parallel to _sorted
        self._sorted: list[Node] = []
        self._sweep_at = IDLE_NODES_MAX

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._sorted)

    def find(self, node_id: InfoHash) -> Node | None:
        """Return the node of that id, if known."""
        return self._by_id.get(node_id)

    def add(self, node_id: InfoHash, addr: Address) -> Node:
        """Make a node that is not known yet."""
        if len(self._by_id) >= self._sweep_at:
            self._sweep()
        node = Node(node_id, addr, 1 + self._entropy.below(0xFFFFFFFF))
        self._by_id[node_id] = node
        place = bisect_left(self._numbers, node.number)
        self._numbers.insert(place, node.number)
        self._sorted.insert(place, node)
        return node

    def closest(self, number: int, count: int) -> list[Node]:
        """Return up to *count* usable nodes, closest to the id *number* first.

        Nodes that share a prefix with the target stand together in numeric order, so the range is
        widened to the next neighbour's prefix until it holds enough.
        """
        numbers = self._numbers
        low = high = bisect_left(numbers, number)
        found: list[Node] = []
        while len(found) < count:
            shared = 0
            if low > 0:
                shared = ID_BITS - (number ^ numbers[low - 1]).bit_length()
            if high < len(numbers):
                shared = max(shared, ID_BITS - (number ^ numbers[high]).bit_length())
            elif low == 0:
                break
            shift = ID_BITS - shared
            start = number >> shift << shift
            wider_low = bisect_left(numbers, start, 0, low)
            wider_high = bisect_left(numbers, start + (1 << shift), high)
            nearby = self._sorted[wider_low:low] + self._sorted[high:wider_high]
            usable = [n for n in nearby if not n.is_expired and not n.is_client]
            usable.sort(key=lambda node: node.number ^ number)
            found += usable
            low, high = wider_low, wider_high
        return found[:count]

    def _sweep(self) -> None:
        """Forget idle nodes, those heard of least recently first, down to half the allowance."""
        idle = sorted((n for n in self._sorted if n.is_idle), key=lambda node: node.heard_at)
        for node in idle[: max(0, len(idle) - IDLE_NODES_MAX // 2)]:
            del self._by_id[node.id]
        self._sorted = [node for node in self._sorted if node.id in self._by_id]
        self._numbers = [node.number for node in self._sorted]
        busy = len(self._by_id) - min(len(idle), IDLE_NODES_MAX // 2)
        self._sweep_at = busy + IDLE_NODES_MAX


def _compact(node_id: InfoHash, addr: Address) -> bytes:
    return node_id + addr.ip + addr.port.to_bytes(2)
