"""What arrives: admitted or dropped, put together from its parts, and brought to who waits for it.

Reference sections 1.4, 1.10, 1.11 and 1.13.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from shoal.core import DecodeError, Family
from shoal.core.deadlines import Alarm
from shoal.dht import wire
from shoal.dht.limiter import RateLimiter
from shoal.dht.parts import Assembler
from shoal.dht.responder import TOKEN_SIZE_MAX, Responder
from shoal.dht.search import GET, LARGE, Search
from shoal.dht.side import Side, is_martian
from shoal.dht.table import Confidence

if TYPE_CHECKING:
    from shoal.core import Address
    from shoal.dht.context import Context
    from shoal.dht.keeper import Keeper

QUERIES: Final = frozenset(
    (wire.Ping, wire.Find, wire.Get, wire.Put, wire.Refresh, wire.Listen, wire.Update)
)
CARRIERS: Final = frozenset((wire.Put, wire.Update, wire.Reply))  # of values
LOOKUPS: Final = frozenset((wire.Find, wire.Get))
WRITES: Final = frozenset((wire.Put, wire.Listen, wire.Refresh))
WIDTH_4: Final = 26  # bytes of a node in a compact list, by family
WIDTH_6: Final = 38
UNAUTHORIZED: Final = 401
NOT_FOUND: Final = 404


class Receiver:
    """Takes every datagram of both families. What a peer sends never raises."""

    is_over = False  # it always wants to be woken

    def __init__(self, context: Context, keeper: Keeper, sides: dict[Family, Side]) -> None:
        config = context.config
        self.assembler = Assembler()
        self._alarm = Alarm(context.wakeups, self)
        self._context = context
        self._sides = sides
        self._limiter = RateLimiter(config.rate_limit_total, config.rate_limit_per_address)
        self._responders = {
            family: Responder(side, keeper, sides) for family, side in sides.items()
        }

    def receive(self, datagram: bytes, addr: Address, now: float) -> None:
        """Take one datagram; drop and count what is not for us."""
        stats = self._context.stats
        stats.received += 1
        side = self._sides.get(addr.family)
        if side is None or is_martian(addr) or (side.blacklist and addr in side.blacklist):
            stats.blacklisted += 1
            return
        try:
            message, network, is_client, _ = wire.decode(datagram)
        except DecodeError:
            stats.malformed += 1
            return
        if network != self._context.config.network:
            stats.foreign += 1
        else:
            self._classify(side, message, addr, now, is_client=is_client)

    def _classify(
        self, side: Side, message: wire.Message, addr: Address, now: float, *, is_client: bool
    ) -> None:
        kind = type(message)
        if kind is wire.Part:
            self._on_part(side, cast("wire.Part", message), addr, now, is_client=is_client)
            return
        sender = message.sender  # type: ignore[union-attr]  # parts are dealt with
        if sender == self._context.own_id or (sender is not None and not any(sender)):
            self._context.stats.bad_sender += 1
            return
        is_in_parts = kind in CARRIERS and message.sizes is not None  # type: ignore[union-attr]
        if kind in QUERIES:
            # An early part paid for its header, and for that only: not for other requests.
            is_paid = is_in_parts and self.assembler.awaits_header(addr, message.tid)
            if not is_paid and not self._limiter.admit(addr, now):
                self._context.stats.limited += 1
                return
        elif is_in_parts and not self._expects(side, message, addr, now):
            return
        if is_in_parts:
            complete = self.assembler.open(message, addr, now)  # type: ignore[arg-type]
            self._watch_assemblies()
            if complete is None:
                return
            message = complete
        self._process(side, message, addr, now, is_client=is_client)

    def _on_part(
        self, side: Side, part: wire.Part, addr: Address, now: float, *, is_client: bool
    ) -> None:
        if not self.assembler.is_open(addr, part.tid) and not self._limiter.admit(addr, now):
            self._context.stats.limited += 1
            return
        message = self.assembler.add(part, addr, now)
        self._watch_assemblies()
        if message is not None:
            self._process(side, message, addr, now, is_client=is_client)

    def wake(self, now: float) -> None:
        """Give up values whose parts do not come."""
        if self._alarm.rings(now):
            self.assembler.advance(now)
            self._watch_assemblies()

    def _watch_assemblies(self) -> None:
        moment = self.assembler.next_deadline()
        if moment is not None:
            self._alarm.set(moment)

    def _expects(self, side: Side, message: wire.Message, addr: Address, now: float) -> bool:
        """Whether a reply in parts answers a request; a get of much is told of it at once."""
        assert isinstance(message, wire.Reply), "only replies have sizes, besides requests"
        node = side.cache.find(message.sender)
        request = node.pending.get(message.tid) if node is not None and node.pending else None
        if node is None or request is None or node.addr != addr:
            self._context.requests.stats.unsolicited += 1
            return False
        is_get = request.purpose == GET and isinstance(request.owner, Search)
        if is_get and sum(message.sizes or ()) > LARGE:
            cast("Search", request.owner).is_large(request, now)
        return True

    def _process(
        self, side: Side, message: wire.Message, addr: Address, now: float, *, is_client: bool
    ) -> None:
        if type(message) is wire.Reply:
            self._on_reply(side, message, addr, now, is_client=is_client)
        elif type(message) is wire.Error:
            self._on_error(side, message, addr, now)
        elif type(message) is not wire.Notification:  # never asked for, so never ours
            sender = cast("wire.Ping", message).sender  # any request: they all have one
            node = side.hear_from(sender, addr, Confidence.REQUESTED, now, is_client=is_client)
            self._responders[side.family].serve(message, node, addr, now)

    def _on_reply(
        self, side: Side, reply: wire.Reply, addr: Address, now: float, *, is_client: bool
    ) -> None:
        if len(reply.nodes4) % WIDTH_4 or len(reply.nodes6) % WIDTH_6:
            self._context.stats.malformed += 1  # as the reference does, not only the list
            return
        known = side.cache.find(reply.sender)
        request = self._context.requests.match(reply.tid, known, addr, now)
        if request is None:
            return
        node = side.hear_from(reply.sender, addr, Confidence.REPLIED, now, is_client=is_client)
        if reply.token is not None and 0 < len(reply.token) <= TOKEN_SIZE_MAX:
            node.token, node.token_at = reply.token, now
        elif type(request.message) in LOOKUPS:
            self._context.stats.blacklisted += 1
            side.ban(node, now)
            if request.owner is not None:
                request.owner.on_lost(request, now)
            return
        if reply.seen_ip is not None:
            side.vote(reply.seen_ip)
        if reply.nodes4 or reply.nodes6:
            search = request.owner if isinstance(request.owner, Search) else None
            self._learn_nodes(reply, addr, search, now)
        if request.owner is not None:
            request.owner.on_answer(request, reply, now)

    def _learn_nodes(
        self, reply: wire.Reply, addr: Address, search: Search | None, now: float
    ) -> None:
        for family, nodes in ((Family.IPV4, reply.nodes4), (Family.IPV6, reply.nodes6)):
            side = self._sides.get(family)
            if side is not None and nodes:
                is_same = search is not None and search.side is side
                side.hear_of(nodes, addr, now, search if is_same else None)

    def _on_error(self, side: Side, error: wire.Error, addr: Address, now: float) -> None:
        known = None if error.sender is None else side.cache.find(error.sender)
        request = self._context.requests.peek(error.tid, known, addr)
        if request is None:
            return
        is_final = (error.code == UNAUTHORIZED and type(request.message) in WRITES) or (
            error.code == NOT_FOUND and type(request.message) is wire.Refresh
        )
        if not is_final:
            return  # as the reference does: go on asking
        self._context.requests.match(error.tid, known, addr, now)
        self._context.requests.stats.refused += 1
        if request.owner is not None:
            request.owner.on_refusal(request, error, now)
