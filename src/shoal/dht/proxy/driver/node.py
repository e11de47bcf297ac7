"""What a proxy server needs of the node that it serves; `shoal.dht.DhtNode` has it."""

# ruff: noqa: ASYNC109 - as in DhtNode: cancelling an operation has effects of its own

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shoal.core import InfoHash
    from shoal.dht.driver import ListenEvent, NodeStats, PutResult
    from shoal.dht.value import Value

ItemT_co = TypeVar("ItemT_co", covariant=True)


class Operation(Protocol[ItemT_co]):
    """A running get or listen: iterate over what it finds, and close it."""

    def __aiter__(self) -> AsyncIterator[ItemT_co]:
        """Start it, if it hasn't been."""
        ...

    def close(self) -> None:
        """End it; harmless twice."""
        ...


class ServedNode(Protocol):
    """A node of the DHT. With *raw*, values come as they are stored: encrypted, unverified."""

    def get(
        self, key: InfoHash, *, timeout: float | None = None, raw: bool = False
    ) -> Operation[Value]:
        """Look for the values at *key*."""
        ...

    def listen(self, key: InfoHash, *, raw: bool = False) -> Operation[ListenEvent]:
        """Follow the values at *key*."""
        ...

    async def put(
        self,
        key: InfoHash,
        value: Value,
        *,
        permanent: bool = False,
        timeout: float | None = None,
    ) -> PutResult:
        """Store *value* at *key*."""
        ...

    async def put_signed(
        self, key: InfoHash, value: Value, *, timeout: float | None = None
    ) -> PutResult:
        """Store *value* at *key*, signed by the node."""
        ...

    async def put_encrypted(
        self, key: InfoHash, value: Value, to: InfoHash, *, timeout: float | None = None
    ) -> PutResult:
        """Store *value* at *key*, signed by the node and encrypted for the holder of key *to*."""
        ...

    def cancel_put(self, key: InfoHash, value_id: int) -> None:
        """Stop announcing a permanent value."""
        ...

    def stats(self) -> NodeStats:
        """Return a snapshot of the node."""
        ...
