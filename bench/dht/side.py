"""What both sides of the DHT bench can do, in terms that neither favours."""

from __future__ import annotations

from typing import Final, Protocol, TypedDict

BURST_TIMEOUT: Final = 60.0  # seconds; ours: what has not ended by then is lost
CONNECT_TIMEOUT: Final = 30.0  # seconds for a node to know another one


class Limits(TypedDict):
    """Requests per second that a node accepts: in total and from one address. -1 is no limit."""

    total: int
    per_address: int


class Lookup(TypedDict):
    """Seconds until the first value came (None: never) and until the search was done."""

    first: float | None
    done: float


class Burst(TypedDict):
    """Operations started together: seconds until the last one ended or was given up.

    `failed` ended and say so, or brought nothing; `unfinished` never ended.
    """

    seconds: float
    failed: int
    unfinished: int
    processor_seconds: float


class Side(Protocol):
    """A network of nodes on loopback, all in this process. Keys and values are hexadecimal."""

    async def start(self, nodes: int, limits: Limits | None) -> float:
        """Start *nodes* nodes that join the first; return seconds until all are connected."""
        ...

    async def node_ids(self) -> list[str]:
        """Return the id of each node."""
        ...

    async def port(self, node: int) -> int:
        """Return the UDP port of a node."""
        ...

    async def put(self, node: int, key: str, value: str) -> float:
        """Put and return seconds until it was done.

        Raises:
            RuntimeError: no node took the value.
        """
        ...

    async def get(self, node: int, key: str) -> Lookup:
        """Get, to the end."""
        ...

    async def puts(self, node: int, entries: list[tuple[str, str]]) -> Burst:
        """Put all entries at once."""
        ...

    async def gets(self, node: int, keys: list[str]) -> Burst:
        """Get all keys at once, to the end; a get without a value has failed."""
        ...

    async def listen(self, listeners: list[int], key: str) -> None:
        """Let the nodes listen at *key*."""
        ...

    async def update(self, source: int, key: str, value: str) -> float:
        """Put *value* where all listen; return seconds until every listener had it."""
        ...
