"""Jami's app access: the shapes that its clients read, from our node."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.web.test_methods import kind_of

if TYPE_CHECKING:
    from tests.unit.web.conftest import Site

pytestmark = pytest.mark.timeout(120)
PEER = "12" * 20
JUNK: list[dict[str, Any]] = [
    {"message": 7, "messageId": 7, "emoji": 7, "members": 7, "name": 7},
    {"message": "x", "messageId": "x", "emoji": "👍", "members": ["x"], "replyTo": "x"},
    {"message": "x", "messageId": PEER, "emoji": "", "members": [7], "replyTo": PEER},
    {"message": '{"message": 7}', "members": [PEER, PEER], "name": "", "scopes": [7]},
    {"message": "[" * 10_000, "messageId": "", "members": [[]], "name": "x", "expiresIn": 1e3},
    {"message": None, "body": {}, "parentId": [], "members": {}, "name": "x", "scopes": ["no"]},
]


async def begin(site: Site) -> str:
    """Begin a group; return its id."""
    return str((await site.node.accounts[site.account].conversations.create()).id)


async def test_the_account(site: Site) -> None:
    """That of the token, or the first one."""
    shown = (await site.ask("GET", "/api/account")).json()
    assert set(shown) == {"id", "details", "volatileDetails", "defaultModerators", "devices"}
    assert shown["id"] == shown["details"]["Account.username"] == site.account
    assert shown["volatileDetails"]["Account.deviceAnnounced"] == "false"
    device = shown["volatileDetails"]["Account.deviceID"]
    assert device in shown["devices"]


async def test_a_conversation_from_its_beginning_to_its_end(site: Site) -> None:
    """Said, replied to, edited, reacted to, deleted, left: each with an empty answer."""
    group = await begin(site)
    path = f"/api/conversations/{group}"
    (listed,) = (await site.ask("GET", "/api/conversations")).json()
    assert (listed["id"], listed["mode"]) == (group, "2")
    assert (await site.ask("GET", path)).json() == listed
    first = await site.ask("POST", f"{path}/messages", json={"message": "one"})
    assert (first.status_code, first.content) == (204, b"")
    said = (await site.ask("GET", f"{path}/messages", params={"limit": 1})).json()[-1]
    assert (said["author"], said["body"], said["type"]) == (site.account, "one", "text/plain")
    encoded = json.dumps({"message": "two", "replyTo": said["id"]})
    assert (await site.ask("POST", f"{path}/messages", json={"message": encoded})).is_success
    edit = {"messageId": said["id"], "message": "uno"}
    assert (await site.ask("POST", f"{path}/editmessage", json=edit)).status_code == 204
    reaction = {"messageId": said["id"], "emoji": "👍"}
    assert (await site.ask("POST", f"{path}/reactions", json=reaction)).status_code == 204
    now = (await site.ask("GET", f"{path}/messages", params={"from": said["id"]})).json()
    assert [each["body"] for each in now if each["type"] == "text/plain"] == ["uno", "two"]
    (shown,) = now[0]["reactions"]
    assert (shown["author"], shown["body"]) == (site.account, "👍")
    taken_back = {"messageId": shown["id"]}  # as any message: it is edited to nothing
    assert (await site.ask("POST", f"{path}/editmessage", json=taken_back)).status_code == 204
    again = (await site.ask("GET", f"{path}/messages", params={"from": said["id"]})).json()
    assert again[0]["reactions"] == []
    assert now[1]["reply-to"] == said["id"]
    gone = {"messageId": said["id"]}
    assert (await site.ask("POST", f"{path}/editmessage", json=gone)).status_code == 204
    (member,) = (await site.ask("GET", f"{path}/members")).json()
    assert member == {"role": "admin", "contact": {"uri": site.account}}
    assert set((await site.ask("GET", f"{path}/infos")).json()) == {
        *("avatar", "description", "mode", "title"),
    }
    assert (await site.ask("DELETE", path)).status_code == 204
    left = await site.ask("GET", path)
    assert (left.status_code, kind_of(left)) == (404, "NoSuchConversationError")
    assert left.json()["error"], "where clients of Jami look for words"


@pytest.mark.parametrize("fields", [{}, {"message": ""}, {"message": 7}, {"body": [1]}])
async def test_nothing_said_is_refused(site: Site, fields: dict[str, Any]) -> None:
    """As by Jami."""
    group = await begin(site)
    response = await site.ask("POST", f"/api/conversations/{group}/messages", json=fields)
    assert response.status_code == 400


async def test_contacts(site: Site) -> None:
    """Added, shown with yes and no as text, removed."""
    added = await site.ask("PUT", f"/api/contacts/{PEER}")
    assert set(added.json()) == {
        *("id", "conversationId", "added", "confirmed", "banned", "username", "displayName"),
    }
    assert (added.json()["id"], added.json()["added"]) == (PEER, "true")
    assert (await site.ask("GET", "/api/contacts")).json() == [added.json()]
    assert (await site.ask("GET", f"/api/contacts/{PEER}")).json() == added.json()
    assert (await site.ask("DELETE", f"/api/contacts/{PEER}")).status_code == 204
    assert (await site.ask("GET", "/api/contacts")).json() == []
    stranger = (await site.ask("GET", f"/api/contacts/{PEER}")).json()
    assert (stranger["added"], stranger["username"]) == ("false", PEER)
    assert (await site.ask("GET", "/api/conversation-requests")).json() == []
    assert (await site.ask("GET", "/api/calls")).json() == []
    missing = await site.ask("POST", f"/api/conversation-requests/{PEER}/block")
    assert missing.status_code == 404


async def test_tokens_are_made_and_revoked_by_those_who_may_all(site: Site) -> None:
    """For the account alone; narrow ones make none."""
    wish = {"name": "bot", "scopes": ["conversations:read"], "expiresIn": 3600}
    made = await site.ask("POST", "/api/tokens", json=wish)
    assert made.status_code == 201
    token, info = made.json()["token"], made.json()["info"]
    assert (info["name"], info["accountId"], info["scopes"]) == (
        *("bot", site.account, ["conversations:read"]),
    )
    assert info["createdAt"].endswith("Z")
    assert info in (await site.ask("GET", "/api/tokens")).json()
    assert (await site.ask("GET", "/api/conversations", token=token)).json() == []
    for verb, path in (
        ("GET", "/api/tokens"),
        ("GET", "/api/contacts"),
        ("PUT", "/api/contacts/x"),
    ):
        refused = await site.ask(verb, path, token=token)
        assert (refused.status_code, kind_of(refused)) == (403, "ScopeMissingError")
    assert (await site.ask("DELETE", f"/api/tokens/{info['id']}")).status_code == 204
    assert (await site.ask("GET", "/api/conversations", token=token)).status_code == 401
    assert (await site.ask("DELETE", f"/api/tokens/{info['id']}")).status_code == 404
    for wrong in ({}, {"name": " "}, {"name": "x", "scopes": "y"}, {"name": "x", "expiresIn": -1}):
        assert (await site.ask("POST", "/api/tokens", json=wrong)).status_code == 400


async def test_a_token_of_one_account_rules_over_its_tokens_alone(site: Site) -> None:
    """It neither sees nor revokes those of all accounts, and makes none that outlive it."""
    wide = site.server.tokens.file.new("wide", ("*",))[1]
    narrow = site.token_for("*", account=site.account, seconds=600)
    listed = (await site.ask("GET", "/api/tokens", token=narrow)).json()
    assert [each["accountId"] for each in listed] == [site.account]
    for name in (wide.id, wide.prefix):
        refused = await site.ask("DELETE", f"/api/tokens/{name}", token=narrow)
        assert (refused.status_code, kind_of(refused)) == (404, "UnknownTokenError")
    assert wide in site.server.tokens.file.list()
    for seconds in (0, 3600):
        wish = {"name": "heir", "expiresIn": seconds}
        made = (await site.ask("POST", "/api/tokens", token=narrow, json=wish)).json()["info"]
        ends = [datetime.fromisoformat(each["expiresAt"]) for each in (listed[0], made)]
        assert ends[1] - ends[0] < timedelta(seconds=300), "it was made with 600 seconds"
    shown = (await site.ask("GET", "/api/tokens")).json()
    assert {wide.id, made["id"]} <= {each["id"] for each in shown}
    path = f"/api/tokens/{made['id']}"
    assert (await site.ask("DELETE", path, token=narrow)).status_code == 204


async def test_nobody_gets_in_without_a_token(site: Site) -> None:
    """Names, too, which Jami tells to everybody on the machine."""
    for path in ("/api/account", "/api/conversations", "/api/contacts", "/api/ns/name/alice"):
        response = await site.ask("GET", path, token="")
        assert (response.status_code, kind_of(response)) == (401, "TokenMissingError")


@pytest.mark.parametrize("fields", JUNK, ids=str)
async def test_junk_is_refused_and_breaks_nothing(site: Site, fields: dict[str, Any]) -> None:
    """Whatever is sent wherever, it is the caller's mistake, or it is done."""
    group = f"/api/conversations/{await begin(site)}"
    for path in (
        *("/api/conversations", "/api/conversations/x/messages", f"{group}/messages"),
        *(f"{group}/reactions", f"{group}/editmessage", "/api/conversation-requests/x"),
        *(f"/api/conversation-requests/{PEER}", "/api/conversation-requests/x/block"),
        *("/api/tokens", "/api/conversations/%2e%2e/messages", "/api/contacts/x"),
    ):
        response = await site.ask("POST", path, json=fields)
        assert response.status_code < 500, (path, response.text)
    for path in (
        "messages?limit=-1",
        "messages?limit=x&from=x",
        f"messages?from={PEER}",
        "nothing",
    ):
        assert (await site.ask("GET", f"{group}/{path}")).status_code < 500
    for verb in ("GET", "PUT", "DELETE"):
        for who in ("x", "%00", "%F0%9F%90%9F", "x" * 5000, f"{PEER}0"):
            response = await site.ask(verb, f"/api/contacts/{who}")
            assert 400 <= response.status_code < 500 or response.status_code == 502, response.text
