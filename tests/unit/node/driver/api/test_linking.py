"""Passwords that are asked for in one call of the API, and given by another."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from shoal.node.driver.api.client import LocalClient
from shoal.node.driver.api.linking import Questions, follow
from shoal.node.driver.api.registry import Last
from shoal.node.errors import ParametersError
from tests.unit.node.driver.conftest import PATIENCE, archive_of
from tests.unit.node.people import BITS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shoal.node import Node

    OpenNode = Callable[..., Awaitable[Node]]

pytestmark = pytest.mark.timeout(120)
PASSWORD = "pass word"  # noqa: S105 - of the archive that these tests import


async def test_questions_and_answers() -> None:
    """Each question has one answer; what nobody asked for is not taken."""
    questions = Questions()
    assert not questions.give("too early")
    end: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    asked = aiter(questions.until(end))
    given = asyncio.ensure_future(questions.ask(False))
    assert await anext(asked) == {"needs_password": True, "is_wrong": False}
    assert questions.give("one")
    assert not questions.give("two")
    assert await given == "one"
    given = asyncio.ensure_future(questions.ask(True))
    assert await anext(asked) == {"needs_password": True, "is_wrong": True}
    given.cancel()
    await asyncio.wait([given])
    assert not questions.give("too late")
    end.set_result(None)
    with pytest.raises(StopAsyncIteration):
        await anext(asked)


async def test_a_password_is_asked_for_when_it_is_needed(open_node: OpenNode) -> None:
    """A wrong one, the right one; nobody else's address will do."""
    first = await open_node()
    old = await first.accounts.import_archive(
        archive_of("alice", PASSWORD), password=PASSWORD, key_bits=BITS
    )
    node = await open_node(first)
    api, questions = LocalClient(node), Questions()
    asked: list[object] = []
    linked: Any = None
    link_of = node.accounts.link_new_device(password=questions.ask, key_bits=BITS)
    async with asyncio.timeout(PATIENCE), link_of as link:
        adding = asyncio.ensure_future(old.devices.add(link.uri))
        async for each in follow(node, link, questions):
            if isinstance(each, Last):
                linked = each.result
                continue
            asked.append(each)
            with pytest.raises(ParametersError):
                await api.call("account.give_password", uri=f"{link.uri}x", password=PASSWORD)
            given = PASSWORD if each["is_wrong"] else "wrong"
            await api.call("account.give_password", uri=link.uri, password=given)
        await adding
        with pytest.raises(ParametersError):
            await api.call("account.give_password", uri=link.uri, password=PASSWORD)
    assert asked == [{"needs_password": True, "is_wrong": wrong} for wrong in (False, True)]
    assert (linked.id, linked.has_password) == (old.id.hex(), True)
