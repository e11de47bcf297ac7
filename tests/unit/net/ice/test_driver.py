"""ICE on real sockets of the loopback: connected, fast, pushed back, closed whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING, Final

import pytest

from shoal.core import Address
from shoal.net.ice import IceConfig, IceDescription, PathKind, StunServer, Transport
from shoal.net.ice.driver import IceDriver, IceSockets, local_addresses
from shoal.net.ice.driver.links import WRITE_HIGH
from shoal.net.ice.effects import Connect, Listen, ResolveServer
from shoal.net.ice.errors import IceError, IceStateError, LinkLostError, NoPathError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from shoal.net.ice.driver import Command

LOOPBACK: Final = [bytes([127, 0, 0, 1])]
BOTH: Final = [*LOOPBACK, bytes(15) + b"\x01"]


class Sink:
    """Takes what one side receives."""

    def __init__(self, driver: IceDriver) -> None:
        self.data = bytearray()
        self.end: asyncio.Future[IceError | None] = asyncio.get_running_loop().create_future()
        self._changed = asyncio.Event()
        driver.on_data(self._take, self.end.set_result)

    def _take(self, data: bytes | memoryview) -> None:
        self.data += data
        self._changed.set()

    async def until(self, size: int) -> bytes:
        """Return the data once there are *size* bytes."""
        while len(self.data) < size:
            self._changed.clear()
            await self._changed.wait()
        return bytes(self.data)


@contextlib.asynccontextmanager
async def connected(
    config: IceConfig | None = None, hosts: list[bytes] | None = None
) -> AsyncIterator[tuple[IceDriver, IceDriver]]:
    """Yield two drivers with a path between them."""
    config = config or IceConfig()
    async with (
        IceDriver(config, is_controlling=False) as caller,
        IceDriver(config, is_controlling=True) as callee,
    ):
        offer = await caller.gather(hosts=hosts or LOOPBACK)
        answer = await callee.gather(hosts=hosts or LOOPBACK)
        async with asyncio.TaskGroup() as group:
            group.create_task(caller.connect(IceDescription.parse(answer.to_text())))
            group.create_task(callee.connect(IceDescription.parse(offer.to_text())))
        yield caller, callee
    assert caller.open_count == callee.open_count == 0


async def test_tcp_both_ways() -> None:
    """A megabyte each way at once, in order; one socket each; an orderly end."""
    async with connected() as (caller, callee):
        assert caller.path is not None
        assert caller.path.kind is PathKind.LAN
        assert caller.open_count == callee.open_count == 1
        sinks = [Sink(caller), Sink(callee)]
        data = os.urandom(1_000_000)
        for driver in (caller, callee):
            for start in range(0, len(data), 70_000):
                driver.send(memoryview(data)[start : start + 70_000])
                await driver.drain()
        for sink in sinks:
            assert await sink.until(len(data)) == data
        callee.send(b"last words")
        await callee.close()
        assert await sinks[0].end is None
        assert bytes(sinks[0].data).endswith(b"last words")
        with pytest.raises(IceStateError):
            caller.send(b"too late")
        with pytest.raises(IceError):
            await caller.drain()


async def test_udp_both_ways() -> None:
    """Datagrams keep their bounds."""
    async with connected(IceConfig(transport=Transport.UDP)) as (caller, callee):
        received: list[bytes] = []
        arrived = asyncio.Event()

        def take(data: bytes | memoryview) -> None:
            received.append(bytes(data))
            if len(received) == 3:
                arrived.set()

        callee.on_data(take, lambda _: None)
        for size in (1, 1200, 5):
            caller.send(b"d" * size)
        await arrived.wait()
        assert [len(each) for each in received] == [1, 1200, 5]


async def test_ipv6() -> None:
    """Both families are offered, and either will do."""
    async with connected(hosts=BOTH) as (caller, _):
        assert caller.engine.description is not None
        lines = caller.engine.description.to_text().splitlines()
        assert any(" ::1 " in line for line in lines)


async def test_data_waits_for_somebody_to_take_it() -> None:
    """Nothing piles up here: the peer's writer stops, and goes on when we read."""
    async with connected() as (caller, callee):
        chunk = bytes(1 << 18)
        waiting: asyncio.Task[None] | None = None
        sent = 0
        async with asyncio.TaskGroup() as group:
            for _ in range(400):
                callee.send(chunk)
                sent += len(chunk)
                if callee._sockets.buffered > 2 * WRITE_HIGH:  # noqa: SLF001
                    waiting = group.create_task(callee.drain())
                    await asyncio.sleep(0)
                    break
            assert waiting is not None, "the system's buffers are endless"
            assert not waiting.done()
            sink = Sink(caller)
            await sink.until(sent)
        caller.pause_reading()
        caller.pause_reading()
        callee.send(b"paused")
        await asyncio.sleep(0)
        caller.resume_reading()
        assert (await sink.until(sent + 6)).endswith(b"paused")


