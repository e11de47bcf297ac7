"""`DhtNode` on loopback, with the real engines: data, cancellation, errors, closing."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import pytest

from shoal.core import DecodeError, Family, InfoHash
from shoal.dht.driver import Added, DhtNode
from shoal.dht.effects import Status
from shoal.dht.errors import (
    BindError,
    BootstrapFormatError,
    CertificateNotFoundError,
    KeyFormatError,
    NodeClosedError,
    NoIdentityError,
    NotConnectedError,
    PortTakenError,
    PutRefusedError,
    StoredOnlyHereError,
    ValueTooLargeError,
)
from shoal.dht.value import Value

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    OpenNode = Callable[..., Awaitable[DhtNode]]
    Pair = tuple[DhtNode, DhtNode]


async def settled(node: DhtNode) -> None:
    """Let callbacks that are due run, until no operation is left."""
    for _ in range(100):
        if not node.stats().operations:
            return
        await asyncio.sleep(0)
    raise AssertionError("an operation is still under way")


async def test_put_on_one_node_is_got_on_another(pair: Pair) -> None:
    """As a list, and as it comes."""
    alice, bob = pair
    result = await alice.put("greeting", "hello")

    assert result.nodes == 1
    assert not result.is_only_here
    (value,) = await bob.get("greeting")
    assert (value.data, value.id) == (b"hello", result.value_id)
    assert [v.data async for v in bob.get(InfoHash.of(b"greeting"))] == [b"hello"]


async def test_values_of_every_form_and_size(pair: Pair) -> None:
    """Text, bytes, and values with all their fields; in one datagram or in parts."""
    alice, bob = pair
    big = bytes(65_510)
    await alice.put("forms", "text")
    await alice.put("forms", b"bytes")
    await alice.put("forms", Value(data=big, id=5, user_type="image/png"))

    values = {value.data: value for value in await bob.get("forms")}

    assert set(values) == {b"text", b"bytes", big}
    assert values[big].user_type == "image/png"
    assert [v.data for v in await bob.get("forms", where="id=5")] == [big]


async def test_query_selects_fields(pair: Pair) -> None:
    """Written as OpenDHT's console has it."""
    alice, bob = pair
    await alice.put("rows", Value(data=b"1", id=1, user_type="a"))
    await alice.put("rows", Value(data=b"2", id=2, user_type="b"))

    rows = await bob.query("rows", "SELECT id,user_type WHERE user_type=b")

    assert [(row.id, row.user_type) for row in rows] == [(2, "b")]


async def test_listen_sees_what_is_there_and_what_comes(pair: Pair) -> None:
    """Leaving the loop ends the engine's operation."""
    alice, bob = pair
    await alice.put("news", "old")
    seen = []
    async with asyncio.timeout(20):
        async for event in bob.listen("news"):
            assert isinstance(event, Added)
            seen.append(event.value.data)
            if len(seen) == 1:
                await alice.put("news", "new")
            else:
                break

    assert seen == [b"old", b"new"]
    await settled(bob)


async def test_listen_values_skips_expirations(pair: Pair) -> None:
    """For those who only want values."""
    alice, bob = pair
    await alice.put("news", "old")
    async with bob.listen("news", timeout=20) as listen:
        async for value in listen.values():
            assert value.data == b"old"
            break


async def test_a_timeout_around_an_iteration_ends_it(pair: Pair) -> None:
    """`asyncio.timeout` works as everywhere, and leaves nothing behind."""
    _, bob = pair

    async def follow() -> None:
        async with asyncio.timeout(0.01):
            async for _event in bob.listen("nothing"):
                pass

    with pytest.raises(TimeoutError):
        await follow()

    gc.collect()  # the traceback is gone, and with it the last reference to the iterator
    await settled(bob)


async def test_a_timeout_of_its_own_covers_the_whole_operation(pair: Pair) -> None:
    """Seconds from the start, however often the caller comes back."""
    _, bob = pair
    listen = bob.listen("nothing", timeout=0.01)
    with pytest.raises(TimeoutError):
        await anext(listen)
    with pytest.raises(TimeoutError):
        await anext(listen)
    listen.close()


