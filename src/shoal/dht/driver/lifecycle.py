"""How a node comes to life, what it says about itself, and how it ends."""

# ruff: noqa: ASYNC109 - see node.py

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shoal.core import Address, Family, InfoHash
from shoal.core.driver import SystemEntropy
from shoal.dht.config import DhtConfig
from shoal.dht.discovery import DiscoveryEngine, NodeDiscovered
from shoal.dht.driver.discovery import DiscoveryDriver
from shoal.dht.driver.hosts import Resolver, parse_hosts
from shoal.dht.driver.network import NetworkWatcher
from shoal.dht.driver.persistence import Persistence
from shoal.dht.driver.runtime import Runtime
from shoal.dht.driver.sockets import open_sockets
from shoal.dht.driver.stats import FamilyStats, NodeStats, counters_of
from shoal.dht.effects import Status
from shoal.dht.engine import DhtEngine
from shoal.dht.errors import NodeClosedError, NotConnectedError
from shoal.dht.secure.engine import SecureEngine
from shoal.dht.state import NodeState, decode_state, state_chunks

if TYPE_CHECKING:
    import os
    import socket
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from shoal.crypto.identity import Identity
    from shoal.dht.discovery import ServiceDiscovered
    from shoal.dht.runs import SearchReport
    from shoal.dht.types import TypeRegistry

_log = logging.getLogger(__name__)

CLOSE_GRACE: Final = 3.0  # seconds for puts under way; ours: an answer, or one repetition
CLOSE_LOOK: Final = 0.02  # seconds between two looks whether they are done
ANY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104 - a DHT node serves the network
_RANK: Final = (Status.DISCONNECTED, Status.CONNECTING, Status.CONNECTED)