async def test_a_peer_that_breaks_off() -> None:
    """A reset is told apart from an end, with everything closed, and drain does not hang."""
    async with connected() as (caller, callee):
        sink = Sink(caller)
        (link,) = callee._sockets._links.values()  # noqa: SLF001
        linger = b"\x01\0\0\0\0\0\0\0"  # on, 0 s: closing resets
        link._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)  # noqa: SLF001
        link.abort()
        assert isinstance(await sink.end, LinkLostError)
        assert caller.open_count == 0
        with pytest.raises(LinkLostError):
            await caller.drain()
        late: asyncio.Future[IceError | None] = asyncio.get_running_loop().create_future()
        caller.on_data(lambda _: None, late.set_result)
        assert isinstance(await late, LinkLostError)


async def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection, tried again in vain: the error says so, nothing stays open."""
    monkeypatch.setattr("shoal.net.ice.checklist.RETRY_WAIT", 0.01)
    monkeypatch.setattr("shoal.net.ice.nomination.INCOMING_WAIT", 0.2)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        text = f"u\np\nH1 1 TCP 1 127.0.0.1 {port} typ host tcptype passive\n"
        async with IceDriver(IceConfig(), is_controlling=True) as driver:
            await driver.gather(hosts=LOOPBACK)
            with pytest.raises(NoPathError) as caught:
                await driver.connect(IceDescription.parse(text))
            assert caught.value.pairs[0].detail == "Connection refused"
            assert driver.open_count == 0


async def test_strangers_on_our_port() -> None:
    """A web browser that finds the port is hung up on."""
    async with IceDriver(IceConfig(), is_controlling=True) as driver:
        description = await driver.gather(hosts=LOOPBACK)
        addr = description.candidates[0].addr
        reader, writer = await asyncio.open_connection(addr.host, addr.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n" + bytes(20_000))
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        reader, writer = await asyncio.open_connection(addr.host, addr.port)
        await driver.close()
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_server_that_is_not_there() -> None:
    """A name is resolved, a refused server is done without."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        config = IceConfig(stun=(StunServer("localhost", unused.getsockname()[1]),))
        async with IceDriver(config, is_controlling=True) as driver:
            description = await driver.gather(hosts=LOOPBACK)
            assert len(description.candidates) == 2


async def test_closing_at_any_time() -> None:
    """Before anything, during, and twice: who waits hears of it."""
    async with IceDriver(IceConfig(), is_controlling=True) as driver:
        await driver.close()
        with pytest.raises(IceStateError):
            await driver.gather(hosts=LOOPBACK)
    async with IceDriver(IceConfig(), is_controlling=True) as driver:
        await driver.gather(hosts=LOOPBACK)
        silent = "u\np\nH1 1 TCP 1 127.0.0.1 1 typ host tcptype passive\n"
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(_fails(driver, silent))
            await asyncio.sleep(0)
            await driver.close()
        assert isinstance(waiting.result(), IceError)


async def _fails(driver: IceDriver, text: str) -> IceError:
    with pytest.raises(IceError) as caught:
        await driver.connect(IceDescription.parse(text))
    return caught.value


async def test_sockets_that_cannot_be_had() -> None:
    """Each order that fails is answered, never from within."""
    told: list[str] = []

    class Engine:
        def socket_failed(self, number: int, reason: str, now: float) -> list[object]:
            told.append(f"socket {number}")
            return []

        def link_failed(self, number: int, reason: str, now: float) -> list[object]:
            told.append(f"link {number}")
            return []

        def server_resolved(self, host: str, port: int, addrs: object, now: float) -> list[object]:
            told.append(f"resolved {addrs}")
            return []

    done = asyncio.Event()

    def feed(command: Command) -> None:
        command(Engine(), 0.0)  # type: ignore[arg-type]
        if len(told) == 4:
            done.set()

    sockets = IceSockets(feed)
    foreign = Address(bytes([192, 0, 2, 1]), 0)
    for transport in Transport:
        sockets.carry_out(Listen(1, foreign, transport))
    sockets.carry_out(Connect(3, foreign, Address(LOOPBACK[0], 9)))
    sockets.carry_out(ResolveServer("no..name", 1))
    assert told == []
    await done.wait()
    assert sorted(told) == ["link 3", "resolved ()", "socket 1", "socket 1"]
    sockets.close()
    await sockets.wait_closed()


def test_local_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """No loopback, no link-local, IPv4 first, the default route's before all."""
    machine: list[bytes] = [
        *BOTH,
        bytes([172, 17, 0, 1]),
        bytes([10, 0, 0, 1]),
        bytes([169, 254, 1, 1]),
        bytes.fromhex("fe80") + bytes(14),
        bytes.fromhex("20010db8") + bytes(12),
    ]
    module = "shoal.net.ice.driver.interfaces"
    default: Callable[[object], bytes | None] = lambda family: bytes([10, 0, 0, 1])  # noqa: E731
    monkeypatch.setattr(f"{module}._interface_addresses", lambda: iter(machine))
    monkeypatch.setattr(f"{module}._default_address", default)
    assert local_addresses() == [bytes([10, 0, 0, 1]), bytes([172, 17, 0, 1]), machine[-1]]
    monkeypatch.undo()
    assert isinstance(local_addresses(), list)
