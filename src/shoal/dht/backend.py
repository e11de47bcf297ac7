"""What can carry DHT operations: a node on the network, or a proxy that has one.

`DhtEngine` speaks the DHT itself; `ProxyEngine` asks a proxy server over HTTP. `SecureEngine`
stands on either and may change from one to the other while operations run, so both have these
commands.

    caller ── SecureEngine ──┬── DhtEngine    datagrams
                             └── ProxyEngine  HTTP requests and answer lines
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.core import Address, InfoHash
    from shoal.dht.effects import Status
    from shoal.dht.query import Query, Where
    from shoal.dht.value import Value


class DhtCommands(Protocol):
    """An engine that gets, listens and puts: the commands that every backend has.

    `op` is chosen by the caller, unique among the operations that are under way. What follows:

    - get: any number of `ValuesFound`, then one `Done`;
    - query: any number of `RowsFound`, then one `Done`;
    - listen: `ValuesFound` and `ValuesExpired` until `cancel`, and no `Done`;
    - put: one `Done`; that of a permanent put tells of its first success or failure;
    - `cancel(op)`: nothing more for that op, not even `Done`; unknown ops are ignored.

    A command may return its first events, its `Done` too. Effects that a caller doesn't know are
    to be passed on, in order: they are meant for the driver of this backend.
    """

    @property
    def status(self) -> tuple[Status, Status]:
        """The connection over IPv4 and over IPv6; one over a proxy counts as both."""
        ...

    def receive(self, datagram: bytes, addr: Address, now: float) -> Sequence[object]:
        """Take one datagram. Never raises; a backend without a socket drops and counts it."""
        ...

    def next_deadline(self) -> float | None:
        """When `advance` next has work, or None. Pure."""
        ...

    def advance(self, now: float) -> Sequence[object]:
        """Do what is due at *now*. Harmless early or twice."""
        ...

    def get(self, op: int, key: InfoHash, now: float, *, where: Where = ()) -> Sequence[object]:
        """Look for the values at *key* that *where* lets through."""
        ...

    def query(self, op: int, key: InfoHash, query: Query, now: float) -> Sequence[object]:
        """Look for fields of the values at *key*.

        Raises:
            DhtError: this backend can't.
        """
        ...

    def listen(self, op: int, key: InfoHash, now: float, *, where: Where = ()) -> Sequence[object]:
        """Follow the values at *key* that *where* lets through, until cancelled."""
        ...

    def put(
        self,
        op: int,
        key: InfoHash,
        value: Value,
        now: float,
        *,
        created: float | None = None,
        permanent: bool = False,
    ) -> Sequence[object]:
        """Store *value*, whose id isn't 0, at *key*.

        Its life counts from the wall-clock second *created*, or from now. A *permanent* one is
        kept announced until `cancel_put`.

        Raises:
            ValueTooLargeError: no node would take it.
        """
        ...

    def cancel(self, op: int, now: float) -> Sequence[object]:
        """End a get, query or listen without another event."""
        ...

    def cancel_put(self, key: InfoHash, value_id: int, now: float) -> Sequence[object]:
        """Stop announcing a value and forget our copy; others keep theirs until it expires."""
        ...

    def connectivity_changed(self, now: float) -> Sequence[object]:
        """Take note that the network below has changed."""
        ...

    def close(self, now: float) -> Sequence[object]:
        """End everything; no command may follow."""
        ...
