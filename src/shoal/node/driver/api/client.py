"""Calling a node: the one that runs in the home, or one in this process that runs for the call."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import TYPE_CHECKING, Any, Final, Protocol

from shoal.core import DecodeError
from shoal.node.driver.api.failures import error_of
from shoal.node.driver.api.registry import run
from shoal.node.driver.home import socket_address
from shoal.node.errors import ApiError, NodeStoppedError, NoRunningNodeError
from shoal.node.wire import LINE_MAX, Call, Cancel, Failure, Item, Result, decode, encode

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from shoal.node.driver.node import Node
    from shoal.node.wire import Message


QUEUE_MAX: Final = 1024  # ours: items of a call that wait to be read


class ApiClient(Protocol):
    """Whoever can call a node's API."""

    async def call(self, method: str, **params: Any) -> Any:
        """Call a method and return its result; items before that are dropped."""
        ...

    def stream(self, method: str, **params: Any) -> AsyncGenerator[tuple[str, Any], None]:
        """Call a method; yield `("item", …)` any number of times, then `("result", …)`."""
        ...


class _Calls:
    """What both clients have: a call is a stream of which only the end matters."""

    def stream(self, method: str, **params: Any) -> AsyncGenerator[tuple[str, Any], None]:
        """Call a method; yield its items, then its result."""
        raise NotImplementedError

    async def call(self, method: str, **params: Any) -> Any:
        """Call a method and return its result."""
        result: Any = None
        async with contextlib.aclosing(self.stream(method, **params)) as stream:
            async for kind, value in stream:
                if kind == "result":
                    result = value
        return result


class LocalClient(_Calls):
    """Calls a node of this process."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def stream(self, method: str, **params: Any) -> AsyncGenerator[tuple[str, Any], None]:
        """Call a method; yield its items, then its result."""
        given = {name: value for name, value in params.items() if value is not None}
        async with contextlib.aclosing(run(self._node, method, given)) as stream:
            async for each in stream:
                yield each


class SocketClient(_Calls):
    """Calls the node that runs in a home."""

    def __init__(self, path: Path) -> None:
        """Call by the socket at *path*; `open`, or `async with`, connects."""
        self._path = path
        self._numbers = itertools.count(1)
        self._queues: dict[int, asyncio.Queue[Message | None]] = {}
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect.

        Raises:
            NoRunningNodeError: no node runs there.
        """
        try:
            with socket_address(self._path) as address:
                self._reader, self._writer = await asyncio.open_unix_connection(
                    address, limit=LINE_MAX
                )
        except OSError as error:
            raise NoRunningNodeError(f"no node answers at {self._path}") from error
        self._task = asyncio.get_running_loop().create_task(self._read())

    async def close(self) -> None:
        """Hang up; harmless twice."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        assert self._task is not None, "open made it"
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def stream(self, method: str, **params: Any) -> AsyncGenerator[tuple[str, Any], None]:
        """Call a method; yield its items, then its result."""
        if self._writer is None or self._task is None or self._task.done():
            raise NodeStoppedError("the node has hung up")
        number = next(self._numbers)
        queue = self._queues[number] = asyncio.Queue(QUEUE_MAX)
        given = {name: value for name, value in params.items() if value is not None}
        is_over = False
        try:
            self._writer.write(encode(Call(number, method, given)))
            while True:
                message = await queue.get()
                is_over = not isinstance(message, Item)
                match message:
                    case Item(_, item):
                        yield "item", item
                    case Result(_, result):
                        yield "result", result
                        return
                    case Failure():
                        raise error_of(message)
                    case _:
                        raise NodeStoppedError("the node has hung up")
        finally:
            del self._queues[number]
            if not is_over and self._writer is not None:
                self._writer.write(encode(Cancel(number)))

    async def _read(self) -> None:
        """Hand each line to the call that it belongs to."""
        assert self._reader is not None, "open made it"
        try:
            while line := await self._reader.readline():
                message = decode(line)
                if (queue := self._queues.get(message.id)) is not None:
                    await queue.put(message)  # who does not read makes the node wait
        except (OSError, ValueError, DecodeError, ApiError):
            pass  # as if the node had hung up: below
        finally:
            for queue in self._queues.values():
                with contextlib.suppress(asyncio.QueueFull):
                    queue.put_nowait(None)
