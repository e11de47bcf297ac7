"""The process of one end: `python -m bench.connect.worker shoal|tls`."""

from __future__ import annotations

import asyncio
import ssl
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any, Final

from bench.workers import serve

if TYPE_CHECKING:
    from shoal.identity import DeviceChain
    from shoal.net import Channel, Connections, Peer, SendSignal

LOOPBACK: Final = "127.0.0.1"
CHUNK: Final = 65_535  # bytes of a packet at its largest
ACKNOWLEDGED: Final = b"k"
_HEADER: Final = 8  # bytes of a length before raw data


class ShoalEnd:
    """A device; offers travel as datagrams on loopback, so that no DHT is measured."""

    connections: Connections
    peer: DeviceChain

    def may_connect(self, peer: Peer) -> bool:
        """Anybody."""
        return True

    def accepts(self, peer: Peer, name: str) -> bool:
        """Anything."""
        return True

    async def start(self, identity: str) -> int:
        """Start a device; return the port for offers to it."""
        from shoal.crypto import Identity  # noqa: PLC0415 - the other end does without
        from shoal.net import Connections, ConnectionsConfig, PeerRequest  # noqa: PLC0415

        end = self
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

        class Offers(asyncio.DatagramProtocol):
            """Takes offers and answers."""

            def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
                end.connections.signal_received(PeerRequest.unpack(data), end.peer)

        self.connections = Connections(
            Identity.parse(identity.encode()),
            policy=self,
            send_signal=self._send,
            on_channel=self._take,
            hosts=lambda: [bytes((127, 0, 0, 1))],
            # As it comes, a device may call thirty times a minute.
            config=ConnectionsConfig(requests_per_device=10**6, requests_per_account=10**6),
        )
        self._transport, _ = await self._loop.create_datagram_endpoint(
            Offers, local_addr=(LOOPBACK, 0)
        )
        return int(self._transport.get_extra_info("sockname")[1])

    async def meet(self, port: int, chain: str) -> None:
        """Know the other end."""
        from shoal.identity import check_device, parse_chain  # noqa: PLC0415

        self._port = port
        self.peer = check_device(parse_chain(chain.encode()), time.time())

    async def connect(self) -> float:
        """Open a channel on a new connection; return the seconds, and hang up."""
        begin = time.perf_counter()
        channel = await self.connections.connect(self.peer, "x", timeout=60.0)
        took = time.perf_counter() - begin
        channel.close()
        self.connections.close_device(self.peer.device)
        await asyncio.sleep(0.05)  # let the other end notice
        return took

    async def send(self, size: int) -> float:
        """Send *size* bytes on one channel; return the seconds until they were acknowledged."""
        channel = await self.connections.connect(self.peer, f"sink:{size}", timeout=60.0)
        begin = time.perf_counter()
        await _pour(channel, size)
        took = time.perf_counter() - begin
        channel.close()
        return took

    async def many(self, count: int, size: int) -> list[float]:
        """Open *count* channels at once, then send *size* bytes on each; return both times."""
        first = await self.connections.connect(self.peer, "first", timeout=60.0)
        begin = time.perf_counter()
        channels = await asyncio.gather(
            *(
                self.connections.connect(self.peer, f"sink:{size}", timeout=60.0)
                for _ in range(count)
            )
        )
        opened = time.perf_counter()
        await asyncio.gather(*(_pour(channel, size) for channel in channels))
        sent = time.perf_counter()
        for channel in (first, *channels):
            channel.close()
        assert len(self.connections.connections()) == 1
        return [opened - begin, sent - opened]

    def _send(self, signal: SendSignal) -> None:
        self._transport.sendto(signal.request.packed(), (LOOPBACK, self._port))

    def _take(self, channel: Channel) -> None:
        task = self._loop.create_task(_drink(channel))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _pour(channel: Channel, size: int) -> None:
    """Write *size* bytes, and wait for the word that they have come."""
    data = bytes(CHUNK)
    for left in range(size, 0, -CHUNK):
        channel.write(data[:left] if left < CHUNK else data)
        await channel.drain()
    assert await channel.read_packet() == ACKNOWLEDGED


async def _drink(channel: Channel) -> None:
    """Read what the channel's name announces, say so, and read to the end."""
    if channel.name.startswith("sink:"):
        left = int(channel.name.removeprefix("sink:"))
        while left > 0:
            left -= len(await channel.read_packet())
        channel.write(ACKNOWLEDGED)
    await channel.wait_closed()


class TlsEnd:
    """asyncio's streams over TLS, and nothing else."""

    async def start(self, identity: str) -> int:
        """Listen; return the port."""
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.minimum_version = ssl.TLSVersion.TLSv1_3
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(identity)
            file.flush()
            server.load_cert_chain(file.name)
        self._server = await asyncio.start_server(self._drink, LOOPBACK, 0, ssl=server)
        return int(self._server.sockets[0].getsockname()[1])

    async def meet(self, port: int, chain: str) -> None:
        """Know the other end."""
        self._port = port

    async def send(self, size: int) -> float:
        """Send *size* bytes; return the seconds until they were acknowledged."""
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(LOOPBACK, self._port, ssl=client)
        data = bytes(CHUNK)
        begin = time.perf_counter()
        writer.write(size.to_bytes(_HEADER))
        for left in range(size, 0, -CHUNK):
            writer.write(data[:left] if left < CHUNK else data)
            await writer.drain()
        assert await reader.readexactly(len(ACKNOWLEDGED)) == ACKNOWLEDGED
        took = time.perf_counter() - begin
        writer.close()
        await writer.wait_closed()
        return took

    async def _drink(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = int.from_bytes(await reader.readexactly(_HEADER))
        while left:
            left -= len(await reader.read(CHUNK))
        writer.write(ACKNOWLEDGED)
        await writer.drain()
        writer.close()


if __name__ == "__main__":
    asyncio.run(serve(ShoalEnd() if sys.argv[1] == "shoal" else TlsEnd()))
