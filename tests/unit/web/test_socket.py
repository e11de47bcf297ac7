"""The node's API on a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import tracemalloc
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from shoal.node.events import AccountNamed
from shoal.web import WebConfig, WebLimits, socket
from tests.unit.node.driver.conftest import eventually
from tests.unit.web.conftest import Site, hear, make_site, say

if TYPE_CHECKING:
    from pathlib import Path

    from websockets.asyncio.client import ClientConnection

pytestmark = pytest.mark.timeout(120)


async def test_calls_answers_and_errors(site: Site) -> None:
    """Several at a time; each error names its kind and what to do."""
    opened = await site.socket()
    assert opened.subprotocol == "shoal.v1"
    await say(opened, id=1, method="account.list")
    await say(opened, id=2, method="account.show", params={"account": "nobody"})
    await say(opened, id=3, method="account.export", params={"account": "x", "path": "/tmp/x"})  # noqa: S108
    heard = {each["id"]: each for each in [await hear(opened) for _ in range(3)]}
    assert heard[1]["result"][0]["id"] == site.account
    assert heard[2]["error"]["kind"] == "UnknownAccountError"
    assert heard[2]["error"]["advice"]
    assert heard[3]["error"]["kind"] == "UnknownMethodError"


async def test_a_stream_goes_on_until_it_is_canceled(site: Site) -> None:
    """And what happens meanwhile comes."""
    opened = await site.socket()
    await say(opened, id=7, method="node.events")
    assert (await hear(opened))["item"] == {"event": "subscribed"}
    await site.node.accounts[site.account].rename("Ada")
    site.node._bus.publish(AccountNamed(site.node.accounts[site.account].id, "ada"))  # noqa: SLF001
    item = (await hear(opened))["item"]
    assert (item["event"], item["name"]) == ("account_named", "ada")
    await say(opened, id=7, cancel=True)
    assert (await hear(opened))["error"]["kind"] == "Canceled"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("nonsense", 1002),
        ('{"id": 1, "result": 1}', 1002),
        ("[" * 100_000, 1002),
        ('{"id": 1, "method": "' + "x" * 100 + '"}', 1002),
    ],
)
async def test_nonsense_ends_the_connection(site: Site, text: str, code: int) -> None:
    """And nothing else."""
    opened = await site.socket()
    await opened.send(text)
    with pytest.raises(ConnectionClosed) as closed:
        await opened.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code
    await eventually(lambda: site.server.sockets == 0)


async def test_ids_are_used_once_at_a_time(site: Site) -> None:
    """As on the node's own socket."""
    opened = await site.socket()
    await say(opened, id=1, method="node.events")
    assert (await hear(opened))["item"] == {"event": "subscribed"}
    await say(opened, id=1, method="node.events")
    with pytest.raises(ConnectionClosed):
        await read_to_the_end(opened)


async def read_to_the_end(opened: ClientConnection) -> None:
    """Receive until that fails."""
    while True:
        await opened.recv()


async def test_who_may_not_is_refused_before_it_is_open(site: Site) -> None:
    """Without a token, with a wrong one, from another page, for another host."""
    for options, status in (
        ({"subprotocols": ["shoal.v1"]}, 401),
        ({"subprotocols": ["shoal.v1", "token.shoal_wrong"]}, 401),
        ({"subprotocols": [f"token.{site.token}"]}, 401),
        ({"subprotocols": ["shoal.v1", f"token.{site.token}", "token.x"]}, 401),
        ({"origin": "http://evil.example"}, 403),
        ({"additional_headers": {"Sec-Fetch-Site": "cross-site"}}, 403),
    ):
        with pytest.raises(InvalidStatus) as refused:
            await site.socket(**options)
        response = refused.value.response
        assert response.status_code == status
        assert json.loads(response.body)["status"] == status
    assert site.server.sockets == 0


