"""The DHT node: everything it decides, without sockets, clocks or chance of its own.

Datagrams, commands and times go in; a list of effects comes out of each call. See
docs/topics/dht-node.md for a guided tour of the parts.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from shoal.core import Address, Entropy, Family, InfoHash, SendDatagram
from shoal.core.deadlines import Call, Deadlines, Sleeper
from shoal.dht import wire
from shoal.dht.connectivity import Connectivity
from shoal.dht.context import Context, DhtStats
from shoal.dht.effects import (
    Done,
    Effect,
    Status,
)
from shoal.dht.errors import TooManyOperationsError, ValueTooLargeError
from shoal.dht.keeper import Keeper
from shoal.dht.operations import GetOperation, ListenGroup, PutOperation
from shoal.dht.query import Query, Where
from shoal.dht.receiver import Receiver
from shoal.dht.requests import Pinger, RequestEngine
from shoal.dht.runs import SearchReport, SearchState, reports
from shoal.dht.search import FIND, Search
from shoal.dht.side import NodeCounts, Side, is_martian
from shoal.dht.storage import Storage, StoredValue
from shoal.dht.types import TypeRegistry
from shoal.dht.upkeep import Upkeep
from shoal.dht.value import PACKED_SIZE_MAX, VALUE_SIZE_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from shoal.dht.config import DhtConfig
    from shoal.dht.state import SavedValue
    from shoal.dht.table import Bucket
    from shoal.dht.value import Value

ALWAYS_FITS: Final = 32_768  # ours: a size whose overhead, keys of 16,384 bits too, fits as well
SEARCHES_SPARE: Final = 64  # ours: searches that operations leave for the node's own needs
QUEUED_MAX: Final = 15.0  # ours: a request and a half; then an operation is tried as things are
LISTEN_KEPT: Final = 60.0  # OpenDHT: a listen that comes back within a minute is free
TOKEN_SIZE_MAX: Final = 64  # OpenDHT: longer tokens are not stored


class DhtEngine:
    """One participant of an OpenDHT network, on one or two address families.

    `wall_offset` is Unix time minus monotonic time; whoever drives the engine keeps it current,
    because put requests carry dates.
    """

    def __init__(
        self,
        config: DhtConfig,
        entropy: Entropy,
        now: float,
        *,
        wall_offset: float,
        types: TypeRegistry | None = None,
    ) -> None:
        assert config.families, "a node is somewhere"
        self.config = config
        self.node_id = config.node_id or InfoHash(entropy.token_bytes(InfoHash.length))
        self.stats = DhtStats()
        self.types = TypeRegistry() if types is None else types
        self._out: list[object] = []
        wakeups: Deadlines[Sleeper] = Deadlines()
        self._wakeups = wakeups
        requests = RequestEngine(
            self._out,
            wakeups,
            entropy,
            config.network,
            config.pace_per_node,
            is_client=config.is_client,
        )
        storage = Storage(config.storage_limit, config.local_storage_limit, config.storage_keys_max)
        self._context = Context(
            config, entropy, self.node_id, self._out, self.stats, requests, storage, self.types,
            groups={}, puts={}, wakeups=wakeups,
        )  # fmt: skip
        self._requests = requests
        self._keeper = Keeper(self._context, now)
        self._keeper.wall_offset = wall_offset
        self._sides = {family: Side(family, self._context, now) for family in config.families}
        self._receiver = Receiver(self._context, self._keeper, self._sides)
        self._connectivity = Connectivity(self._context, self._sides, now)
        self._bootstrap = self._connectivity.bootstrap
        self._upkeep = Upkeep(self._context, self._keeper, self._sides, self._hand_on, now)
        self._gets: dict[int, GetOperation] = {}
        self._listens: dict[int, ListenGroup] = {}
        self._pings: dict[int, Pinger] = {}
        self._put_ops: dict[int, PutOperation] = {}
        self._queued_until = now
        self._queue: dict[
            int, Callable[[float], None]
        ] = {}  # operations that wait for a connection

    # ---- the outside world -----------------------------------------------------------------

    @property
    def wall_offset(self) -> float:
        """Unix time minus monotonic time, in seconds."""
        return self._keeper.wall_offset

    @wall_offset.setter
    def wall_offset(self, offset: float) -> None:
        self._keeper.wall_offset = offset

    def receive(self, datagram: bytes, addr: Address, now: float) -> list[Effect]:
        """Take one datagram; drop and count what is not for us."""
        self._receiver.receive(datagram, addr, now)
        return self._flush(now)

    def send_failed(self, addr: Address, now: float) -> list[Effect]:
        """The system says that *addr* cannot be reached."""
        side = self._side_of(addr)
        if side is not None:
            self._requests.address_is_lost(addr, now)
            for node in side.cache:
                if node.addr == addr and not node.is_expired:
                    self._requests.node_is_lost(node, now)
        return self._flush(now)

    def next_deadline(self) -> float | None:
        """When `advance` next has work."""
        return self._wakeups.next()

    def advance(self, now: float) -> list[Effect]:
        """Do what is due at *now*."""
        has_woken = False
        while (sleeper := self._wakeups.pop_due(now)) is not None:
            sleeper.wake(now)
            has_woken = True
        return self._flush(now) if has_woken else []

    # ---- operations ------------------------------------------------------------------------

    def get(self, op: int, key: InfoHash, now: float, *, where: Where = ()) -> list[Effect]:
        """Look for the values at *key* that meet *where*; ends in Done.

        Raises:
            TooManyOperationsError: too many operations are under way.
        """
        return self.query(op, key, Query(where=where), now)

    def query(
        self, op: int, key: InfoHash, query: Query, now: float, *, is_remote: bool = False
    ) -> list[Effect]:
        """Look for fields of the values at *key*, or for whole values; ends in Done.

        *is_remote* asks other nodes alone: what they have is not what we store or remember.

        Raises:
            TooManyOperationsError: too many operations are under way.
        """
        self._check_room()
        operation = GetOperation(op, key, query, self._sides, now, self._out)
        self._gets[op] = operation
        local = () if is_remote else self._context.storage.values(key, query.where)
        if local:
            operation.take_values(local)
        if local and Status.CONNECTED in self.status:
            # The caller has those at once: the search is made when the engine next wakes.
            self._wakeups.add(now, Call(partial(self._begin_get, operation)))
        elif is_remote or not self._answer_from_listen(operation):
            self._start(op, partial(self._start_get, operation), now)
        return self._flush(now)

    def listen(self, op: int, key: InfoHash, now: float, *, where: Where = ()) -> list[Effect]:
        """Follow the values at *key* that meet *where*, until cancelled.

        Raises:
            TooManyOperationsError: too many operations are under way.
        """
        self._check_room()
        query = Query(where=where)
        group = self._context.groups.setdefault(key, {}).get(query)
        if group is None:
            group = ListenGroup(
                key, query, self._out, self._context.wakeups, self.types.is_authentic
            )
            self._context.groups[key][query] = group
            for stored in self._context.storage.entries(key):
                self._keeper.tell_group(group, stored)
        self._listens[op] = group
        group.join(op)
        self._start(op, partial(self._start_listen, group), now)
        return self._flush(now)

    def put(
        self,
        op: int,
        key: InfoHash,
        value: Value,
        now: float,
        *,
        created: float | None = None,
        permanent: bool = False,
    ) -> list[Effect]:
        """Store *value* (its id must be set) on the nodes closest to *key*; ends in Done.

        *created* is Unix time; None is now. A permanent put is renewed until `cancel_put`.

        Raises:
            ValueTooLargeError: nodes would not store it.
            TooManyOperationsError: too many operations are under way.
        """
        assert value.id, "the caller chose an id"
        if value.size > VALUE_SIZE_MAX:
            raise ValueTooLargeError(f"{value.size} bytes, of at most {VALUE_SIZE_MAX}")
        # Nodes skip what is larger and never answer: they would seem dead (reference, gotcha 16).
        if value.size > ALWAYS_FITS and (size := len(value.packed())) > PACKED_SIZE_MAX:
            raise ValueTooLargeError(f"{size} bytes when packed, of at most {PACKED_SIZE_MAX}")
        self._check_room()
        place = (key, value.id)
        older = self._context.puts.get(place)
        is_known = older is not None and older.value.content_equals(value)
        if older is not None and is_known and (older.is_permanent or not permanent):
            self._put_ops[op] = older
            older.join(op)
            return self._flush(now)
        callers = [op]
        if older is not None:
            if is_known:  # from now on for good: the new operation tells the callers of the old
                callers = [*older.hand_over(), op]
            self._withdraw(older, now)
        operation = self._make_put(callers, key, value, now, created, is_permanent=permanent)
        self._context.puts[place] = operation
        self._put_ops.update(dict.fromkeys(callers, operation))
        self._start(op, partial(self._start_put, operation), now)
        return self._flush(now)

    def cancel(self, op: int, now: float) -> list[Effect]:
        """End a get, query, listen or ping: nothing more is reported for *op*."""
        if op not in self._put_ops:
            self._queue.pop(op, None)
        operation = self._gets.pop(op, None)
        if operation is not None:
            operation.is_over = True
            for side in self._sides.values():
                search = side.searches.get(operation.key)
                if search is not None and operation in search.gets:
                    search.gets.remove(operation)
                    search.rest(SearchState.STOPPED, now)
        group = self._listens.pop(op, None)
        if group is not None:
            group.leave(op, now)
            if not group.ops:
                self._context.wakeups.add(now + LISTEN_KEPT, Call(partial(self._end_group, group)))
        self._pings.pop(op, None)
        return self._flush(now)

    def cancel_put(self, key: InfoHash, value_id: int, now: float) -> list[Effect]:
        """Stop announcing a value, and forget our own copy; others' copies expire in time."""
        operation = self._context.puts.get((key, value_id))
        if operation is not None:
            self._withdraw(operation, now)
        held = self._context.storage.find(key, value_id)
        if held is not None and held.storer is None:
            self._keeper.remove(key, value_id, now)
        return self._flush(now)

    def close(self, now: float) -> list[Effect]:
        """Leave: hand stored values on if they are to be maintained. Nothing is awaited."""
        if self.config.maintain_storage:
            self._upkeep.hand_over(now)
        return self._flush(now)

    @property
    def is_writing(self) -> bool:
        """Whether values are on their way to other nodes: who leaves now may lose them."""
        return any(
            not put.is_permanent or not put.is_told
            for side in self._sides.values()
            for search in side.searches.values()
            for put in search.puts.values()
        )

    # ---- connectivity ----------------------------------------------------------------------

    @property
    def status(self) -> tuple[Status, Status]:
        """The connectivity of IPv4 and of IPv6."""
        return self._connectivity.status

    def bootstrap(self, hosts: Sequence[tuple[str, int]], now: float) -> list[Effect]:
        """Know these (host, port) pairs, and start from them while nobody else is known."""
        self._bootstrap.add(hosts, now)
        return self._flush(now)

    def clear_bootstrap(self, now: float) -> list[Effect]:
        """Forget all bootstrap hosts."""
        self._bootstrap.clear()
        return self._flush(now)

    def resolved(self, host: str, port: int, addrs: list[Address], now: float) -> list[Effect]:
        """Answer a `ResolveHost`; no addresses mean that the name is unknown."""
        self._bootstrap.resolved(host, port, addrs, now)
        return self._flush(now)

    def ping(self, op: int, addr: Address, now: float) -> list[Effect]:
        """Ask whoever is at *addr*; ends in Done. An answer makes it known to us.

        Raises:
            TooManyOperationsError: too many operations are under way.
        """
        self._check_room()
        side = self._side_of(addr)
        if side is None:
            self._out.append(Done(op, ok=False, nodes=0))
            return self._flush(now)
        pinger = Pinger(partial(self._end_ping, op))
        self._pings[op] = pinger
        tid = 1 + self._context.entropy.below(0xFFFFFFFF)
        self._context.count_request("ping")
        self._requests.ask_address(wire.Ping(tid, self.node_id), addr, pinger, FIND, now)
        return self._flush(now)

    def insert_node(self, node_id: InfoHash, addr: Address, now: float) -> list[Effect]:
        """Know a node from a state file, a local announcement or the caller, and ask it."""
        side = self._side_of(addr)
        node = None if side is None else side.insert(node_id, addr, now)
        if side is not None and node is not None and not node.is_good(now):
            if not node.pending:
                side.ping(node, now)
            side.maintenance.hasten(now)
        return self._flush(now)

    def connectivity_changed(self, now: float) -> list[Effect]:
        """Our own network changed: check everything that was learned over the old one."""
        for side in self._sides.values():
            side.forget_connectivity(now)
        if self._bootstrap.hosts:
            self._bootstrap.start(now)
        return self._flush(now)

    # ---- looking inside --------------------------------------------------------------------

    def node_stats(self, family: Family, now: float) -> NodeCounts | None:
        """Count the nodes of a family by state; None without a socket for it."""
        side = self._sides.get(family)
        return None if side is None else side.counts(now)

    def routing_table(self, family: Family) -> list[Bucket]:
        """Return the buckets of a family, for display."""
        side = self._sides.get(family)
        return [] if side is None else list(side.table.buckets)

    def searches(self, family: Family) -> list[Search]:
        """Return the searches of a family, for display."""
        side = self._sides.get(family)
        return [] if side is None else list(side.searches.values())

    def search_reports(self, now: float) -> list[SearchReport]:
        """Tell of searches that are under way, and of those of the last minute, for display."""
        searches = [one for side in self._sides.values() for one in side.searches.values()]
        return reports(searches, self._context.ended_runs, now)

    @property
    def storage(self) -> Storage:
        """What is stored, for display."""
        return self._context.storage

    def storage_size(self) -> tuple[int, int]:
        """Return how many values are stored, and the bytes of their contents."""
        return self._context.storage.count, self._context.storage.size

    @property
    def request_stats(self) -> object:
        """Counters of requests made."""
        return self._requests.stats

    @property
    def assembly_stats(self) -> object:
        """Counters of values received in parts."""
        return self._receiver.assembler.stats

    @property
    def subscriber_count(self) -> int:
        """How many subscriptions other nodes have with us."""
        return len(self._keeper.subscribers)

    def export_nodes(self, now: float) -> list[tuple[InfoHash, Address]]:
        """Return the good nodes, those around our own id first."""
        found = []
        for side in self._sides.values():
            own = int.from_bytes(self.node_id)
            nodes = sorted(side.table, key=lambda node: node.number ^ own)
            found += [(node.id, node.addr) for node in nodes if node.is_good(now)]
        return found

    def export_values(self, now: float) -> list[SavedValue]:
        """Return what is stored and will expire, its times as Unix seconds."""
        self._keeper.wake(now)
        return self._keeper.export()

    def import_values(self, values: Iterable[SavedValue], now: float) -> list[Effect]:
        """Take back exported values that are still alive."""
        self._keeper.load(values, now)
        return self._flush(now)

    def set_storage_limit(self, limit: int, now: float) -> list[Effect]:
        """Change how many bytes values of others may use."""
        self._keeper.set_limit(limit, now)
        return self._flush(now)

    # ---- incoming --------------------------------------------------------------------------

    def _side_of(self, addr: Address) -> Side | None:
        return None if is_martian(addr) else self._sides.get(addr.family)

    # ---- operations, inside ----------------------------------------------------------------

    def _check_room(self) -> None:
        context = self._context
        asking = len(self._gets) + len(self._listens) + len(self._pings)
        under_way = asking + len(context.groups) + len(context.puts)
        if under_way >= self.config.searches_max - SEARCHES_SPARE:
            raise TooManyOperationsError(f"{under_way} operations are under way")

    def _start(self, op: int, start: Callable[[float], None], now: float) -> None:
        """Run an operation, or let it wait while a connection is being made."""
        if self._connectivity.is_in_the_making:
            if not self._queue:
                self._queued_until = now + QUEUED_MAX
                self._wakeups.add(self._queued_until, Call(lambda now: None))
                self._connectivity.hurry(now)
            self._queue[op] = start
        else:
            start(now)

    def _begin_get(self, operation: GetOperation, now: float) -> None:
        if not operation.is_over and not self._answer_from_listen(operation):
            self._start(operation.op, partial(self._start_get, operation), now)

    def _start_get(self, operation: GetOperation, now: float) -> None:
        for side in self._sides.values():
            side.search_for(operation.key, now).add_get(operation, now)

    def _start_listen(self, group: ListenGroup, now: float) -> None:
        for side in self._sides.values():
            side.search_for(group.key, now).add_listening(group.query, now)

    def _start_put(self, operation: PutOperation, now: float) -> None:
        for side in self._sides.values():
            side.search_for(operation.key, now).add_put(operation, now)

    def _answer_from_listen(self, operation: GetOperation) -> bool:
        """Answer a get from a listen that covers it and has been acknowledged everywhere."""
        groups = self._context.groups.get(operation.key)
        if not groups or operation.query.select:
            return False
        for query, group in groups.items():
            if not group.ops or not operation.query.is_satisfied_by(query):
                continue
            established = [
                side.searches[group.key].is_established(query)
                for side in self._sides.values()
                if group.key in side.searches and side.searches[group.key].nodes
            ]
            if established and all(established):
                operation.take_values(group.values())
                for family in self._sides:
                    operation.family_ended(family, ok=True)
                return True
        return False

    def _make_put(
        self,
        ops: list[int],
        key: InfoHash,
        value: Value,
        now: float,
        created: float | None,
        *,
        is_permanent: bool,
    ) -> PutOperation:
        life = self.types.life(value.type)
        since = self._keeper.monotonic(created, now)
        is_past = created is not None and not is_permanent and since < now - 1.0
        operation = PutOperation(
            ops,
            key,
            value,
            self._sides,
            self._out,
            is_permanent=is_permanent,
            wall_created=int(created) if is_past and created is not None else None,
            life=life,
        )
        expires = float("inf") if is_permanent else since + life
        if expires > now:
            self._keeper.store(StoredValue(key, value, since, expires, None), now)
        return operation

    def _hand_on(self, stored: StoredValue, side: Side, now: float) -> None:
        """Announce a value that we keep for another node, with the life that is left to it."""
        operation = PutOperation(
            [],
            stored.key,
            stored.value,
            (side.family,),
            self._out,
            is_permanent=False,
            wall_created=int(stored.created + self._keeper.wall_offset),
            life=self.types.life(stored.value.type),
        )
        operation.is_told = True  # nobody asked for it, nobody is to hear of it
        with suppress(TooManyOperationsError):  # the value stays here for the next time
            search = side.search_for(stored.key, now)
            if stored.value.id not in search.puts:
                search.add_put(operation, now)

    def _withdraw(self, operation: PutOperation, now: float) -> None:
        """Stop announcing; callers that still wait hear of failure."""
        operation.tell(ok=False)
        operation.is_over = True
        self._context.puts.pop((operation.key, operation.value.id), None)
        for op in operation.ops:
            self._queue.pop(op, None)
        for side in self._sides.values():
            search = side.searches.get(operation.key)
            if search is not None:
                search.remove_put(operation.value.id)
                search.rest(SearchState.STOPPED, now)

    def _end_ping(self, op: int, *, ok: bool) -> None:
        if self._pings.pop(op, None) is not None:
            self._out.append(Done(op, ok=ok, nodes=int(ok)))

    def _end_group(self, group: ListenGroup, now: float) -> None:
        """Nobody came back to a listen within a minute."""
        groups = self._context.groups.get(group.key)
        if group.ops or groups is None or groups.get(group.query) is not group:
            return
        if now < group.abandoned_at + LISTEN_KEPT:
            return
        for side in self._sides.values():
            search = side.searches.get(group.key)
            if search is not None:
                search.remove_listening(group.query, now)
                search.rest(SearchState.STOPPED, now)
        del groups[group.query]
        if not groups:
            del self._context.groups[group.key]

    # ---- after each call -------------------------------------------------------------------

    def _flush(self, now: float) -> list[Effect]:
        """Notice what changed as a whole, then hand over all effects."""
        self._connectivity.look(now)
        if self._queue and (not self._connectivity.is_in_the_making or now >= self._queued_until):
            queue, self._queue = self._queue, {}
            for start in queue.values():
                start(now)
        effects = cast("list[Effect]", self._out[:])
        self._out.clear()
        for effect in effects:
            if type(effect) is SendDatagram:
                self.stats.sent += 1
            elif type(effect) is Done:
                self._gets.pop(effect.op, None)
                self._forget_put(effect.op)
        self._wakeups.drop_over()
        return effects

    def _forget_put(self, op: int) -> None:
        """An ordinary put is over once its callers were told."""
        operation = self._put_ops.pop(op, None)
        if operation is not None and operation.is_over:
            place = (operation.key, operation.value.id)
            if self._context.puts.get(place) is operation:
                del self._context.puts[place]
