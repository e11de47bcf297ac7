"""The node's API on a WebSocket: each message is what a line is on the node's own socket.

See `shoal.node.wire`. A browser cannot set headers here, so the token comes as a subprotocol:
`shoal.v1` and `token.TOKEN` are offered, and `shoal.v1` is taken. Nothing is sent before that.

A caller that reads slowly makes its calls wait, and they hold one message each. What happens
meanwhile waits in the event bus, which is bounded, and says `lagged` for what it dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from starlette.websockets import WebSocketDisconnect, WebSocketState

from shoal.core import DecodeError
from shoal.node import wire
from shoal.node.driver.api.failures import failure_of
from shoal.node.driver.api.registry import run
from shoal.node.errors import TooMuchAskedError
from shoal.web.errors import TokenFileError, TokenMissingError
from shoal.web.methods import method_of
from shoal.web.scopes import check_permitted

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from shoal.node import Node
    from shoal.web.callers import Callers
    from shoal.web.tokens import Token, TokenBook

_log = logging.getLogger(__name__)

PROTOCOL: Final = "shoal.v1"
TOKEN_PREFIX: Final = "token."  # noqa: S105 - what stands before one
CHECK_INTERVAL: Final = 5.0  # seconds; ours: between two looks whether the token is still valid
CLOSE_PROTOCOL: Final = 1002  # RFC 6455 section 7.4.1
CLOSE_POLICY: Final = 1008
CLOSE_GOING: Final = 1001


def token_of(websocket: WebSocket) -> str:
    """Return the token that a caller offers.

    Raises:
        TokenMissingError: it offers none, or another protocol.
    """
    offered: list[str] = websocket.scope["subprotocols"]
    tokens = [each.removeprefix(TOKEN_PREFIX) for each in offered if each.startswith(TOKEN_PREFIX)]
    if PROTOCOL not in offered or len(tokens) != 1:
        raise TokenMissingError(f"offer the subprotocols {PROTOCOL} and {TOKEN_PREFIX}TOKEN")
    return tokens[0]


def is_still_valid(tokens: TokenBook, token: Token) -> bool:
    """Tell whether a token is valid, as far as its file can be read: who was let in stays in."""
    try:
        return tokens.is_known(token)
    except TokenFileError as error:
        _log.warning("! web: %s", error)
        return True


async def end_with_token(websocket: WebSocket, tokens: TokenBook, token: Token) -> None:
    """End a connection within seconds of the end of its token."""
    while is_still_valid(tokens, token):  # noqa: ASYNC110 - other processes revoke it, by a file
        await asyncio.sleep(CHECK_INTERVAL)
    if websocket.application_state is WebSocketState.CONNECTED:
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await websocket.close(CLOSE_POLICY, "the token was revoked, or has expired")


class Caller:
    """One WebSocket, and the calls that came by it."""

    def __init__(self, websocket: WebSocket, node: Node, callers: Callers, token: Token) -> None:
        self._websocket = websocket
        self._node = node
        self._callers = callers
        self._token = token
        self._calls: dict[int, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Take calls until the caller goes, writes what is no call, or its token is revoked."""
        await self._websocket.accept(PROTOCOL)
        reason = (CLOSE_GOING, "")
        async with asyncio.TaskGroup() as tasks:
            tokens_end = end_with_token(self._websocket, self._callers.tokens, self._token)
            watch = tasks.create_task(tokens_end)
            with contextlib.suppress(WebSocketDisconnect):
                reason = await self._read(tasks)
            watch.cancel()
            for task in self._calls.values():
                task.cancel()
        await self.close(*reason)

    async def close(self, code: int, reason: str) -> None:
        """End the connection; harmless twice."""
        if self._websocket.application_state is WebSocketState.CONNECTED:
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await self._websocket.close(code, reason)

    async def _read(self, tasks: asyncio.TaskGroup) -> tuple[int, str]:
        while True:
            text = await self._websocket.receive_text()
            try:
                message = wire.decode(text.encode())
            except (DecodeError, UnicodeEncodeError) as error:
                return CLOSE_PROTOCOL, str(error)[:100]
            match message:
                case wire.Call(number) if number in self._calls:
                    return CLOSE_PROTOCOL, f"call {number} is under way"
                case wire.Call(number):
                    # The task takes a step before the next message is read: so calls are counted.
                    self._calls[number] = tasks.create_task(self._run(message))
                case wire.Cancel(number):
                    if (task := self._calls.get(number)) is not None:
                        task.cancel()
                case _:
                    return CLOSE_PROTOCOL, "neither call nor cancel"

    async def _run(self, call: wire.Call) -> None:
        """Run one call to its end, whatever that is."""
        try:
            self._check(call)
            async with contextlib.aclosing(run(self._node, call.method, call.params)) as stream:
                async for kind, value in stream:
                    is_item = kind == "item"
                    await self._send(_answer(call.id, value, is_item=is_item))
        except asyncio.CancelledError as error:
            with contextlib.suppress(Exception):
                await self._send(failure_of(call.id, error))
        except WebSocketDisconnect:
            pass  # a page that is closed, or loaded anew: nobody is left to tell
        except Exception as error:  # noqa: BLE001 - a task ends here; the caller is told
            failure = failure_of(call.id, error)
            if failure.kind == "InternalError":
                _log.exception("! web: %s failed", call.method)
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await self._send(failure)
        finally:
            self._calls.pop(call.id, None)

    def _check(self, call: wire.Call) -> None:
        """Let a call through, or not.

        Raises:
            ShoalError: it is unknown, not permitted, or one too many.
        """
        if len(self._calls) > self._callers.limits.calls_per_socket:
            raise TooMuchAskedError
        self._callers.count(self._token, asyncio.get_running_loop().time())
        method_of(call.method)
        check_permitted(self._token.scopes, self._token.account, call.method, call.params)

    async def _send(self, message: wire.Message) -> None:
        await self._websocket.send_text(wire.encode(message).decode().rstrip("\n"))


def _answer(number: int, value: object, *, is_item: bool) -> wire.Message:
    return wire.Item(number, value) if is_item else wire.Result(number, value)