async def test_scopes_hold_here_too(site: Site) -> None:
    """For each call."""
    opened = await site.socket(token=site.token_for("contacts:read"))
    await say(opened, id=1, method="contact.list", params={"account": site.account})
    await say(opened, id=2, method="account.list")
    heard = {each["id"]: each for each in [await hear(opened) for _ in range(2)]}
    assert heard[1]["result"] == []
    assert heard[2]["error"]["kind"] == "ScopeMissingError"


async def test_a_token_that_is_revoked_ends_its_sockets(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Soon, and not only at the next call."""
    monkeypatch.setattr(socket, "CHECK_INTERVAL", 0.02)
    text, token = site.server.tokens.file.new("x", ("*",))
    opened, other = await site.socket(token=text), await site.socket()
    site.server.tokens.file.revoke(token.id)
    with pytest.raises(ConnectionClosed) as closed:
        await opened.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    await say(other, id=1, method="account.list")
    assert (await hear(other))["id"] == 1


async def test_calls_and_sockets_are_bounded(tmp_path: Path) -> None:
    """One too many is told so."""
    few = WebLimits(sockets=1, calls_per_socket=2)
    async with AsyncExitStack() as stack:
        site = await make_site(stack, tmp_path / "home", WebConfig(port=0, limits=few))
        opened = await site.socket()
        for number in range(3):
            await say(opened, id=number, method="node.events")
        heard = [await hear(opened) for _ in range(3)]
        kinds = [each.get("error", {}).get("kind") for each in heard]
        assert kinds.count("TooMuchAskedError") == 1
        with pytest.raises(InvalidStatus) as refused:
            await site.socket()
        assert refused.value.response.status_code == 429


async def test_a_slow_client_does_not_grow_memory(site: Site) -> None:
    """10,000 events to a client that does not read: most are dropped, and it is told which.

    It then reads what is left: each event once and in order, with gaps only where it was told.
    """
    account = site.node.accounts[site.account].id
    opened = await site.socket(max_queue=1)
    await say(opened, id=1, method="node.events")
    assert (await hear(opened))["item"] == {"event": "subscribed"}
    before = site.node._bus.number  # noqa: SLF001
    name = "n" * 1000  # as much as the system's own buffers hold would hide the end
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(10_000):
            site.node._bus.publish(AccountNamed(account, f"{name}{number}"))  # noqa: SLF001
            if number % 100 == 0:
                await asyncio.sleep(0)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # What the bus holds, at most 4,096 events, and one message in the socket's own buffer.
    assert used < 4096 * 1500 + 1024 * 1024, used

    seen, expected, lagged = 0, before + 1, False
    while expected <= before + 10_000:
        item = (await hear(opened))["item"]
        if item["event"] == "lagged":
            assert item["first"] == expected
            expected, lagged = item["last"] + 1, True
        else:
            assert item["number"] == expected
            expected, seen = expected + 1, seen + 1
    assert lagged
    assert seen < 10_000


async def test_a_client_that_vanishes_leaves_nothing(site: Site) -> None:
    """Its calls are canceled, whatever it asked for."""
    before = len(site.node._bus._subscriptions)  # noqa: SLF001
    opened = await site.socket()
    for number in range(10):
        await say(opened, id=number, method="node.events")
    for _ in range(10):
        await hear(opened)
    opened.transport.abort()
    await eventually(lambda: site.server.sockets == 0)
    await eventually(lambda: len(site.node._bus._subscriptions) == before)  # noqa: SLF001


async def test_closing_the_server_ends_a_client_that_does_not_read(tmp_path: Path) -> None:
    """Within seconds."""
    async with AsyncExitStack() as stack:
        site = await make_site(stack, tmp_path / "home", WebConfig(port=0))
        account = site.node.accounts[site.account].id
        opened = await site.socket(max_queue=1)
        await say(opened, id=1, method="node.events")
        for number in range(5_000):
            site.node._bus.publish(AccountNamed(account, f"{'n' * 1000}{number}"))  # noqa: SLF001
        await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await site.server.close()
        assert site.server.sockets == 0
        with contextlib.suppress(ConnectionClosed):
            await read_to_the_end(opened)