async def test_an_operation_survives_a_wait_that_was_cut_short(pair: Pair) -> None:
    """Polling with `wait_for` is fine: only the wait is cancelled, not the listen."""
    alice, bob = pair
    listen = bob.listen("polled")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(listen), 0.01)

    await alice.put("polled", "x")
    event = await asyncio.wait_for(anext(listen), 20)

    assert isinstance(event, Added)
    listen.close()
    await settled(bob)


async def test_cancelling_a_task_ends_its_operation(pair: Pair) -> None:
    """The engine hears of it."""
    _, bob = pair

    async def follow() -> None:
        async for _event in bob.listen("cancelled"):
            pass

    task = asyncio.ensure_future(follow())
    await asyncio.sleep(0.01)
    assert bob.stats().operations == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    del task
    gc.collect()
    await settled(bob)


async def test_two_readers_of_one_operation_are_told(pair: Pair) -> None:
    """Each event would reach only one of them."""
    _, bob = pair
    async with bob.listen("shared") as listen:
        first = asyncio.ensure_future(anext(listen))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="two tasks"):
            await anext(listen)
        first.cancel()


async def test_a_cancelled_put_is_withdrawn(open_node: OpenNode, silent_host: str) -> None:
    """It would otherwise go on behind the caller's back."""
    node = await open_node(bootstrap=[silent_host])
    with pytest.raises(TimeoutError):
        await node.put("late", "x", timeout=0.01)
    with pytest.raises(TimeoutError):
        await node.get("late", timeout=0.01)

    assert node.stats().values == 0
    assert node.stats().operations == 0


async def test_confirm_asks_whether_the_value_arrived(pair: Pair) -> None:
    """An acknowledgement says received; a value that may not replace another is refused."""
    alice, bob = pair
    assert (await alice.put("kept", Value(data=b"first", id=9), confirm=True)).nodes == 1
    alice.cancel_put("kept", 9)

    with pytest.raises(PutRefusedError):
        await alice.put("kept", Value(data=b"second", id=9), confirm=True)

    assert [v.data for v in await bob.get("kept")] == [b"first"]


async def test_a_lone_node_keeps_values_and_says_so(open_node: OpenNode) -> None:
    """Stored only here is not the same as failed; and `not found` is not the same as alone."""
    lone = await open_node()

    with pytest.raises(StoredOnlyHereError) as caught:
        await lone.put("mine", "value")
    assert [v.id for v in await lone.get("mine")] == [caught.value.value_id]

    with pytest.raises(NotConnectedError):
        await lone.get("other")
    result = await lone.put("forever", "value", permanent=True)
    assert result.is_only_here
    lone.cancel_put("forever", result.value_id)
    with pytest.raises(NotConnectedError):
        await lone.get("forever")


async def test_wrong_arguments_have_typed_errors(open_node: OpenNode) -> None:
    """Each says what to do, before anything is sent."""
    lone = await open_node()
    with pytest.raises(KeyFormatError):
        lone.get("")
    with pytest.raises(ValueTooLargeError):
        await lone.put("key", bytes(65_537))
    with pytest.raises(ValueTooLargeError, match="packed"):
        await lone.put("key", bytes(65_536))
    with pytest.raises(NoIdentityError):
        await lone.put_signed("key", "value")
    with pytest.raises(NoIdentityError):
        await lone.put_encrypted("key", "value", InfoHash.of(b"somebody"))
    with pytest.raises(CertificateNotFoundError):
        await lone.find_certificate(InfoHash.of(b"nobody"))
    with pytest.raises(BootstrapFormatError):
        await lone.bootstrap(["not a host"])
    with pytest.raises(BootstrapFormatError):
        DhtNode(bootstrap=["host:99999"])


async def test_a_taken_port_names_itself(open_node: OpenNode) -> None:
    """And so does an address that is not ours."""
    first = await open_node()
    with pytest.raises(PortTakenError, match=str(first.port)):
        await open_node(port=first.port)
    with pytest.raises(BindError, match=r"192\.0\.2\.1"):
        await open_node(bind=["192.0.2.1"])


