"""Offers and answers of connections, carried by the DHT.

    in    value at one of our two keys ── decode ── how often from there? ── chain ── DeliverSignal
                                                                      later └── none ──┘
    out   SendSignal ── seal for the device ── put at its long key, its short one, or both

A device of ours listens at the keys of both of its ids; which of them a request came to is its
*route*, and the answer goes to the same family of keys. An offer goes to both keys: whoever listens
at both knows it by its id and takes it once. A device may call before its own chain is with all
nodes that keep it, and does not call twice: so a chain that is missed is looked for again, as long
as the caller waits for an answer.

Source: dhtnet connectionmanager.cpp; reference sections 3.5, 3.9, 5.2 and 5.3.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError, DeviceId, InfoHash
from shoal.core.records import dataclass
from shoal.dht import Value
from shoal.net import DHT_USER_TYPE, PeerRequest, peer_key
from shoal.node.account.chains import DeviceName
from shoal.node.account.effects import (
    DeliverSignal,
    DhtCancel,
    DhtListen,
    DhtSeal,
    FailSignal,
)
from shoal.node.account.limiter import SenderLimiter
from shoal.node.errors import DeviceNotFoundError, TooMuchAskedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.identity import DeviceChain
    from shoal.net.effects import SendSignal
    from shoal.node.account.chains import Chains
    from shoal.node.account.operations import Operations

LONG_ROUTE: Final = "dht/long"
SHORT_ROUTE: Final = "dht/short"
REQUESTS_BURST: Final = 20  # ours: requests of one device at once; a busy peer makes a few
REQUESTS_RATE: Final = 0.5  # per second and device; ours
SENDERS_MAX: Final = 4096  # ours: devices that are told apart
WAITING_MAX: Final = 256  # ours: requests whose sender's chain is being looked for, or will be
RETRY_FIRST: Final = 8.0  # seconds, doubled for each try: chains.MISSING_KEPT must be over; ours
TRIES_MAX: Final = 3  # the last one when the caller has waited for 24 of its 30 seconds


@dataclass(slots=True)
class SignallingStats:
    """Counters of signalling over the DHT.

    Attributes:
        received: offers and answers that came, each key counted.
        undecodable: values at our keys that are neither.
        limited: dropped because their sender sends too many.
        unknown: dropped because the sender's chain was not found, or does not hold.
        delivered: handed to the connections.
        sent: put for others.
        unsent: which no other node took.
    """

    received: int = 0
    undecodable: int = 0
    limited: int = 0
    unknown: int = 0
    delivered: int = 0
    sent: int = 0
    unsent: int = 0


@dataclass(slots=True, eq=False)
class _Outgoing:
    """An offer or answer that is being put."""

    attempt: int
    is_answer: bool
    left: int
    is_taken: bool = False


@dataclass(slots=True, eq=False)
class _Incoming:
    """An offer or answer whose sender's chain is not here yet."""

    request: PeerRequest
    route: str
    name: DeviceName
    tries: int = 0
    retry_at: float = 0.0


