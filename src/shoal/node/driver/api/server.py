"""The API on a Unix socket in the home: for the user who owns the home, and nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError
from shoal.node.driver.api.failures import failure_of
from shoal.node.driver.api.registry import run
from shoal.node.driver.home import socket_address
from shoal.node.errors import HomeError, TooMuchAskedError
from shoal.node.wire import LINE_MAX, Call, Cancel, Item, Result, decode, encode

if TYPE_CHECKING:
    from pathlib import Path

    from shoal.node.driver.node import Node
    from shoal.node.wire import Message

_log = logging.getLogger(__name__)

CALLERS_MAX: Final = 64  # ours: commands and apps of one user
CALLS_MAX: Final = 256  # ours: calls of one caller that run at the same time
_SOCKET_MODE: Final = 0o600


class ApiServer:
    """Serves the API of a node on a Unix socket."""

    def __init__(self, node: Node, path: Path) -> None:
        self._node = node
        self._path = path
        self._server: asyncio.Server | None = None
        self._callers: set[_Caller] = set()

    async def start(self) -> None:
        """Open the socket; one that an earlier process left behind is replaced.

        Raises:
            HomeError: it cannot be opened.
        """
        try:
            with socket_address(self._path) as address:
                self._path.unlink(missing_ok=True)
                self._server = await asyncio.start_unix_server(self._serve, address, limit=LINE_MAX)
            self._path.chmod(_SOCKET_MODE)  # from its first moment the home keeps others out
        except OSError as error:
            raise HomeError(f"cannot open {self._path}: {error.strerror}") from error

    async def close(self) -> None:
        """Close the socket, and end every call."""
        server, self._server = self._server, None
        if server is None:
            return
        self._path.unlink(missing_ok=True)
        server.close()
        for caller in list(self._callers):
            caller.close()
        await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = _Caller(self._node, reader, writer)
        if len(self._callers) >= CALLERS_MAX:
            caller.close()
            return
        self._callers.add(caller)
        try:
            await caller.serve()
        finally:
            self._callers.discard(caller)


class _Caller:
    """One connection to the socket, and the calls that came by it."""

    def __init__(
        self, node: Node, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._node = node
        self._reader = reader
        self._writer = writer
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._is_closing = False

    def close(self) -> None:
        """End every call."""
        self._is_closing = True
        for task in self._calls.values():
            task.cancel()
        self._writer.close()

    async def serve(self) -> None:
        """Take calls until the caller goes, or writes what is no call."""
        try:
            async with asyncio.TaskGroup() as tasks:
                with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
                    while line := await self._reader.readline():
                        if not self._take(line, tasks):
                            break
                for task in self._calls.values():
                    task.cancel()
        finally:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    def _take(self, line: bytes, tasks: asyncio.TaskGroup) -> bool:
        """Begin or cancel a call; False ends the connection."""
        try:
            message = decode(line)
        except DecodeError as error:
            _log.warning("! api: %s", error)
            return False
        match message:
            case Call(number) if number in self._calls:
                return False
            case Call(number) if len(self._calls) >= CALLS_MAX:
                self._write(failure_of(number, TooMuchAskedError()))
            case Call(number):
                self._calls[number] = tasks.create_task(self._run(message))
            case Cancel(number):
                if (task := self._calls.get(number)) is not None:
                    task.cancel()
            case _:
                return False
        return True

    async def _run(self, call: Call) -> None:
        """Run one call to its end, whatever that is."""
        try:
            async for kind, value in run(self._node, call.method, call.params):
                answer = Item(call.id, value) if kind == "item" else Result(call.id, value)
                self._write(answer)
                await self._writer.drain()
        except asyncio.CancelledError as error:
            self._write(failure_of(call.id, error))
        except ConnectionError:
            pass  # the caller is gone
        except Exception as error:  # noqa: BLE001 - a task ends here; the caller is told
            failure = failure_of(call.id, error)
            if failure.kind == "InternalError":
                _log.exception("! api: %s failed", call.method)
            self._write(failure)
        finally:
            self._calls.pop(call.id, None)

    def _write(self, message: Message) -> None:
        if not self._writer.is_closing():
            self._writer.write(encode(message))
