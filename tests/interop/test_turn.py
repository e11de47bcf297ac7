"""Our TURN clients before Debian's coturn, on the loopback."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

import pytest

from shoal.net.ice import IceConfig, IceDescription, PathKind, Scope, Transport, TurnServer
from shoal.net.ice.driver import IceDriver
from shoal.net.ice.errors import IceError, LinkLostError, NoPathError
from tests.peers.coturn import CoturnProcess
from tests.peers.presence import Need, require
from tests.peers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOOPBACK: Final = [bytes([127, 0, 0, 1])]
SCOPES: Final = [
    (Scope.RELAY_ONLY, Scope.RELAY_ONLY),
    (Scope.RELAY_ONLY, Scope.ALL),
    (Scope.ALL, Scope.RELAY_ONLY),
]
SIZE: Final = 20_000_000  # bytes through the relay


@pytest.fixture(scope="module")
def coturn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CoturnProcess]:
    """A server."""
    require(Need.COTURN)
    with CoturnProcess(tmp_path_factory.mktemp("coturn")) as server:
        yield server


def server_of(coturn: CoturnProcess, password: str | None = None) -> TurnServer:
    """Return how a client knows it."""
    return TurnServer(coturn.host, coturn.username, password or coturn.password, coturn.port)


async def connect(caller: IceDriver, callee: IceDriver) -> list[PathKind]:
    """Connect two drivers."""
    offer = await caller.gather(hosts=LOOPBACK)
    answer = await callee.gather(hosts=LOOPBACK)
    async with asyncio.TaskGroup() as group:
        paths = [
            group.create_task(caller.connect(IceDescription.parse(answer.to_text()))),
            group.create_task(callee.connect(IceDescription.parse(offer.to_text()))),
        ]
    return [path.result().kind for path in paths]


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize(
    "scopes", SCOPES, ids=lambda scopes: "-".join(each.name for each in scopes)
)
async def test_relayed(
    coturn: CoturnProcess, transport: Transport, scopes: tuple[Scope, Scope]
) -> None:
    """Accepted by a relay, and connected by one (RFC 6062); datagrams by a channel (RFC 8656)."""
    before = coturn.allocations
    configs = [
        IceConfig(turn=(server_of(coturn),), scope=scope, transport=transport) for scope in scopes
    ]
    async with (
        IceDriver(configs[0], is_controlling=False) as caller,
        IceDriver(configs[1], is_controlling=True) as callee,
    ):
        assert await connect(caller, callee) == [PathKind.RELAYED] * 2
        # Its log comes through a pipe, later than its answers.
        await asyncio.to_thread(
            until, lambda: coturn.allocations - before >= 2, "two allocations in coturn's log"
        )
        assert coturn.allocations - before == 2
        for sender, receiver in ((caller, callee), (callee, caller)):
            data = os.urandom(1200)
            arrived: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            receiver.on_data(
                lambda data, arrived=arrived: arrived.done() or arrived.set_result(bytes(data)),  # type: ignore[misc]
                lambda _: None,
            )
            sender.send(data)
            assert await arrived == data
    assert caller.open_count == callee.open_count == 0


async def test_much_data_through_a_relay(coturn: CoturnProcess) -> None:
    """The relay is slower than we: writers wait, nothing is lost."""
    config = IceConfig(turn=(server_of(coturn),), scope=Scope.RELAY_ONLY)
    async with (
        IceDriver(config, is_controlling=False) as caller,
        IceDriver(config, is_controlling=True) as callee,
    ):
        await connect(caller, callee)
        received = 0
        arrived = asyncio.Event()

        def take(data: bytes | memoryview) -> None:
            nonlocal received
            received += len(data)
            if received == SIZE:
                arrived.set()

        callee.on_data(take, lambda _: arrived.set())
        caller.on_data(lambda _: None, lambda _: arrived.set())
        for _ in range(SIZE // 50_000):
            caller.send(bytes(50_000))
            await caller.drain()
        await arrived.wait()
        assert received == SIZE


@pytest.mark.parametrize("transport", Transport)
async def test_a_wrong_password(coturn: CoturnProcess, transport: Transport) -> None:
    """There is no relay, and nothing else is allowed: said before anything is sent to a peer."""
    server = server_of(coturn, "guess")
    config = IceConfig(turn=(server,), scope=Scope.RELAY_ONLY, transport=transport)
    async with IceDriver(config, is_controlling=False) as driver:
        with pytest.raises(NoPathError):
            await driver.gather(hosts=LOOPBACK)
        assert driver.open_count == 0


async def test_a_server_that_dies(tmp_path: Path) -> None:
    """The path through it breaks, and both sides hear of it."""
    require(Need.COTURN)
    with CoturnProcess(tmp_path) as coturn:
        config = IceConfig(turn=(server_of(coturn),), scope=Scope.RELAY_ONLY)
        async with (
            IceDriver(config, is_controlling=False) as caller,
            IceDriver(config, is_controlling=True) as callee,
        ):
            await connect(caller, callee)
            ends: list[asyncio.Future[IceError | None]] = []
            for driver in (caller, callee):
                ends.append(asyncio.get_running_loop().create_future())
                driver.on_data(lambda _: None, ends[-1].set_result)
            coturn.close()
            for end in ends:
                assert await end is None or isinstance(end.result(), LinkLostError)
            assert caller.open_count == callee.open_count == 0
