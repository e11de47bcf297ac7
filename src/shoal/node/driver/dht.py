"""DHT nodes that accounts share, and how an account's engine uses one.

Accounts of one network, with the same hosts to join by, share a node: one id, one socket per
family. An account may have one of its own, and with a proxy configured nothing goes over UDP.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

from shoal.dht import DhtConfig, DhtNode
from shoal.dht.driver.hosts import public_hosts
from shoal.dht.driver.lifecycle import ANY_ADDRESS
from shoal.dht.effects import Done, Status, ValuesExpired, ValuesFound
from shoal.dht.errors import DhtError
from shoal.node.account.effects import (
    DhtCancel,
    DhtGet,
    DhtListen,
    DhtPut,
    DhtSeal,
    DhtWithdraw,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from shoal.core import Address
    from shoal.crypto import Identity
    from shoal.dht import SecureEngine, Value
    from shoal.dht.driver.runtime import OperationEvent
    from shoal.node.config import AccountSettings, DhtSettings
    from shoal.node.driver.home import Home

_log = logging.getLogger(__name__)

DhtOrder: TypeAlias = DhtPut | DhtSeal | DhtGet | DhtListen | DhtCancel | DhtWithdraw
DHT_ORDERS: Final = (DhtPut, DhtSeal, DhtGet, DhtListen, DhtCancel, DhtWithdraw)


class DhtPlace(NamedTuple):
    """Which DHT an account is in: accounts of one place share a node.

    Attributes:
        network: its id.
        bootstrap: hosts to join by.
        proxy: URL of a proxy, or empty.
        owner: the account that has a node of its own, or empty.
    """

    network: int
    bootstrap: tuple[str, ...]
    proxy: str
    owner: str = ""

    @classmethod
    def of(cls, account: str, node: DhtSettings, own: AccountSettings) -> DhtPlace:
        """Return where *account* is, by the settings of the node and its own."""
        return cls(
            node.network if own.network is None else own.network,
            node.bootstrap if own.bootstrap is None else own.bootstrap,
            node.proxy if own.proxy is None else own.proxy,
            account if own.own_dht else "",
        )

    @property
    def name(self) -> str:
        """A name for its files."""
        text = "\0".join((str(self.network), *self.bootstrap, "", self.proxy, self.owner))
        return f"{self.network}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


class DhtPool:
    """The DHT nodes of a process, each open for as long as an account uses it."""

    def __init__(
        self, home: Home, settings: DhtSettings, *, has_ipv6: bool, is_offline: bool = False
    ) -> None:
        """Make nodes by *settings*; if *is_offline*, they are never opened, and refuse all."""
        self._is_offline = is_offline
        self._home = home
        self._settings = settings
        self._has_ipv6 = has_ipv6
        self._nodes: dict[DhtPlace, DhtNode] = {}
        self._users: dict[DhtPlace, int] = {}
        self._lock = asyncio.Lock()

    @property
    def nodes(self) -> dict[DhtPlace, DhtNode]:
        """The nodes that are open."""
        return dict(self._nodes)

    async def take(self, place: DhtPlace) -> DhtNode:
        """Return the node of *place*, opened for its first user.

        Raises:
            BindError: its port cannot be had.
            StateFileError: its state file cannot be used.
        """
        async with self._lock:
            node = self._nodes.get(place)
            if node is None:
                node = self._make(place)
                if not self._is_offline:
                    await node.start()
                self._nodes[place] = node
            self._users[place] = self._users.get(place, 0) + 1
            return node

    async def release(self, place: DhtPlace) -> None:
        """Let go of the node of *place*; without users it is closed."""
        async with self._lock:
            self._users[place] -= 1
            if self._users[place]:
                return
            del self._users[place]
            await self._nodes.pop(place).close()

    def _make(self, place: DhtPlace) -> DhtNode:
        settings = self._settings
        bind = settings.bind or (ANY_ADDRESS if self._has_ipv6 else ANY_ADDRESS[:1])
        state = self._home.dht_state(place.name)
        if place.proxy:
            from shoal.dht.proxy.driver.proxy_node import ProxyNode  # noqa: PLC0415 - optional

            return ProxyNode(proxy=place.proxy, network=place.network, state=state)
        return DhtNode(
            # The port is that of one node; others get any.
            settings.port if not self._nodes else 0,
            bootstrap=_hosts(place, is_alone=settings.alone),
            network=place.network,
            state=state,
            bind=bind,
            has_discovery=settings.discovery,
            config=DhtConfig(is_client=settings.client),
        )


class DhtUser(Protocol):
    """An engine that has operations in the DHT."""

    def values_found(self, op: int, values: Sequence[Value], now: float) -> Sequence[object]:
        """Take values of a get or a listen."""
        ...

    def values_expired(self, op: int, values: Sequence[Value], now: float) -> Sequence[object]:
        """Take values that are gone."""
        ...

    def dht_done(self, op: int, is_ok: bool, now: float) -> Sequence[object]:
        """Take the end of a get or a put."""
        ...


class DhtPort:
    """Carries the orders of one account's engine to a DHT node, and back what comes of them."""

    def __init__(
        self,
        node: DhtNode,
        identity: Identity,
        engine: DhtUser,
        apply: Callable[[Sequence[object]], None],
    ) -> None:
        """Sign and decrypt as *identity*; hand what *engine* returns to *apply*."""
        self._node = node
        self._identity = identity
        self._engine = engine
        self._apply = apply
        self._loop = asyncio.get_running_loop()
        self._ops: dict[int, int] = {}  # of the node, by that of the engine
        self._is_closed = False

    @property
    def public_addresses(self) -> tuple[Address, ...]:
        """Where most nodes of the DHT see us."""
        return self._node.public_addresses

    async def connections(self) -> AsyncIterator[bool]:
        """Yield whether the node is connected, now and whenever that changes."""
        async for statuses in self._node.statuses():
            yield Status.CONNECTED in statuses.values()

    def obey(self, order: DhtOrder) -> None:
        """Carry out an order; a refusal comes back as a failure of its operation."""
        if self._is_closed:
            return
        try:
            self._begin(order)
        except DhtError as error:
            op = getattr(order, "op", None)
            _log.info("! dht: %s refused: %s", type(order).__name__, error)
            if op is not None:
                self._loop.call_soon(self._failed, op)

    def close(self) -> None:
        """End every operation; nothing comes back any more."""
        self._is_closed = True
        for op in self._ops.values():
            self._node.cancel(op)
        self._ops.clear()

    def _begin(self, order: DhtOrder) -> None:
        """Begin an operation of the node.

        Raises:
            DhtError: the node refuses it.
        """
        who = self._identity
        match order:
            case DhtPut(op, key, value, is_permanent):
                self._start(
                    op,
                    lambda dht, number, now: dht.put(
                        number, key, value, now, permanent=is_permanent
                    ),
                )
            case DhtSeal(op, key, value, spki):
                self._start(
                    op,
                    lambda dht, number, now: dht.put_encrypted(
                        number, key, value, spki, now, identity=who
                    ),
                )
            case DhtGet(op, key, where, is_raw):
                self._start(
                    op,
                    lambda dht, number, now: dht.get(
                        number, key, now, where=where, raw=is_raw, identity=who
                    ),
                )
            case DhtListen(op, key):
                self._start(op, lambda dht, number, now: dht.listen(number, key, now, identity=who))
            case DhtCancel(op):
                if (number := self._ops.pop(op, None)) is not None:
                    self._node.cancel(number)
            case DhtWithdraw(key, value_id):
                self._node.cancel_put(key, value_id)

    def _start(
        self, op: int, command: Callable[[SecureEngine, int, float], Sequence[object]]
    ) -> None:
        """Begin an operation whose events may come before this returns."""
        pending: list[OperationEvent | DhtError] | None = []

        def sink(event: OperationEvent | DhtError) -> None:
            if pending is not None:
                pending.append(event)
            else:
                self._heard(op, event)

        number = self._node.begin(sink, command)
        self._ops[op] = number
        early, pending = pending, None
        if early:  # the engine is in the midst of something: its order came from there
            self._loop.call_soon(self._heard_early, op, early)

    def _heard_early(self, op: int, events: Sequence[OperationEvent | DhtError]) -> None:
        for event in events:
            self._heard(op, event)

    def _heard(self, op: int, event: OperationEvent | DhtError) -> None:
        if self._is_closed or op not in self._ops:
            return
        now = self._loop.time()
        match event:
            case ValuesFound(_, values):
                self._apply(self._engine.values_found(op, values, now))
            case ValuesExpired(_, values):
                self._apply(self._engine.values_expired(op, values, now))
            case Done(_, is_ok):
                del self._ops[op]
                self._apply(self._engine.dht_done(op, is_ok, now))
            case DhtError():
                del self._ops[op]
                self._failed(op)
            case _:
                pass  # why it failed: `Done` follows

    def _failed(self, op: int) -> None:
        if not self._is_closed:
            self._apply(self._engine.dht_done(op, False, self._loop.time()))


def _hosts(place: DhtPlace, *, is_alone: bool) -> tuple[str | tuple[str, int], ...]:
    """Return whom to join by."""
    if is_alone:
        return ()
    if place.bootstrap or place.network != 0:
        return place.bootstrap
    return tuple(public_hosts())