class DhtSignalling:
    """Carries the offers and answers of one device over the DHT."""

    def __init__(
        self, operations: Operations, chains: Chains, device: DeviceId, short_id: InfoHash
    ) -> None:
        """Listen for the device with these ids once started."""
        self.stats: Final = SignallingStats()
        self._operations = operations
        self._chains = chains
        self._device = device
        self._keys = {LONG_ROUTE: peer_key(device), SHORT_ROUTE: peer_key(short_id)}
        self._routes: dict[int, str] = {}  # by op of the listen
        self._limiter: SenderLimiter[InfoHash] = SenderLimiter(
            REQUESTS_BURST, REQUESTS_RATE, SENDERS_MAX
        )
        self._waiting: dict[int, _Incoming] = {}  # by op of the search
        self._retries: list[_Incoming] = []
        self._outgoing: dict[int, _Outgoing] = {}  # by op of the put

    def __contains__(self, op: int) -> bool:
        """Whether *op* is a search of ours."""
        return op in self._waiting

    def start(self) -> list[object]:
        """Listen at both keys."""
        effects: list[object] = []
        for route, key in self._keys.items():
            op = self._operations.begin(self)
            self._routes[op] = route
            effects.append(DhtListen(op, key))
        return effects

    def stop(self) -> list[object]:
        """Listen no longer, and forget what waits."""
        effects: list[object] = [DhtCancel(op) for op in self._routes]
        for op in self._waiting:
            effects += self._chains.cancel(op)
        for op in (*self._routes, *self._waiting, *self._outgoing):
            self._operations.end(op)
        self._routes, self._waiting, self._outgoing = {}, {}, {}
        self._retries.clear()
        return effects

    def next_deadline(self) -> float | None:
        """When a chain is to be looked for again."""
        return min((each.retry_at for each in self._retries), default=None)

    def advance(self, now: float) -> list[object]:
        """Look again for chains that were missed."""
        due = [each for each in self._retries if each.retry_at <= now]
        self._retries = [each for each in self._retries if each.retry_at > now]
        effects: list[object] = []
        for incoming in due:
            effects += self._look(incoming, now)
        return effects

    def send(self, signal: SendSignal) -> list[object]:
        """Put an offer or answer where its receiver listens."""
        peer = signal.peer
        routes = (signal.route,) if signal.route in self._keys else (LONG_ROUTE, SHORT_ROUTE)
        outgoing = _Outgoing(signal.attempt, signal.request.is_answer, len(routes))
        value = Value(signal.request.packed(), user_type=DHT_USER_TYPE)
        effects: list[object] = []
        for route in routes:
            key = peer_key(peer.device if route == LONG_ROUTE else peer.short_id)
            op = self._operations.begin(self)
            self._outgoing[op] = outgoing
            effects.append(DhtSeal(op, key, value, peer.certificate.public_key.spki))
        self.stats.sent += 1
        return effects

    def values_found(self, op: int, values: Sequence[Value], now: float) -> list[object]:
        """Take values that were decrypted for us at one of our keys."""
        route = self._routes.get(op)
        effects: list[object] = []
        for value in values if route is not None else ():
            if value.user_type == DHT_USER_TYPE and value.owner is not None:
                assert route is not None
                effects += self._received(value, route, now)
        return effects

    def values_expired(self, op: int, values: Sequence[Value], now: float) -> list[object]:
        """Ignore: a request that is gone from the DHT has long been dealt with."""
        return []

    def dht_done(self, op: int, is_ok: bool, now: float) -> list[object]:
        """Take the outcome of a put; of two keys, one is enough."""
        outgoing = self._outgoing.pop(op, None)
        if outgoing is None:
            return []
        outgoing.left -= 1
        outgoing.is_taken |= is_ok
        if outgoing.left or outgoing.is_taken:
            return []
        self.stats.unsent += 1
        return [FailSignal(outgoing.attempt, "no node of the DHT took the offer")]

    def chain_found(self, op: int, chain: DeviceChain) -> list[object]:
        """Take the chain of a request's sender; whether it may connect is asked further on."""
        incoming = self._waiting.pop(op, None)
        if incoming is None:
            return []
        self._operations.end(op)
        self.stats.delivered += 1
        return [DeliverSignal(incoming.request, chain, incoming.route)]

    def chain_missing(self, op: int, error: Exception | None) -> list[object]:
        """Look again later for what was not found; in the end drop who proves nothing."""
        incoming = self._waiting.pop(op, None)
        if incoming is None:
            return []
        self._operations.end(op)
        if isinstance(error, DeviceNotFoundError) and incoming.tries < TRIES_MAX:
            self._retries.append(incoming)
        else:
            self.stats.unknown += 1
        return []

    def _received(self, value: Value, route: str, now: float) -> list[object]:
        sender = value.owner_id
        assert sender is not None, "what was decrypted is signed"
        self.stats.received += 1
        try:
            request = PeerRequest.unpack(value.data)
        except DecodeError:
            self.stats.undecodable += 1
            return []
        waiting = len(self._waiting) + len(self._retries)
        if not self._limiter.allows(sender, now) or waiting >= WAITING_MAX:
            self.stats.limited += 1
            return []
        assert value.owner is not None
        name = DeviceName(_device_of(value.owner), sender)
        return self._look(_Incoming(request, route, name), now)

    def _look(self, incoming: _Incoming, now: float) -> list[object]:
        """Look for the chain of who sent a request."""
        incoming.retry_at = now + RETRY_FIRST * 2.0**incoming.tries
        incoming.tries += 1
        op = self._operations.begin(self)
        self._waiting[op] = incoming
        try:
            return self._chains.find(op, incoming.name, now)
        except TooMuchAskedError:
            return self.chain_missing(op, None)


def _device_of(spki: bytes) -> DeviceId:
    return DeviceId(hashlib.sha256(spki).digest())
