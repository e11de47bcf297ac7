"""Effects that more than one engine has: orders to the driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.core.addresses import Address


class SendDatagram(NamedTuple):
    """Action: send *data* as one UDP datagram. A NamedTuple: one is made per packet."""

    data: bytes
    addr: Address


@dataclass(frozen=True, slots=True)
class Persist:
    """Action: write *data* under *name*, atomically; no later effect runs before it is on disk."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Compute:
    """Action: run the pure *job* in a bounded pool and hand its result back under *id*."""

    id: int
    job: Callable[[], object]