class NodeLifecycle:
    """The half of `DhtNode` that is about the node itself; the other half is about data."""

    def __init__(
        self,
        port: int = 0,
        *,
        bootstrap: Iterable[str | tuple[str, int]] | None = None,
        network: int | None = None,
        identity: Identity | None = None,
        state: str | os.PathLike[str] | None = None,
        bind: Sequence[str] = ANY_ADDRESS,
        has_discovery: bool = False,
        config: DhtConfig | None = None,
        types: TypeRegistry | None = None,
    ) -> None:
        """Describe the node; `start`, or `async with`, opens it.

        Args:
            port: UDP port; 0 takes that of the last run if *state* knows it, else any.
            bootstrap: hosts to join by, `HOST`, `HOST:PORT` or `[IPV6]:PORT`; None joins nobody.
            network: nodes of other networks are ignored; 0 is the public one.
            identity: for signing, decrypting, and being found by key.
            state: file that remembers nodes, values and our id from run to run.
            bind: addresses to listen on, at most one per family; a family without one is off.
            has_discovery: find, and be found by, nodes of the local network.
            config: everything else about the protocol.
            types: value types beyond those of OpenDHT.

        Raises:
            BootstrapFormatError: a host of *bootstrap* is not understood.
        """
        config = config or DhtConfig()
        self._config = config if network is None else replace(config, network=network)
        self._port = port
        self._bootstrap = parse_hosts(bootstrap or ())
        self._identity = identity
        self._bind = tuple(bind)
        self._has_discovery = has_discovery
        self._types = types
        self._persistence = Persistence(Path(state)) if state is not None else None
        self._entropy = SystemEntropy()
        self._runtime: Runtime | None = None
        self._watcher: NetworkWatcher | None = None
        self._discovery: DiscoveryDriver | None = None
        self._opened_at = 0.0
        self._status_changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close(grace=CLOSE_GRACE if kind is None else 0.0)

    async def start(self) -> None:
        """Open the sockets, load the state and set out to join; `async with` does this.

        Raises:
            PortTakenError: another program has the port.
            BindError: the address cannot be listened on.
            StateFileError: the state file cannot be read or written.
        """
        if self._runtime is not None:
            raise RuntimeError("a DhtNode starts once; make another one")
        saved: NodeState | None = None
        ports: dict[Family, int] = {}
        if self._persistence is not None:
            saved, ports = await self._persistence.load()
        runtime = self._runtime = self._make_runtime(ports, saved)
        if self._persistence is not None:
            try:
                self._persistence.save_ports({f: addr.port for f, addr in runtime.bound.items()})
            except BaseException:
                runtime.close()
                raise
        self._opened_at = runtime.now
        runtime.status_hooks.append(self._on_status)
        if saved is not None:
            self._restore(runtime, saved)
        if self._bootstrap:
            runtime.call_engine(lambda now: runtime.engine.bootstrap(self._bootstrap, now))
        if self._persistence is not None:
            self._persistence.save_regularly(self._state_chunks)
        self._watcher = NetworkWatcher(self.connectivity_changed, runtime.keep_wall_clock)
        if self._has_discovery:
            self._discover(runtime)
        _log.info("= node %s listens on %s", self.node_id, ", ".join(map(str, self.bound.values())))

    async def close(self, grace: float = CLOSE_GRACE) -> None:
        """Leave the network: finish, save, and end every operation; harmless twice.

        Operations that still run after that, listens among them, end with `NodeClosedError`.

        Args:
            grace: seconds that puts under way may still take.

        Raises:
            StateFileError: the state cannot be written; the node is closed all the same.
        """
        runtime = self._runtime
        if runtime is None or runtime.is_closed:
            return
        deadline = runtime.now + grace
        while runtime.engine.is_writing and self.status is Status.CONNECTED:
            if runtime.now >= deadline:
                _log.warning("closed before every value that was put had reached other nodes")
                break
            await asyncio.sleep(CLOSE_LOOK)
        if runtime.is_closed:
            return
        state = self._state_chunks() if self._persistence is not None else iter(())
        if self._watcher is not None:
            self._watcher.close()
        if self._discovery is not None:
            self._discovery.close()
        runtime.close()
        self._status_changed.set()
        if self._persistence is not None:
            await self._persistence.close(state)
        _log.info("= node %s closed", self.node_id)

    # What it is

    @property
    def node_id(self) -> InfoHash:
        """Our place in the DHT."""
        return self._opened().engine.node_id

    @property
    def engine(self) -> DhtEngine:
        """The engine, to look at: routing tables, searches, storage. Commands go by the node."""
        return self._opened().engine

    @property
    def network(self) -> int:
        """The id of the network; 0 is the public one."""
        return self._config.network

    @property
    def identity(self) -> Identity | None:
        """Who signs and decrypts here."""
        return self._identity

    @property
    def has_bootstrap(self) -> bool:
        """Whether it was told whom to join by."""
        return bool(self._bootstrap)

    @property
    def bound(self) -> dict[Family, Address]:
        """Where we listen, by family."""
        return dict(self._opened().bound)

    @property
    def port(self) -> int:
        """The UDP port: that of IPv4 if both families are on and differ; 0 without sockets."""
        return next((addr.port for addr in self.bound.values()), 0)

    @property
    def public_addresses(self) -> tuple[Address, ...]:
        """Where most nodes see us, without ports; best per family."""
        return self._opened().public_addresses

    @property
    def status(self) -> Status:
        """The better one of both families."""
        return max(self._opened().status, key=_RANK.index)

    @property
    def status_by_family(self) -> dict[Family, Status]:
        """The connection over each family."""
        ipv4, ipv6 = self._opened().status
        return {Family.IPV4: ipv4, Family.IPV6: ipv6}

    async def wait_connected(self, timeout: float | None = None) -> None:
        """Return once a node has answered.

        Raises:
            NotConnectedError: none did within *timeout* seconds.
            NodeClosedError: the node was closed.
        """
        try:
            async with asyncio.timeout(timeout):
                while self.status is not Status.CONNECTED:
                    self._running()
                    self._status_changed.clear()
                    await self._status_changed.wait()
        except TimeoutError:
            patience = f"{round(timeout or 0, 1):g} seconds"
            raise NotConnectedError(
                f"no node of network {self.network} answered within {patience}"
            ) from None

    async def statuses(self) -> AsyncIterator[dict[Family, Status]]:
        """Yield the connection over each family, now and whenever it has changed; end on close."""
        last: dict[Family, Status] | None = None
        while True:
            current = self.status_by_family
            if current != last:
                last = current
                yield current
            elif self._opened().is_closed:
                return
            else:
                self._status_changed.clear()
                await self._status_changed.wait()

    def stats(self) -> NodeStats:
        """Return a snapshot of the node: its neighbours, its storage, its counters."""
        runtime = self._opened()
        engine, status = runtime.engine, runtime.status
        families = {}
        for family, addr in runtime.bound.items():
            counts = engine.node_stats(family, runtime.now)
            assert counts is not None, "the engine has a family for each socket"
            families[family] = FamilyStats(
                bound=addr,
                status=status[0] if family is Family.IPV4 else status[1],
                good=counts.good,
                dubious=counts.dubious,
                cached=counts.cached,
                incoming=counts.incoming,
                table_depth=counts.depth,
                searches=counts.searches,
                nodes_known=counts.cache_size,
                size_estimate=counts.network_size_estimate if counts.depth else counts.good + 1,
            )
        return NodeStats(
            node_id=engine.node_id,
            key_id=None if self._identity is None else self._identity.id,
            network=self.network,
            status=self.status,
            uptime=runtime.now - self._opened_at,
            operations=runtime.operations,
            values=engine.storage.count,
            values_bytes=engine.storage.size,
            families=families,
            udp=replace(runtime.transport.stats),
            counters={
                "dht": counters_of(engine.stats),
                "requests": counters_of(engine.request_stats),
                "parts": counters_of(engine.assembly_stats),
                "storage": counters_of(engine.storage.stats),
                "secure": counters_of(runtime.secure.stats),
            },
        )

    # Its network

    async def bootstrap(self, hosts: Iterable[str | tuple[str, int]]) -> None:
        """Join by further hosts; they are tried again while the node is disconnected.

        Raises:
            BootstrapFormatError: a host is not understood.
        """
        parsed, runtime = parse_hosts(hosts), self._running()
        self._bootstrap += parsed
        runtime.call_engine(lambda now: runtime.engine.bootstrap(parsed, now))

    def nodes(self) -> list[tuple[InfoHash, Address]]:
        """Return the good nodes that we know, those nearest to us first."""
        runtime = self._opened()
        return runtime.engine.export_nodes(runtime.now)

    def searches(self) -> list[SearchReport]:
        """Return the searches that are under way, then those that ended within the last minute.

        The newest come first, and there are 64 at most. Behind a proxy there are none: it searches.
        """
        runtime = self._opened()
        return runtime.engine.search_reports(runtime.now)

    def insert_node(self, node_id: InfoHash, addr: Address) -> None:
        """Know a node that was learned of elsewhere, and ask it."""
        runtime = self._running()
        runtime.call_engine(partial(runtime.engine.insert_node, node_id, addr))

    def export_state(self) -> bytes:
        """Return what a state file holds: our id, good nodes, and values with their times."""
        return b"".join(self._state_chunks())

    def import_state(self, data: bytes) -> None:
        """Take up nodes and values of a state file, not its id.

        Raises:
            DecodeError: *data* is no state file, of OpenDHT or ours.
        """
        runtime = self._running()
        self._restore(runtime, decode_state(data, runtime.now, time.time()))

    def set_storage_limit(self, limit: int) -> None:
        """Change how many bytes values of others may use."""
        runtime = self._running()
        runtime.call_engine(partial(runtime.engine.set_storage_limit, limit))

    def connectivity_changed(self) -> None:
        """Tell the node that the network below has changed; it also looks by itself."""
        runtime = self._running()
        runtime.call(runtime.secure.connectivity_changed)
        if self._discovery is not None:
            self._discovery.start()

    # Inside

    def _opened(self) -> Runtime:
        if self._runtime is None:
            raise NodeClosedError("the DHT node is not started: use `async with`, or await start()")
        return self._runtime

    def _running(self) -> Runtime:
        runtime = self._opened()
        if runtime.is_closed:
            raise NodeClosedError("the DHT node is closed")
        return runtime

    async def _resolve(self, host: str, port: int) -> tuple[Address, ...]:
        loop = asyncio.get_running_loop()
        found: asyncio.Future[tuple[Address, ...]] = loop.create_future()

        def set_found(addrs: tuple[Address, ...]) -> None:
            if not found.done():
                found.set_result(addrs)

        Resolver(loop).resolve(host, port, set_found)
        return await found

    def _make_runtime(self, ports: dict[Family, int], saved: NodeState | None) -> Runtime:
        sockets = open_sockets(self._bind, self._port, ports)
        try:
            return self._make_engines(sockets, saved)
        except BaseException:  # an identity that can't sign values, for one
            for sock in sockets:
                sock.close()
            raise

    def _make_engines(self, sockets: Sequence[socket.socket], saved: NodeState | None) -> Runtime:
        bound = [Address.parse(*sock.getsockname()[:2]) for sock in sockets]
        # Without sockets (a node behind a proxy) its families don't matter, but it must have some.
        families = tuple(addr.family for addr in bound) or self._config.families
        config = replace(self._config, families=families)
        if config.node_id is None and saved is not None:
            config = replace(config, node_id=saved.node_id)
        now = asyncio.get_running_loop().time()
        wall_offset = time.time() - now
        engine = DhtEngine(config, self._entropy, now, wall_offset=wall_offset, types=self._types)
        secure = SecureEngine(engine, self._entropy, identity=self._identity)
        return Runtime(engine, secure, sockets)

    def _state_chunks(self) -> Iterator[bytes]:
        """Take a snapshot now, and pack it as the chunks are drawn, in whatever thread."""
        runtime = self._opened()
        engine = runtime.engine
        nodes = engine.export_nodes(runtime.now)
        return state_chunks(engine.node_id, nodes, engine.export_values(runtime.now))

    def _restore(self, runtime: Runtime, saved: NodeState) -> None:
        """Take up values and nodes of the last run, and see which of those still live."""
        engine = runtime.engine
        runtime.call_engine(lambda now: engine.import_values(saved.values, now))
        for node_id, addr in saved.nodes:
            runtime.call_engine(partial(engine.insert_node, node_id, addr))
        _log.info("= took up %d nodes and %d values", len(saved.nodes), len(saved.values))

    def _discover(self, runtime: Runtime) -> None:
        ports = {family: addr.port for family, addr in self.bound.items()}
        engine = DiscoveryEngine(self.node_id, self.network, ports)
        self._discovery = DiscoveryDriver(engine, ports, self._discovered)
        self._discovery.start()

    def _discovered(self, event: NodeDiscovered | ServiceDiscovered) -> None:
        if isinstance(event, NodeDiscovered) and not self._opened().is_closed:
            self.insert_node(event.node_id, event.addr)

    def _on_status(self, ipv4: Status, ipv6: Status) -> None:
        self._status_changed.set()
        if self._discovery is None:
            return
        if Status.CONNECTED in (ipv4, ipv6):
            self._discovery.connected()
        elif ipv4 is ipv6 is Status.DISCONNECTED:
            self._discovery.start()
