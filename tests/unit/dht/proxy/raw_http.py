"""A bare HTTP client, for requests that libraries would put right, and answers byte by byte."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Self

PATIENCE = 20.0


@dataclass
class Answer:
    """An answer: status 0 if there was none."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a whole answer; bodies in chunks are put together."""
        head, _, body = data.partition(b"\r\n\r\n")
        if not head:
            return cls()
        status_line, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        if headers.get("Transfer-Encoding") == "chunked":
            body = _unchunk(body)
        return cls(int(status_line.split(" ")[1]), headers, body)


def request_bytes(
    method: str, path: str, body: bytes = b"", headers: tuple[str, ...] = ()
) -> bytes:
    """Return a request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: */*", *headers]
    if body or method in ("POST", "SUBSCRIBE", "UNSUBSCRIBE"):
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def ask(
    port: int, method: str, path: str, body: bytes = b"", headers: tuple[str, ...] = ()
) -> Answer:
    """Send one request and read its whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(PATIENCE):
            writer.write(request_bytes(method, path, body, headers))
            return await read_answer(reader)
    except ConnectionError:
        return Answer()
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Read one answer to its end."""
    answer = await read_head(reader)
    if "Content-Length" in answer.headers:
        answer.body = await reader.readexactly(int(answer.headers["Content-Length"]))
    elif answer.headers.get("Transfer-Encoding") == "chunked":
        while chunk := await read_chunk(reader):
            answer.body += chunk
    return answer


async def read_head(reader: asyncio.StreamReader) -> Answer:
    """Read the head of an answer."""
    try:
        return Answer.parse(await reader.readuntil(b"\r\n\r\n"))
    except asyncio.IncompleteReadError:
        return Answer()


async def read_chunk(reader: asyncio.StreamReader) -> bytes:
    """Read one chunk; the last one is empty."""
    size = int((await reader.readuntil(b"\r\n")).strip(), 16)
    chunk = await reader.readexactly(size)
    await reader.readexactly(2)
    return chunk


def _unchunk(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        whole += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return whole
