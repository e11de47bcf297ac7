"""Jami's app access: what happens, as its clients are told."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from shoal.node.events import AccountNamed
from shoal.web import socket
from tests.unit.node.driver.conftest import PATIENCE, eventually

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from tests.unit.web.conftest import Site

pytestmark = pytest.mark.timeout(120)


async def follow(site: Site, token: str) -> ClientConnection:
    """Open the stream of events."""
    url = site.server.url.replace("http:", "ws:") + f"/api?accessToken={token}"
    opened = await connect(url, proxy=None)
    site.stack.push_async_callback(opened.close)
    return opened


async def heard(opened: ClientConnection, kind: str) -> dict[str, Any]:
    """Return the data of the next event of this type."""
    async with asyncio.timeout(PATIENCE):
        while True:
            event = json.loads(await opened.recv())
            assert set(event) == {"type", "data"}
            if event["type"] == kind:
                data: dict[str, Any] = event["data"]
                return data


async def test_what_happens_in_a_conversation(site: Site) -> None:
    """It is there; something is said, reacted to, edited; it is left."""
    opened = await follow(site, site.token)
    account = site.node.accounts[site.account]
    group = await account.conversations.create()
    about = {"accountId": site.account, "conversationId": str(group.id)}
    assert (await heard(opened, "conversation-ready")).items() >= about.items()
    said = await group.send("hello")
    told = await heard(opened, "newInteraction")
    assert told["accountId"] == site.account
    while told["interactionId"] != str(said.id):
        told = await heard(opened, "newInteraction")
    message = (await heard(opened, "conversation-message"))["message"]
    assert (message["id"], message["body"], message["author"]) == (
        *(str(said.id), "hello", site.account),
    )
    await group.react(said.id, "👍")
    reacted = await heard(opened, "reaction-added")
    assert (reacted["messageId"], reacted["reaction"]["body"]) == (str(said.id), "👍")
    await group.unreact(said.id, "👍")
    reaction = reacted["reaction"]["id"]
    gone = {**about, "messageId": str(said.id), "reactionId": reaction}
    assert await heard(opened, "reaction-removed") == gone
    await group.edit(said.id, "hullo")
    assert await heard(opened, "conversationUpdated") == about
    await group.leave()
    assert await heard(opened, "conversationRemoved") == about


async def test_contacts_and_the_account(site: Site) -> None:
    """Added, removed, named."""
    opened = await follow(site, site.token)
    account = site.node.accounts[site.account]
    await account.contacts.add("12" * 20)
    assert await heard(opened, "contactAdded") == {"accountId": site.account, "uri": "12" * 20}
    await account.contacts.remove("12" * 20)
    assert (await heard(opened, "contactRemoved"))["uri"] == "12" * 20
    site.node._bus.publish(AccountNamed(account.id, "ada"))  # noqa: SLF001
    assert await heard(opened, "accountStatusChanged") == {"accountId": site.account}


async def test_who_may_not_hears_nothing(site: Site) -> None:
    """Without a token, with a narrow one, with one that is revoked meanwhile."""
    for token, status in (("", 401), ("nonsense", 401), (site.token_for("contacts:read"), 403)):
        with pytest.raises(InvalidStatus) as refused:
            await follow(site, token)
        assert refused.value.response.status_code == status
    text, token_info = site.server.tokens.file.new("x", ("conversations:read",))
    opened = await follow(site, text)
    await eventually(lambda: site.server.sockets == 1)
    site.server.tokens.file.revoke(token_info.id)
    site.node._bus.publish(AccountNamed(site.node.accounts[site.account].id, "x"))  # noqa: SLF001
    with pytest.raises(ConnectionClosed):
        await opened.recv()
    await eventually(lambda: site.server.sockets == 0)


async def test_a_token_that_is_revoked_ends_an_idle_socket(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though nothing happens that could be told."""
    monkeypatch.setattr(socket, "CHECK_INTERVAL", 0.02)
    text, token_info = site.server.tokens.file.new("x", ("conversations:read",))
    opened = await follow(site, text)
    site.server.tokens.file.revoke(token_info.id)
    with pytest.raises(ConnectionClosed):
        await opened.recv()


async def test_who_may_read_conversations_hears_of_nothing_else(site: Site) -> None:
    """Contacts and accounts take their scopes; what comes next is of a conversation."""
    account = site.node.accounts[site.account]
    narrow = await follow(site, site.token_for("conversations:read"))
    both = await follow(site, site.token_for("conversations:read", "contacts:read"))
    await account.contacts.add("12" * 20)
    site.node._bus.publish(AccountNamed(account.id, "ada"))  # noqa: SLF001
    group = await account.conversations.create()
    for opened, expected in ((narrow, set()), (both, {"contactAdded"})):
        kinds: set[str] = set()
        async with asyncio.timeout(PATIENCE):
            while True:
                event = json.loads(await opened.recv())
                if event["data"].get("conversationId") == str(group.id):
                    break
                kinds.add(event["type"])
        assert kinds & {"contactAdded", "contactRemoved", "accountStatusChanged"} == expected


async def test_a_token_of_another_account_hears_nothing_of_this_one(site: Site) -> None:
    """Only what is about its own."""
    other = await follow(site, site.token_for("*", account="ab" * 20))
    own = await follow(site, site.token_for("*", account=site.account))
    site.node._bus.publish(AccountNamed(site.node.accounts[site.account].id, "x"))  # noqa: SLF001
    assert await heard(own, "accountStatusChanged")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await other.recv()
