"""A node's HTTP server whose answers a test decides."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class FakeNode:
    """Answers JSON-RPC by *answer*(method, params), or raises what it raises as an error.

    *refusals* are HTTP statuses that are answered first; None closes the connection instead.
    """

    def __init__(self, answer: Callable[[str, list[Any]], Any]) -> None:
        self._answer = answer
        self.refusals: list[int | None] = []
        self.takes_batches = True
        self.bodies: list[Any] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/secret"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            asked = json.loads(await reader.readexactly(length))
            self.bodies.append(asked)
            status = self.refusals.pop(0) if self.refusals else 200
            if status is not None:
                body = json.dumps(self._content(asked)).encode()
                writer.write(
                    b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
                    % (status, len(body), body)
                )
                await writer.drain()
        finally:
            writer.close()

    def _content(self, asked: Any) -> Any:
        if not isinstance(asked, list):
            return self._one(asked)
        if not self.takes_batches:
            return {"jsonrpc": "2.0", "error": {"code": -32600, "message": "no batches"}}
        return [self._one(each) for each in reversed(asked)]

    def _one(self, asked: Any) -> Any:
        made = {"jsonrpc": "2.0", "id": asked["id"]}
        try:
            return made | {"result": self._answer(asked["method"], asked["params"])}
        except RpcRefusal as refusal:
            return made | {"error": {"code": -32000, "message": str(refusal)}}


class RpcRefusal(Exception):  # noqa: N818 - what a node says is no error of ours
    """The node refuses."""
