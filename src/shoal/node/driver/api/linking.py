"""The API's methods by which this machine becomes a device of an account, at the user's pace."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from shoal.node.driver.api.methods import AccountInfo
from shoal.node.driver.api.registry import METHODS, Last
from shoal.node.errors import ParametersError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from shoal.node.driver.account import Account
    from shoal.node.driver.linking import LinkNewDevice
    from shoal.node.driver.node import Node

method = METHODS.method


class Questions:
    """Asks for passwords in one call, and gets them by others."""

    def __init__(self) -> None:
        self._asked: asyncio.Queue[dict[str, bool]] = asyncio.Queue()
        self._answer: asyncio.Future[str] | None = None

    async def ask(self, is_wrong: bool) -> str:
        """Return the password that somebody gives; the last one may have been wrong."""
        self._answer = asyncio.get_running_loop().create_future()
        self._asked.put_nowait({"needs_password": True, "is_wrong": is_wrong})
        return await self._answer

    def give(self, password: str) -> bool:
        """Give the password; False if nobody waits for one."""
        answer, self._answer = self._answer, None
        if answer is None or answer.done():
            return False
        answer.set_result(password)
        return True

    async def until(self, end: asyncio.Future[Account]) -> AsyncIterator[dict[str, bool]]:
        """Yield each question until *end* is done."""
        while not end.done():
            asked = asyncio.ensure_future(self._asked.get())
            pending: set[asyncio.Future[Any]] = {end, asked}
            try:
                await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                if asked.done():
                    yield asked.result()
            finally:
                asked.cancel()


_open: WeakKeyDictionary[Node, dict[str, Questions]] = WeakKeyDictionary()


@method("account.link")
async def account_link(
    node: Node, password: str = "", device_name: str = "", asks: bool = False
) -> AsyncIterator[object]:
    """Show an address for another device to scan; end with the account that it hands over.

    With *asks*, the account's password is asked for when it is needed: `account.give_password`.
    """
    questions = Questions()
    linking = node.accounts.link_new_device(
        password=questions.ask if asks else password, device_name=device_name
    )
    async with linking as link:
        yield {"uri": link.uri}
        async with aclosing(follow(node, link, questions)) as steps:
            async for each in steps:
                yield each


@method("account.give_password", is_local=True)
async def account_give_password(node: Node, uri: str, password: str) -> None:
    """Answer the call of `account.link` that shows this address, and asks for the password."""
    questions = _open.get(node, {}).get(uri)
    if questions is None or not questions.give(password):
        raise ParametersError("nobody who shows this address asks for one", "ParametersError")


async def follow(
    node: Node, link: LinkNewDevice, questions: Questions
) -> AsyncGenerator[Any, None]:
    """Yield what is asked until another device hands over an account, and then that."""
    waiting = _open.setdefault(node, {})
    waiting[link.uri] = questions
    end = asyncio.ensure_future(link.wait())
    try:
        async for question in questions.until(end):
            yield question
        yield Last(AccountInfo.of(await end))
    finally:
        end.cancel()
        del waiting[link.uri]
