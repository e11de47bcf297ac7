"""Pictures by HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.unit.web.test_methods import kind_of

if TYPE_CHECKING:
    from tests.unit.web.conftest import Site

pytestmark = pytest.mark.timeout(120)

PICTURES: Final = {  # by their types, as their first bytes say
    "image/png": b"\x89PNG\r\n\x1a\n" + b"png" * 40_000,
    "image/jpeg": b"\xff\xd8\xff\xe0" + b"jpeg",
    "image/gif": b"GIF89a" + b"gif",
    "image/webp": b"RIFF\x04\x00\x00\x00WEBP" + b"webp",
}


@pytest.mark.parametrize("kind", PICTURES)
async def test_a_picture_is_served_as_what_it_is(site: Site, kind: str) -> None:
    """Our own, and that of a group; nothing but an image can come of it."""
    account = site.node.accounts[site.account]
    await account.profiles.set_own(picture=PICTURES[kind])
    group = await account.conversations.create()
    await group.set_profile(picture=PICTURES[kind])
    for path in (f"people/{site.account}", f"conversations/{group.id}"):
        got = await site.ask("GET", f"/v1/pictures/{path}", params={"account": site.account})
        assert (got.status_code, got.content) == (200, PICTURES[kind])
        assert got.headers["content-type"] == kind
        assert got.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in got.headers["content-security-policy"]
    people = await site.ask("GET", "/v1/person.list", params={"account": site.account})
    assert [each["has_picture"] for each in people.json()] == [True]
    groups = await site.ask("GET", "/v1/conversation.list", params={"account": site.account})
    assert [each["has_picture"] for each in groups.json()] == [True]


async def test_who_has_none_has_none(site: Site) -> None:
    """Nobody that we know, nobody at all, a group without one."""
    group = await site.node.accounts[site.account].conversations.create()
    for path, status in (
        (f"people/{site.account}", 204),
        (f"people/{'ab' * 20}", 204),
        (f"conversations/{group.id}", 204),
        (f"conversations/{'ab' * 20}", 404),
        ("people/..%2F..%2Fprofile", 404),
        ("people/nobody", 404),
    ):
        got = await site.ask("GET", f"/v1/pictures/{path}", params={"account": site.account})
        assert got.status_code == status, path
    found = await site.ask("GET", "/v1/conversation.list", params={"account": site.account})
    assert found.json()[0]["has_picture"] is False


async def test_pictures_are_for_those_who_may_see_them(site: Site) -> None:
    """People's and conversations' take their own scopes."""
    account = site.node.accounts[site.account]
    await account.profiles.set_own(picture=PICTURES["image/png"])
    group = await account.conversations.create()
    await group.set_profile(picture=PICTURES["image/png"])
    person, conversation = f"people/{site.account}", f"conversations/{group.id}"
    reading = {person: "contacts:read", conversation: "conversations:read"}
    for path, scope in reading.items():
        for token, status in (
            ("", 401),
            *((site.token_for(each), 200 if each == scope else 403) for each in reading.values()),
            (site.token_for(scope, account="ab" * 20), 403),
        ):
            got = await site.ask(
                "GET", f"/v1/pictures/{path}", params={"account": site.account}, token=token
            )
            assert got.status_code == status
            if status == 403:
                assert kind_of(got) == "ScopeMissingError"
