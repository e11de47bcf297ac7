"""The server's process: `python -m bench.names.worker`."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from bench.workers import serve
from shoal.chain import ChainAddress, NameReserved, TransactionHash
from shoal.core import AccountId, InfoHash
from shoal.crypto import PrivateKey
from shoal.names import NameServer, NameServerConfig, NameServerLimits
from shoal.names.driver.index import CheckedEvent
from shoal.names.driver.opening import open_name_server

LIMITS = NameServerLimits(
    lookups_per_second=1e9,
    lookups_burst=10**9,
    registrations_per_hour=1e9,
    registrations_burst=10**9,
    registrations_per_hour_total=1e9,
)
BATCH = 1000


class Side:
    """A name server."""

    def __init__(self) -> None:
        self._stack = contextlib.AsyncExitStack()
        self._server: NameServer | None = None

    async def start(self, folder: str) -> dict[str, Any]:
        """Open a server on the embedded chain in *folder*."""
        config = NameServerConfig(port=0, limits=LIMITS)
        opening = open_name_server(Path(folder), config)
        self._server = await self._stack.enter_async_context(opening)
        return {"port": self._server.port}

    async def fill(self, count: int) -> None:
        """Put names into the index, of the sizes that Jami's accounts have, past the chain."""
        server = self._server
        assert server is not None
        key = PrivateKey.generate(4096)
        signature = key.sign(b"name")
        newest = server.index.checkpoints()[0]
        for start in range(0, count, BATCH):
            # Events have a place in their block, so each batch is in a block of its own.
            block = newest.number - start // BATCH
            events = [
                CheckedEvent(
                    NameReserved(
                        name=f"name-{number}",
                        account=AccountId(InfoHash.of(b"%d" % number)),
                        owner=ChainAddress(InfoHash.of(b"owner")),
                        public_key=key.public_key.spki,
                        signature=signature,
                        block_number=block,
                        tx_hash=TransactionHash(bytes(32)),
                    ),
                    is_valid=True,
                )
                for number in range(start, min(start + BATCH, count))
            ]
            server.index.add(events, newest)

    async def stop(self) -> None:
        """Close the server."""
        await self._stack.aclose()


if __name__ == "__main__":
    asyncio.run(serve(Side()))
