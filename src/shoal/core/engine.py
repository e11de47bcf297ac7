"""The engine pattern: what every protocol core looks like from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.core.addresses import Address


class Engine(Protocol):
    """A protocol without I/O: inputs and a time go in, a list of effects comes out.

    Ten promises hold for each engine (see docs/topics/engines.md); `tests/engine_laws.py` checks
    those that a machine can check. `now` is monotonic seconds.
    """

    def receive(self, datagram: bytes, addr: Address, now: float) -> Sequence[object]:
        """Take one datagram. Never raises: what a peer sends is not our error."""
        ...

    def next_deadline(self) -> float | None:
        """When `advance` next has work, or None. Pure."""
        ...

    def advance(self, now: float) -> Sequence[object]:
        """Do what is due at *now*. Harmless early or twice."""
        ...
