"""The shell around the engines: what arrives goes in, what they order is carried out.

    UdpTransport ─┐                         ┌─► UdpTransport.send
    timer        ─┤                         ├─► ComputePool, Resolver
    callers      ─┼─► SecureEngine(engine) ─┼─► the sink of an operation
    Resolver     ─┤                         ├─► hooks: status, public addresses
    ComputePool  ─┘                         └─► the next timer

All of it happens on the thread of the event loop; only jobs and name lookups leave it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any, TypeAlias

from shoal.core import Compute, Family, SendDatagram
from shoal.dht.driver.compute import ComputePool
from shoal.dht.driver.hosts import Resolver
from shoal.dht.driver.udp import UdpTransport
from shoal.dht.effects import (
    Done,
    PublicAddressChanged,
    ResolveHost,
    RowsFound,
    Status,
    StatusChanged,
    ValuesExpired,
    ValuesFound,
)
from shoal.dht.errors import DhtError, NodeClosedError
from shoal.dht.secure.effects import CertificateFound, IdentityAnnounced, OperationFailed

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Sequence

    from shoal.core import Address
    from shoal.dht.engine import DhtEngine
    from shoal.dht.secure.engine import SecureEngine

_log = logging.getLogger(__name__)

OperationEvent: TypeAlias = (
    ValuesFound | ValuesExpired | RowsFound | Done | CertificateFound | OperationFailed
)
Sink: TypeAlias = "Callable[[OperationEvent | DhtError], None]"
Command: TypeAlias = "Callable[[float], Iterable[object]]"


class Runtime:
    """Runs one pair of engines on an event loop. Used by `DhtNode`, which is the public face."""

    def __init__(
        self, engine: DhtEngine, secure: SecureEngine, sockets: Sequence[socket.socket]
    ) -> None:
        self.engine = engine
        self.secure = secure
        self.transport = UdpTransport(sockets, self._receive, self._unreachable)
        self.bound = self.transport.addresses
        self.status_hooks: list[Callable[[Status, Status], None]] = []
        self.public_addresses: tuple[Address, ...] = ()
        self.is_closed = False
        self.handlers: dict[type, Callable[[Any], None]] = {}  # effects of other backends
        self._loop = asyncio.get_running_loop()
        self._pool = ComputePool(self._computed, self._compute_failed)
        self._resolver = Resolver(self._loop)
        self._sinks: dict[int, Sink] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next_op = 0
        self._statuses: dict[Family, Status] = {}

    @property
    def now(self) -> float:
        """The engines' time."""
        return self._loop.time()

    @property
    def status(self) -> tuple[Status, Status]:
        """The connection over IPv4 and over IPv6."""
        return self.secure.status

    @property
    def operations(self) -> int:
        """How many operations are under way."""
        return len(self._sinks)

    def begin(self, sink: Sink, command: Callable[[int, float], Iterable[object]]) -> int:
        """Start an operation; while the node is connecting, the engine lets it wait for that.

        *sink* gets the operation's events, `Done` being the last, or one error.

        Raises:
            NodeClosedError: the node is closed.
            TooManyOperationsError: as many as allowed are under way.
            DhtError: the engine refuses the command.
        """
        if self.is_closed:
            raise NodeClosedError
        op = self._next_op = self._next_op + 1
        self._sinks[op] = sink
        try:
            self.call(lambda now: command(op, now))
        except BaseException:
            self._sinks.pop(op, None)
            raise
        return op

    def cancel(self, op: int) -> None:
        """End a get, query, listen or search for a certificate; harmless if it has ended."""
        if self._sinks.pop(op, None) is not None and not self.is_closed:
            self.call(lambda now: self.secure.cancel(op, now))

    def soon(self, callback: Callable[[], None]) -> None:
        """Run *callback* in the loop; from any thread, and from within anything."""
        with contextlib.suppress(RuntimeError):  # the loop is closed, and all operations with it
            self._loop.call_soon_threadsafe(callback)

    def call(self, command: Command) -> None:
        """Give the engine a command and carry out what follows."""
        self._apply(command(self._loop.time()))

    def call_engine(self, command: Callable[[float], Sequence[object]]) -> None:
        """Give the engine below the secure layer a command; that layer sees what follows."""
        now = self._loop.time()
        self._apply(self.secure.absorb(command(now), now))

    def keep_wall_clock(self) -> None:
        """Tell the engine how far the wall clock is from the monotonic one: people set clocks."""
        self.engine.wall_offset = time.time() - time.monotonic()

    def close(self) -> None:
        """Close the engine, send its last datagrams, and end every operation with an error."""
        if self.is_closed:
            return
        sinks, self._sinks = self._sinks, {}
        self.call(self.secure.close)
        self.is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._pool.close()
        self.transport.close()
        for sink in sinks.values():
            sink(NodeClosedError())

    # Inputs

    def _receive(self, batch: list[tuple[bytes, Address]]) -> None:
        self._apply(self.secure.receive_all(batch, self._loop.time()))

    def _unreachable(self, addr: Address) -> None:
        self.call_engine(lambda now: self.engine.send_failed(addr, now))

    def _resolved(self, host: str, port: int, addrs: tuple[Address, ...]) -> None:
        if not self.is_closed:
            self.call_engine(lambda now: self.engine.resolved(host, port, list(addrs), now))

    def _computed(self, job_id: int, result: object) -> None:
        self.call(lambda now: self.secure.computed(job_id, result, now))

    def _compute_failed(self, job_id: int, error: Exception) -> None:
        self.call(lambda now: self.secure.compute_failed(job_id, error, now))

    def _wake(self) -> None:
        due, self._timer = self._timer, None
        assert due is not None, "a timer calls this"
        # The loop may run a timer one clock tick early; the engine must not be asked in vain.
        self._apply(self.secure.advance(max(self._loop.time(), due.when())))

    # Effects

    def _apply(self, effects: Iterable[object]) -> None:
        send = self.transport.send
        for effect in effects:
            if effect.__class__ is SendDatagram:
                send(*effect)
            else:
                self._handle(effect)
        self._arm()

    def _arm(self) -> None:
        """Keep one timer, no later than the engine's deadline.

        Answers move deadlines away, datagram by datagram: a timer that is early costs one call of
        `advance`, less than cancelling and creating one for each.
        """
        deadline = self.secure.next_deadline()
        if self.is_closed or deadline is None:
            return
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._wake)

    def _handle(self, effect: object) -> None:
        match effect:
            case ValuesFound() | ValuesExpired() | RowsFound() | CertificateFound():
                self._report(effect.op, effect)
            case Done(op):
                if (sink := self._sinks.pop(op, None)) is not None:
                    sink(effect)
            case OperationFailed(op):
                self._report(op, effect)
            case Compute():
                self._pool.submit(effect)
            case ResolveHost(host, port):
                self._resolver.resolve(host, port, lambda addrs: self._resolved(host, port, addrs))
            case StatusChanged(ipv4, ipv6):
                self._status_changed(ipv4, ipv6)
            case PublicAddressChanged(addrs):
                _log.info("= nodes see us as %s", ", ".join(addr.host for addr in addrs) or "-")
                self.public_addresses = addrs
            case IdentityAnnounced(identity, ok):
                _log.info("= certificate of %s %s", identity, "published" if ok else "not taken")
            case _:
                self._handle_foreign(effect)

    def _handle_foreign(self, effect: object) -> None:
        """Hand an effect of another backend than ours to whoever brought that backend."""
        handler = self.handlers.get(type(effect))
        if handler is None:
            raise TypeError(f"the driver knows no effect {effect!r}")
        handler(effect)

    def _report(self, op: int, event: OperationEvent) -> None:
        if (sink := self._sinks.get(op)) is not None:
            sink(event)

    def _status_changed(self, ipv4: Status, ipv6: Status) -> None:
        for family, status in ((Family.IPV4, ipv4), (Family.IPV6, ipv6)):
            if family in self.bound and status is not self._statuses.get(
                family, Status.DISCONNECTED
            ):
                self._statuses[family] = status
                _log.info("= %s over %s", status.value, family.name.replace("IPV", "IPv"))
        for hook in self.status_hooks:
            hook(ipv4, ipv6)
