"""The API: in this process, and over the socket; calls, streams, errors, cancellation."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shoal.identity.errors import ArchivePasswordError, UnknownContactError
from shoal.net.errors import ConnectError, ConnectStep
from shoal.node.driver.api.client import LocalClient, SocketClient
from shoal.node.driver.api.failures import error_of, failure_of
from shoal.node.driver.api.registry import METHODS, load, run
from shoal.node.errors import (
    ApiError,
    HomeTakenError,
    NodeStoppedError,
    NoRunningNodeError,
    ParametersError,
    UnknownAccountError,
    UnknownMethodError,
)
from shoal.node.wire import Failure
from tests.unit.node.driver.conftest import PATIENCE, archive_of, eventually, loopback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from shoal.node import Node

    OpenNode = Callable[..., Awaitable[Node]]


WRONG = "no"


@pytest.fixture
async def node(open_node: OpenNode) -> Node:
    """A node without accounts."""
    return await open_node()


@pytest.fixture
async def api(node: Node) -> AsyncIterator[SocketClient]:
    """A caller on its socket."""
    client = SocketClient(node.home / "api.sock")
    await client.open()
    yield client
    await client.close()


async def import_alice(api: LocalClient | SocketClient) -> dict[str, Any]:
    """Make the node a device of Alice."""
    data = base64.b64encode(archive_of("alice")).decode()
    made: dict[str, Any] = await api.call("account.import", archive=data)
    return made


async def test_both_clients_see_the_same(node: Node, api: SocketClient) -> None:
    """Accounts, contacts, devices, with ids as hex digits."""
    made = await import_alice(api)
    local = LocalClient(node)
    for client in (local, api):
        assert await client.call("account.list") == [
            await client.call("account.show", account=made["id"])
        ]
        (device,) = await client.call("device.list", account=made["id"])
        assert (device["id"], device["is_this"]) == (made["device"], True)
        assert await client.call("contact.list", account=made["id"]) == []
        assert await client.call("contact.requests", account=made["id"]) == []
        assert await client.call("connection.list", account=made["id"]) == []
        assert await client.call("connection.traces", account=made["id"]) == []
        (dht,) = (await client.call("node.status"))["dht"]
        assert dht["port"] == node.dht_nodes[0].port
        names = [each["name"] for each in await client.call("node.methods")]
        assert names == [each.name for each in METHODS]
    socket = node.home / "api.sock"
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600


async def test_everything_of_contacts(api: SocketClient) -> None:
    """Added while nobody is online, blocked, unblocked, removed."""
    me = (await import_alice(api))["id"]
    peer = "12" * 20
    added = await api.call("contact.add", account=me, contact=peer, payload="hi", wait=0.2)
    assert (added["contact"]["id"], added["devices"]) == (peer, 0)
    await api.call("contact.block", account=me, contact=peer)
    (blocked,) = await api.call("contact.list", account=me)
    assert blocked["is_banned"]
    await api.call("contact.unblock", account=me, contact=peer)
    await api.call("contact.remove", account=me, contact=peer)
    with pytest.raises(UnknownContactError):
        await api.call("contact.remove", account=me, contact=peer)
    for verb in ("accept", "decline"):
        with pytest.raises(Exception, match="no request"):
            await api.call(f"contact.{verb}", account=me, contact=peer)


async def test_everything_of_an_account(api: SocketClient, tmp_path: Path) -> None:
    """Renamed, encrypted, exported, removed."""
    me = (await import_alice(api))["id"]
    await api.call("account.rename", account=me, name="Ada")
    await api.call("device.rename", account="Ada", name="desk")
    await api.call("account.passwd", account="Ada", old="", new="pw")
    with pytest.raises(ArchivePasswordError):
        await api.call("account.export", account="Ada", path=str(tmp_path / "x"), password=WRONG)
    await api.call("account.export", account="Ada", path=str(tmp_path / "x"))
    assert (tmp_path / "x").read_bytes()[:2] != b"\x1f\x8b"
    shown = await api.call("account.show", account="Ada")
    assert (shown["name"], shown["has_password"]) == ("Ada", True)
    await api.call("account.remove", account="Ada")
    with pytest.raises(UnknownAccountError, match="Ada"):
        await api.call("account.show", account="Ada")


async def test_progress_comes_before_the_result(api: SocketClient) -> None:
    """As items."""
    data = base64.b64encode(archive_of("alice")).decode()
    seen = [each async for each in api.stream("account.import", archive=data, wait=0.1)]
    assert [kind for kind, _ in seen[:-1]] == ["item"] * (len(seen) - 1)
    assert seen[0][1]["total"] == 2
    assert seen[-1][0] == "result"


async def test_events_are_followed_until_one_has_enough(api: SocketClient, node: Node) -> None:
    """Leaving the stream cancels the call at the node."""
    heard: list[str] = []
    async with contextlib.aclosing(api.stream("node.events")) as stream:
        async for _, item in stream:
            heard.append(item["event"])
            if heard == ["subscribed"]:
                await import_alice(LocalClient(node))
            if "account_added" in heard:
                break
    assert "account_state_changed" in heard
    assert await api.call("node.methods")


async def test_wrong_calls_are_refused_with_words(api: SocketClient) -> None:
    """Unknown methods, missing, unknown and wrong parameters."""
    with pytest.raises(UnknownMethodError, match="fly"):
        await api.call("fly")
    for params, words in (
        ({}, "needs 'account'"),
        ({"account": 7}, "of kind str"),
        ({"account": "x", "more": 1}, "takes no 'more'"),
    ):
        with pytest.raises(ParametersError, match=words):
            await api.call("account.show", **params)
    with pytest.raises(ParametersError, match="base64"):
        await api.call("account.import", archive="?")
    with pytest.raises(UnknownAccountError):
        await api.call("connect", account="nobody", to="12" * 20, timeout=1)


async def test_none_stands_for_what_has_no_default_value(node: Node) -> None:
    """And whole numbers for numbers."""
    local = LocalClient(node)
    with pytest.raises(UnknownAccountError):
        await local.call("account.export", account="none", path="x", password=None)
    with pytest.raises(UnknownAccountError):
        await anext(run(node, "account.export", {"account": "none", "path": "x", "password": None}))


async def test_nonsense_on_the_socket_ends_the_connection(node: Node) -> None:
    """And nothing else."""
    path = str(node.home / "api.sock")
    for junk in (b"nonsense\n", b'{"id":1,"result":1}\n', b"x" * (5 * 1024 * 1024)):
        reader, writer = await asyncio.open_unix_connection(path)
        with contextlib.suppress(OSError):
            writer.write(junk)
            await writer.drain()
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        writer.close()
    assert node.is_running


async def test_a_node_that_stops_ends_all_calls(open_node: OpenNode, tmp_path: Path) -> None:
    """And nobody answers where none runs."""
    home = tmp_path / "stopping"
    stopping = await open_node(home=home, config=loopback())
    client = SocketClient(home / "api.sock")
    await client.open()
    stream = client.stream("node.events")
    await anext(stream)
    await stopping.close()
    with pytest.raises((NodeStoppedError, ApiError)):
        async for _ in stream:
            pass

    def has_hung_up() -> bool:
        return client._task is not None and client._task.done()  # noqa: SLF001

    await eventually(has_hung_up)
    with pytest.raises(NodeStoppedError):
        await client.call("node.methods")
    await client.close()
    await client.close()
    with pytest.raises(NoRunningNodeError):
        await SocketClient(home / "api.sock").open()


def test_every_method_is_documented() -> None:
    """On the page about the API."""
    page = Path(__file__).parents[5] / "docs" / "reference" / "node-api.md"
    text = page.read_text()
    load()
    names = [each.name for each in METHODS]
    assert len(names) > 60
    assert [name for name in names if f"`{name}`" not in text] == []


def test_errors_keep_their_types_and_facts() -> None:
    """Through the wire and back; those of others are told apart by name."""
    for error in (
        HomeTakenError("taken", 7),
        ConnectError(ConnectStep.ICE, "no pair"),
        UnknownAccountError("none"),
    ):
        back = error_of(failure_of(1, error))
        assert type(back) is type(error)
        assert str(back) == str(error)
    taken = error_of(failure_of(1, HomeTakenError("taken", 7)))
    assert isinstance(taken, HomeTakenError)
    assert taken.pid == 7
    connect = error_of(failure_of(1, ConnectError(ConnectStep.ICE, "no pair")))
    assert isinstance(connect, ConnectError)
    assert connect.reason == "no pair"

    strange = error_of(Failure(1, "FutureError", "who knows"))
    assert isinstance(strange, ApiError)
    assert strange.kind == "FutureError"
    assert failure_of(1, strange).kind == "FutureError"
    assert isinstance(error_of(failure_of(1, TimeoutError())), TimeoutError)
    assert failure_of(1, ValueError("secret")).message == "ValueError: see the node's log"
    assert failure_of(1, asyncio.CancelledError()).kind == "Canceled"
