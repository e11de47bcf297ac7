"""Serving the requests of other nodes: nodes, tokens, values, subscriptions.

Reference sections 1.6, 1.9, 1.10 and 3.7. What a node may write is decided by its token, our
distance to the key, the value's type and the storage quota; a refusal is not told (by design of the
network), only a wrong token is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from shoal.core import Address, Family, InfoHash, SendDatagram
from shoal.core.ids import ZERO_HASH
from shoal.dht import wire
from shoal.dht.query import Field, FieldTable, Query
from shoal.dht.subscribers import DATAGRAM
from shoal.dht.table import closest_compact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from shoal.dht.keeper import Keeper
    from shoal.dht.nodes import Node
    from shoal.dht.query import Cell
    from shoal.dht.side import Side
    from shoal.dht.value import Value

NON_AUTHORITATIVE: Final = 203  # reference section 1.10
UNAUTHORIZED: Final = 401
NOT_FOUND: Final = 404
TOKEN_SIZE_MAX: Final = 64  # OpenDHT: longer tokens are not stored
IPV6_NUMBERS: Final = frozenset({10, 23, 30})  # AF_INET6 of Linux, Windows and macOS
CLOSER_NODES: Final = 14  # OpenDHT dht.cpp: SEARCH_NODES
PUT_VALUES_MAX: Final = 64  # ours: OpenDHT sends one per put
# ours: a get is answered whole in at most so many datagrams, or with the ids of the values, which
# can be asked for one by one (OpenDHT always does). Whoever forges the source address of a get
# would have all that a key holds sent there, else.
DATAGRAMS_MAX: Final = 128
TABLE_ROWS_MAX: Final = 8192  # ours: rows of an answer, which has to fit one datagram
TABLE_SIZE_MAX: Final = 60_000  # ours: bytes of them
CLOSER_NODES_MIN: Final = 8  # OpenDHT dht.cpp: TARGET_NODES

_new: Final = tuple.__new__  # skips the Python-level __new__ of NamedTuples, half their cost


class Responder:
    """Answers requests on one family; the keeper holds what both families store."""

    def __init__(self, side: Side, keeper: Keeper, sides: dict[Family, Side]) -> None:
        self._side = side
        self._keeper = keeper
        self._sides = sides
        self._context = side.context

    def serve(self, message: wire.Message, node: Node, addr: Address, now: float) -> None:
        """Answer *message*, which came from *addr*."""
        name, handler = self._HANDLERS[type(message)]
        counts = self._context.stats.requests_in
        counts[name] = counts.get(name, 0) + 1
        handler(self, message, node, addr, now)

    def _reply(
        self,
        tid: int,
        addr: Address,
        *,
        nodes: tuple[bytes, bytes] = (b"", b""),
        token: bytes | None = None,
        values: tuple[Value, ...] = (),
        fields: FieldTable | None = None,
        value_id: int | None = None,
    ) -> None:
        self._send(
            _new(
                wire.Reply,
                (tid, self._context.own_id, addr.ip, nodes[0], nodes[1], token, values, fields,
                 value_id, None),
            ),
            addr,
        )  # fmt: skip

    def _refuse(self, tid: int, addr: Address, code: int, text: str) -> None:
        self._send(wire.Error(tid, self._context.own_id, code, text), addr)

    def _send(self, message: wire.Message, addr: Address) -> None:
        context = self._context
        config = context.config
        for datagram in wire.encode(message, network=config.network, is_client=config.is_client):
            context.out.append(_new(SendDatagram, (datagram, addr)))

    def _nodes(
        self, target: InfoHash, want: tuple[int, ...] | None, asker: bytes, now: float
    ) -> tuple[bytes, bytes]:
        """Return the compact closest nodes of the wanted families, IPv4 then IPv6."""
        number = int.from_bytes(target)
        if want is None:
            near = closest_compact(self._side.table.candidates(number, now), number, asker)
            return (near, b"") if self._side.family is Family.IPV4 else (b"", near)
        wanted = {Family.IPV6 if one in IPV6_NUMBERS else Family(one) for one in want
                  if one in IPV6_NUMBERS or one == Family.IPV4}  # fmt: skip
        found = []
        for family in (Family.IPV4, Family.IPV6):
            side = self._sides.get(family)
            if side is None or family not in wanted:
                found.append(b"")
            else:
                found.append(closest_compact(side.table.candidates(number, now), number, asker))
        return found[0], found[1]

    def _on_ping(self, message: wire.Ping, node: Node, addr: Address, now: float) -> None:
        self._reply(message.tid, addr)

    def _on_find(self, message: wire.Find, node: Node, addr: Address, now: float) -> None:
        self._reply(
            message.tid,
            addr,
            nodes=self._nodes(message.target, message.want, message.sender, now),
            token=self._keeper.tokens.issue(addr),
        )

    def _on_get(self, message: wire.Get, node: Node, addr: Address, now: float) -> None:
        key, query = message.key, message.query
        if key == ZERO_HASH:
            self._refuse(message.tid, addr, NON_AUTHORITATIVE, "Get_values with no info_hash")
            return
        values = self._context.storage.values(key, query.where if query is not None else ())
        fields = None
        if values and query is not None and query.select:
            fields, values = _table(query.select, values), []
        elif len(values) > 1 and _datagrams(values) > DATAGRAMS_MAX:
            fields, values = _table((Field.ID,), values), []
        self._reply(
            message.tid,
            addr,
            nodes=self._nodes(key, message.want, message.sender, now),
            token=self._keeper.tokens.issue(addr),
            values=tuple(values),
            fields=fields,
        )

    def _on_put(self, message: wire.Put, node: Node, addr: Address, now: float) -> None:
        key = message.key
        if key == ZERO_HASH:
            self._refuse(message.tid, addr, NON_AUTHORITATIVE, "Put with no info_hash")
            return
        if not self._has_right(message.token, node, addr, now):
            self._refuse(message.tid, addr, UNAUTHORIZED, "Put with incorrect token")
            return
        is_ours = not self._side.table.is_beyond(
            int.from_bytes(key), CLOSER_NODES, CLOSER_NODES_MIN, now
        )
        self._context.stats.refused += max(0, len(message.values) - PUT_VALUES_MAX)
        for value in message.values[:PUT_VALUES_MAX]:
            if not value.id:
                self._refuse(message.tid, addr, NON_AUTHORITATIVE, "Put with invalid ID")
                return
            if is_ours:
                self._keeper.take(key, value, message.created, addr, now)
            else:
                self._context.stats.too_far += 1
            self._reply(message.tid, addr, value_id=value.id)

    def _on_refresh(self, message: wire.Refresh, node: Node, addr: Address, now: float) -> None:
        if not self._has_right(message.token, node, addr, now):
            self._refuse(message.tid, addr, UNAUTHORIZED, "Put with incorrect token")
        elif not self._keeper.has_key(message.key):
            self._refuse(message.tid, addr, NOT_FOUND, "Access operation for unknown storage")
        else:
            self._keeper.refresh(message.key, message.value_id, now)
            self._reply(message.tid, addr, value_id=message.value_id)

    def _on_listen(self, message: wire.Listen, node: Node, addr: Address, now: float) -> None:
        if message.key == ZERO_HASH:
            self._refuse(message.tid, addr, NON_AUTHORITATIVE, "Listen with no info_hash")
            return
        if not self._has_right(message.token, node, addr, now):
            self._refuse(message.tid, addr, UNAUTHORIZED, "Listen with incorrect token")
            return
        query = Query(where=message.query.where) if message.query is not None else Query()
        is_taken = self._keeper.subscribers.subscribe(
            message.key, node, message.socket_id, query, message.version, now
        )
        if is_taken:
            self._reply(message.tid, addr, token=self._keeper.tokens.issue(addr))

    def _on_update(self, message: wire.Update, node: Node, addr: Address, now: float) -> None:
        subscription = (node.subscriptions or {}).get(message.socket_id)
        if subscription is not None and node.addr == addr:
            if 0 < len(message.token) <= TOKEN_SIZE_MAX:
                node.token, node.token_at = message.token, now
            if message.values:
                subscription.take_values(message.values, now)
            if message.refreshed or message.expired:
                subscription.take_notice(message.refreshed, message.expired, now)
        self._reply(message.tid, addr)

    def _has_right(self, token: bytes, node: Node, addr: Address, now: float) -> bool:
        """Whether *token* was given to *addr*; it proves that the node is there."""
        if not self._keeper.tokens.accepts(token, addr):
            self._context.stats.bad_token += 1
            return False
        if node.addr != addr:
            node.move(addr)
        return True

    _HANDLERS: ClassVar[dict[type, tuple[str, Callable[..., None]]]] = {
        wire.Ping: ("ping", _on_ping),
        wire.Find: ("find", _on_find),
        wire.Get: ("get", _on_get),
        wire.Put: ("put", _on_put),
        wire.Refresh: ("refresh", _on_refresh),
        wire.Listen: ("listen", _on_listen),
        wire.Update: ("update", _on_update),
    }


def _datagrams(values: Sequence[Value]) -> int:
    """About how many datagrams carry *values*."""
    return len(values) + sum(value.size for value in values) // DATAGRAM


def _table(select: Iterable[Field], values: Sequence[Value]) -> FieldTable:
    """Return the fields of as many *values* as one datagram can carry."""
    table = FieldTable.of(select, values[:TABLE_ROWS_MAX])
    room = TABLE_SIZE_MAX
    for count, line in enumerate(table.cells):
        room -= sum(map(_size, line))
        if room < 0:
            return FieldTable(table.fields, table.cells[:count])
    return table


def _size(cell: Cell) -> int:
    """About how many bytes a field takes."""
    if isinstance(cell, int):
        return 9
    is_wide = isinstance(cell, str) and not cell.isascii()
    return 5 + (4 if is_wide else 1) * len(cell)
