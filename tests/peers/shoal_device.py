"""A device of an account of ours, with nothing but what connections take.

A thread in the host's namespace runs a DHT node and `Connections`; offers and answers travel over
the DHT. Chains are looked up as they are needed, and everybody whose chain holds may connect.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import threading
import time
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from shoal.core import AccountId, DecodeError, DeviceId, InfoHash, PublicKeyId, ShoalError
from shoal.core.driver import SystemEntropy
from shoal.dht import Added, DhtNode, Value
from shoal.dht.errors import CertificateNotFoundError
from shoal.identity import (
    DeviceChain,
    check_device,
    create_account,
    read_announcement,
    sign_announcement,
)
from shoal.net import DHT_USER_TYPE, Connections, PeerRequest, peer_key
from tests.peers.netns import enter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shoal.identity import NewAccount
    from shoal.net import Channel, ConnectionsConfig, Peer, SendSignal
    from shoal.net.driver.connections import Event
    from shoal.net.ice import IceConfig
    from tests.peers.namespaces import Namespace

_T = TypeVar("_T")

PATIENCE: Final = 90.0  # seconds for a step, on a busy machine
_ROUTES: Final = ("short", "long")


class ShoalDevice:
    """One device on one host.

    Attributes:
        accepts: names of channels that it takes, by their beginnings.
        refuses: accounts that may not connect.
        asked: names of all channels that peers wanted.
        channels: those that peers have opened.
        events: what `Connections` said.
    """

    def __init__(
        self,
        namespace: Namespace,
        bootstrap: str,
        *,
        account: NewAccount | None = None,
        config: ConnectionsConfig | None = None,
        ice: IceConfig | None = None,
        lateness: float = 0.0,
    ) -> None:
        self.namespace = namespace
        self.account = account or create_account(SystemEntropy(), time.time())
        self.identity = self.account.device.identity
        self.accepts: tuple[str, ...] = ("sip", "msg:")
        self.refuses: set[AccountId] = set()
        self.asked: list[str] = []
        self.channels: SimpleQueue[Channel] = SimpleQueue()
        self.events: list[Event] = []
        self._bootstrap, self._config, self._ice = bootstrap, config, ice
        self._lateness = lateness  # seconds by which it hears signals later than it could
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=self._live, name=f"device at {namespace.host}")
        self._thread.start()
        self._started.result(PATIENCE)

    # As a policy

    def may_connect(self, peer: Peer) -> bool:
        """Everybody but those in `refuses`."""
        return peer.account not in self.refuses

    def accepts_channel(self, name: str) -> bool:
        """Say whether a channel is taken."""
        self.asked.append(name)
        return name.startswith(self.accepts)

    # What tests do

    def run(self, awaitable: Awaitable[_T], timeout: float = PATIENCE) -> _T:
        """Run a coroutine in the device's loop; return its result, or raise its error."""

        async def wait() -> _T:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(wait(), self._loop).result(timeout)

    def do(self, action: Callable[[], _T]) -> _T:
        """Call a function in the device's loop; return its result, or raise its error."""

        async def call() -> _T:
            return action()

        return self.run(call())

    def device_of(self, account: str) -> DeviceChain:
        """Find the device that an account announces, and its chain."""
        return self.run(self._device_of(AccountId.from_hex(account)))

    def connect(self, peer: DeviceChain, name: str, **wishes: Any) -> Channel:
        """Open a channel."""
        return self.run(self.connections.connect(peer, name, **wishes))

    def next_channel(self, timeout: float = PATIENCE) -> Channel:
        """Wait for a peer to open a channel."""
        return self.channels.get(timeout=timeout)

    def close(self) -> None:
        """Leave."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    # The thread

    def _live(self) -> None:
        enter(self.namespace)
        try:
            asyncio.run(self._stay())
        except BaseException as error:  # the test that waits shall see it
            if not self._started.done():
                self._started.set_exception(error)
            raise

    async def _stay(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        policy = _Policy(self)
        async with (
            DhtNode(bootstrap=[self._bootstrap], network=0, identity=self.identity) as self.dht,
            Connections(
                self.identity,
                policy=policy,
                send_signal=self._send,
                on_channel=self.channels.put,
                on_event=self.events.append,
                config=self._config,
                ice=self._ice,
            ) as self.connections,
            asyncio.TaskGroup() as tasks,
        ):
            self._tasks = tasks
            await self.dht.wait_connected(PATIENCE)
            public_key = self.identity.certificate.public_key
            keys = [peer_key(public_key.id), peer_key(public_key.long_id)]
            listeners = [
                tasks.create_task(self._listen(key, route))
                for key, route in zip(keys, _ROUTES, strict=True)
            ]
            announcement = sign_announcement(public_key, self.account.keys.account.private_key)
            await self.dht.put(self.account.keys.id, announcement, permanent=True)
            self._started.set_result(None)
            await self._over.wait()
            for listener in listeners:
                listener.cancel()

    async def _device_of(self, account: AccountId) -> DeviceChain:
        deadline = self._loop.time() + PATIENCE
        while True:
            for value in await self.dht.get(account):
                with contextlib.suppress(DecodeError):
                    announcement = read_announcement(value, account)
                    # Jami of 2023 publishes its chain by the short id alone.
                    return await self._chain_of(announcement.short_id, announcement.device)
            assert self._loop.time() < deadline, f"{account} announces no device"
            await asyncio.sleep(0.5)

    async def _chain_of(self, *names: PublicKeyId | InfoHash | None) -> DeviceChain:
        for name in names:
            if name is not None:
                with contextlib.suppress(CertificateNotFoundError):
                    certificate = await self.dht.find_certificate(name, timeout=PATIENCE)
                    return check_device(certificate, time.time())
        raise CertificateNotFoundError

    # Signals

    async def _listen(self, key: InfoHash, route: str) -> None:
        async for event in self.dht.listen(key):
            for value in [event.value] if isinstance(event, Added) else []:
                if value.user_type == DHT_USER_TYPE and value.owner_id is not None:
                    await self._hear(value, value.owner_id, route)

    async def _hear(self, value: Value, sender: InfoHash, route: str) -> None:
        try:
            request = PeerRequest.unpack(value.data)
            chain = await self._chain_of(
                sender, DeviceId(hashlib.sha256(value.owner or b"").digest())
            )
        except ShoalError:
            return  # nobody that we could talk to
        await asyncio.sleep(self._lateness)
        self.connections.signal_received(request, chain, route=route)

    def _send(self, signal: SendSignal) -> None:
        self._tasks.create_task(self._put(signal))

    async def _put(self, signal: SendSignal) -> None:
        peer = signal.peer
        value = Value(signal.request.packed(), user_type=DHT_USER_TYPE)
        spki = peer.certificate.public_key.spki
        ids: dict[str, InfoHash | PublicKeyId] = {"short": peer.short_id, "long": peer.device}
        routes = [signal.route] if signal.route else list(_ROUTES)
        outcomes = [await self._put_at(peer_key(ids[route]), value, spki) for route in routes]
        if not any(outcomes):
            self.connections.signal_failed(signal.attempt, "the DHT did not take it")

    async def _put_at(self, key: InfoHash, value: Value, spki: bytes) -> bool:
        try:
            await self.dht.put_encrypted(key, value, spki)
        except ShoalError:
            return False
        return True


class _Policy:
    """What a device allows."""

    def __init__(self, device: ShoalDevice) -> None:
        self._device = device

    def may_connect(self, peer: Peer) -> bool:
        return self._device.may_connect(peer)

    def accepts(self, peer: Peer, name: str) -> bool:
        return self._device.accepts_channel(name)
