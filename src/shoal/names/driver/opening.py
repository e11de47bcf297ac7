"""A name server from what an operator names: a chain, a folder, a port."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shoal.chain import ChainAddress, Registry
from shoal.chain.driver import EmbeddedChain, load_key, load_or_create_key, open_chain
from shoal.names.config import NameServerConfig
from shoal.names.driver.registrar import ChainRegistrar
from shoal.names.driver.server import NameServer
from shoal.names.errors import NameStoreError

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import AsyncIterator

    from shoal.chain.config import TransactionConfig
    from shoal.chain.keys import ChainKey

CHAIN_FOLDER: Final = "chain"  # of the embedded chain, in the data folder
KEY_FILE: Final = "server.key"  # pays the fees
TRANSACTIONS_FILE: Final = "transactions.sqlite"
EMBEDDED: Final = "embedded"


@asynccontextmanager
async def open_name_server(
    data: str | os.PathLike[str],
    config: NameServerConfig | None = None,
    *,
    chain: str = EMBEDDED,
    registry: ChainAddress | None = None,
    key: Path | None = None,
    first_block: int = 0,
    transactions: TransactionConfig | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[NameServer]:
    """Open a server with all that it takes, for as long as the context lasts.

    Args:
        data: folder for everything.
        config: where to listen, and what to grant.
        chain: `embedded`, or the URL of a node.
        registry: address of the contract; without it that of Shoal's genesis files.
        key: file with the key that pays; without it one in the data folder, made if need be. On the
            embedded chain it gets what it needs from the faucet.
        first_block: that can have events of the registry.
        transactions: how they are sent, and when they count as done; by default as suits the kind
            of chain.
        tls: makes it HTTPS.

    Raises:
        ChainError: chain or key cannot be opened.
        NamesError: the data folder or the port cannot be had.
    """
    folder, config = Path(data), config or NameServerConfig()
    opened = await open_chain(chain, folder=folder / CHAIN_FOLDER)
    try:
        address = registry or opened.registry_address or Registry().address
        registrar: ChainRegistrar | None = None
        if not config.is_read_only:
            payer = await asyncio.to_thread(_load_payer, folder, key)
            if isinstance(opened, EmbeddedChain):
                await opened.fund(payer.address)
            path = folder / TRANSACTIONS_FILE
            registrar = ChainRegistrar(opened, address, payer, path, transactions)
        try:
            server = NameServer(
                opened,
                Registry(address),
                folder,
                config,
                registrar=registrar,
                first_block=first_block,
                tls=tls,
            )
            async with server:
                yield server
        finally:
            if registrar is not None:
                await registrar.close()
    finally:
        await opened.close()


def _load_payer(folder: Path, key: Path | None) -> ChainKey:
    """Return the key that pays; made in *folder* where none is named."""
    if key is not None:
        return load_key(key)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise NameStoreError(f"{folder}: {error.strerror}") from error
    return load_or_create_key(folder / KEY_FILE)