async def test_ping_tells_whether_a_node_lives(pair: Pair, silent_host: str) -> None:
    """Where nobody listens, the system may say so at once; else only patience tells."""
    alice, bob = pair
    assert 0 < await alice.ping(f"127.0.0.1:{bob.port}") < 10
    with pytest.raises(TimeoutError):
        await alice.ping(silent_host, timeout=0.01)
    with pytest.raises(NotConnectedError, match=r"127\.0\.0\.1:1"):
        await alice.ping("127.0.0.1:1", timeout=20)


async def test_closing_ends_every_operation(open_node: OpenNode, silent_host: str) -> None:
    """Iterators, gets and puts that wait: each with the same typed error."""
    node = await open_node()
    await node.bootstrap([silent_host])  # connecting, so that everything waits

    async def follow() -> None:
        async for _event in node.listen("x"):
            pass

    async def get() -> object:
        return await node.get("x")

    tasks = [asyncio.ensure_future(work) for work in (follow(), get(), node.put("x", "y"))]
    await asyncio.sleep(0.01)
    await node.close(grace=0)

    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [NodeClosedError] * 3
    with pytest.raises(NodeClosedError):
        await node.get("x")
    await node.close()  # harmless twice


async def test_a_node_that_is_not_open_says_so() -> None:
    """Before `start`, and after a second one."""
    node = DhtNode(bind=["127.0.0.1"])
    with pytest.raises(NodeClosedError, match="async with"):
        await node.put("x", "y")
    async with node:
        with pytest.raises(RuntimeError, match="once"):
            await node.start()


async def test_wait_connected_has_a_limit(open_node: OpenNode) -> None:
    """Its error names the network, because a wrong id looks the same."""
    lone = await open_node()
    assert lone.status is Status.DISCONNECTED
    with pytest.raises(NotConnectedError, match=f"network {lone.network} .* 0.1 seconds"):
        await lone.wait_connected(0.1)


async def test_stats_are_json(pair: Pair) -> None:
    """Everything in it is a number, a text or a container of them."""
    import json  # noqa: PLC0415 - used once

    alice, _bob = pair
    stats = json.loads(json.dumps(alice.stats().to_json()))

    assert stats["node_id"] == str(alice.node_id)
    assert stats["status"] == "connected"
    assert stats["families"]["ipv4"]["good"] == 1
    assert stats["udp"]["received"] > 0
    assert [node_id for node_id, _ in alice.nodes()] == [_bob.node_id]


async def test_statuses_are_followed(open_node: OpenNode) -> None:
    """The present one, each change, and the end."""
    peer = await open_node()
    node = await open_node()

    async def follow() -> list[Status]:
        return [status[Family.IPV4] async for status in node.statuses()]

    task = asyncio.ensure_future(follow())
    await asyncio.sleep(0)
    await node.bootstrap([("127.0.0.1", peer.port)])
    await node.wait_connected(10)
    await node.close()
    async with asyncio.timeout(10):
        seen = await task
    assert (seen[0], seen[-1]) == (Status.DISCONNECTED, Status.CONNECTED)


async def test_state_can_be_carried_by_hand(pair: Pair, open_node: OpenNode) -> None:
    """Nodes and values, not the id; whoever takes them up joins by them."""
    alice, _ = pair
    await alice.put("key", Value(data=b"kept", id=3))

    heir = await open_node()
    heir.import_state(alice.export_state())
    await heir.wait_connected(10)

    assert heir.node_id != alice.node_id
    assert [stored.value.data for stored in heir.engine.storage] == [b"kept"]
    with pytest.raises(DecodeError):
        heir.import_state(b"nonsense")


async def test_nodes_and_limits_can_be_given(pair: Pair, open_node: OpenNode) -> None:
    """At run time."""
    alice, bob = pair
    third = await open_node()
    third.insert_node(alice.node_id, alice.bound[Family.IPV4])
    await third.wait_connected(10)
    await alice.put("key", bytes(1000))
    assert bob.stats().values == 1

    bob.set_storage_limit(100)

    assert bob.stats().values == 0
