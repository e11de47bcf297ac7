"""A channel as asyncio's streams have it, with the packets of the wire in sight."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Self

from shoal.net.errors import ChannelClosedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shoal.net.driver.connections import Connections
    from shoal.net.effects import ChannelId
    from shoal.net.peer import Peer
    from shoal.net.trace import ConnectionInfo


class Channel:
    """Bytes to and from one device, in order, in packets of at most 65,535 bytes.

    Each `write` of that size or less arrives as one packet, and `read_packet` returns it as such;
    `read` returns what is there. A reader that stops for long loses the channel, and only it: read
    on, or close. A writer waits in `drain` while the network takes no more.
    """

    def __init__(self, host: Connections, channel: ChannelId, peer: Peer, name: str) -> None:
        self._host = host
        self._channel = channel
        self._peer = peer
        self._name = name
        self._packets: deque[bytes] = deque()
        self._begun = 0  # bytes of the first packet that were read
        self._waiter: asyncio.Future[None] | None = None
        self._is_closed = False
        self._error: Exception | None = None
        self._closed = asyncio.Event()

    # What it is

    @property
    def id(self) -> ChannelId:
        """Its number, and that of its connection."""
        return self._channel

    @property
    def name(self) -> str:
        """What it was opened as."""
        return self._name

    @property
    def peer(self) -> Peer:
        """The device at the far end."""
        return self._peer

    @property
    def connection(self) -> ConnectionInfo | None:
        """What it runs on, or None once that is gone."""
        return self._host.connection(self._channel.connection)

    @property
    def is_closed(self) -> bool:
        """Whether it was closed by either side; what came before can still be read."""
        return self._is_closed

    @property
    def error(self) -> Exception | None:
        """Why it ended, unless in order."""
        return self._error

    # Reading

    async def read(self, size: int = -1) -> bytes:
        """Return up to *size* bytes as soon as there are some; all until the end if it is negative.

        Nothing is returned at the end only.

        Raises:
            MuxError: the channel ended, but not in order.
        """
        if size < 0:
            return b"".join([packet async for packet in self])
        if size == 0:
            return b""
        await self._wait()
        if not self._packets:
            return b""
        first = self._packets[0]
        piece = first[self._begun : self._begun + size]
        if self._begun + len(piece) == len(first):
            self._pop()
        else:
            self._begun += len(piece)
        return piece

    async def readexactly(self, size: int) -> bytes:
        """Return *size* bytes.

        Raises:
            asyncio.IncompleteReadError: the channel was closed before.
            MuxError: the channel ended, but not in order.
        """
        pieces: list[bytes] = []
        missing = size
        while missing:
            piece = await self.read(missing)
            if not piece:
                raise asyncio.IncompleteReadError(b"".join(pieces), size)
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    async def read_packet(self) -> bytes:
        """Return the next packet, or what `read` has left of it; nothing at the end.

        Raises:
            MuxError: the channel ended, but not in order.
        """
        await self._wait()
        return self._pop() if self._packets else b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while packet := await self.read_packet():
            yield packet

    # Writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send *data*, as one packet if it fits into one. `drain` afterwards.

        Raises:
            ChannelClosedError: the channel is closed.
            SendBufferFullError: far too much waits to be sent.
        """
        if self._is_closed:
            raise ChannelClosedError(str(self._error or "the channel is closed"))
        self._host.write(self._channel, bytes(data))

    async def drain(self) -> None:
        """Wait until the network takes more.

        Raises:
            ChannelClosedError: the channel is closed.
        """
        if self._is_closed:
            raise ChannelClosedError(str(self._error or "the channel is closed"))
        await self._host.drain(self._channel.connection)

    # The end

    def close(self) -> None:
        """Close the channel in order; harmless twice. The connection stays."""
        if not self._is_closed:
            self._host.close_channel(self._channel)

    async def wait_closed(self) -> None:
        """Return once either side has closed the channel."""
        await self._closed.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *unused: object) -> None:
        self.close()

    # For `Connections`

    def feed(self, data: bytes) -> None:
        """Take a packet."""
        self._packets.append(data)
        self._wake()

    def end(self, error: Exception | None) -> None:
        """Note that no more comes."""
        self._is_closed = True
        self._error = error
        self._closed.set()
        self._wake()

    async def _wait(self) -> None:
        """Return once there is a packet, or the end."""
        while not self._packets and not self._is_closed:
            if self._waiter is not None:
                raise RuntimeError("another task reads this channel already")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if not self._packets and self._error is not None:
            raise self._error

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _pop(self) -> bytes:
        packet = self._packets.popleft()
        rest = packet[self._begun :] if self._begun else packet
        self._begun = 0
        self._host.consumed(self._channel, len(packet), 1)
        return rest

    def __repr__(self) -> str:
        return f"<Channel {self._name!r} {self._channel.connection}.{self._channel.number}>"
