"""`ChainRegistrar`: brings records to the registry, each once, and pays with a key."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from shoal.chain import Reservation
from shoal.chain.driver import RegistryClient, TransactionSender
from shoal.chain.errors import ChainClosedError, ChainFileError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from shoal.chain import Chain, ChainAddress
    from shoal.chain.config import TransactionConfig
    from shoal.chain.keys import ChainKey
    from shoal.names.record import NameRecord


class ChainRegistrar:
    """Implements `Registrar` with a `TransactionSender`, which it opens once the chain answers.

    A name server has to start without its chain, and a sender with a new file cannot.

    Attributes:
        payer: the account that pays.
    """

    def __init__(
        self,
        chain: Chain,
        registry: ChainAddress,
        key: ChainKey,
        path: Path,
        config: TransactionConfig | None = None,
    ) -> None:
        """Describe it; `async with` gives it its end.

        Args:
            chain: where the registry is.
            registry: its address.
            key: pays.
            path: file for transactions under way; one per key.
            config: how transactions are sent; by default as suits the kind of chain.
        """
        self.payer: ChainAddress = key.address
        self._chain = chain
        self._registry = registry
        self._key = key
        self._path = path
        self._config = config
        self._sender: TransactionSender | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *unused: object) -> None:
        await self.close()

    async def reserve(self, record: NameRecord) -> None:
        """Return once the record is on the chain for good; calling it again is harmless.

        Raises:
            RegistryRefusedError: it never will be.
            ChainError: not now.
        """
        sender = await self._opened()
        client = RegistryClient(self._chain, self._registry, sender=sender)
        wanted = Reservation(
            name=record.name,
            account=record.account,
            public_key=record.public_key,
            signature=record.signature,
            owner=record.owner,
        )
        try:
            await client.register(wanted)
        except (ChainClosedError, ChainFileError):
            await self.close()  # its file failed: a new one goes on with what is in it
            raise

    async def close(self) -> None:
        """Stop; what is under way goes on the next time."""
        sender, self._sender = self._sender, None
        if sender is not None:
            with contextlib.suppress(ChainFileError):
                await sender.close()

    async def _opened(self) -> TransactionSender:
        async with self._opening:
            if self._sender is None:
                sender = TransactionSender(self._chain, self._key, self._path, self._config)
                await sender.open()
                self._sender = sender
            return self._sender
