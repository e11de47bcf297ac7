"""Notices when the network below changes: another address, another route, a machine that slept.

Portable and cheap: a UDP socket that is connected, but never sent on, tells which of our addresses
the system would use to reach the Internet. Asked every few seconds, for both families, it costs
two system calls and no packet.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

INTERVAL: Final = 10.0  # seconds; ours: about the time in which requests to dead paths give up
CLOCK_JUMP: Final = 30.0  # seconds; ours: the wall clock moved on without us, or was set
# Documentation addresses (RFC 5737, RFC 3849): routed like any other, owned by nobody.
_PROBES: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
_PROBE_PORT: Final = 9  # discard; nothing is sent


class NetworkWatcher:
    """Calls *changed* when our addresses change or after a sleep, and *ticked* at every look."""

    def __init__(self, changed: Callable[[], None], ticked: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = changed
        self._ticked = ticked
        self._addresses = source_addresses()
        self._wall_offset = time.time() - time.monotonic()
        self._timer = self._loop.call_later(INTERVAL, self._look)

    def close(self) -> None:
        """Stop looking."""
        self._timer.cancel()

    def _look(self) -> None:
        self._timer = self._loop.call_later(INTERVAL, self._look)
        self._ticked()
        addresses, wall_offset = source_addresses(), time.time() - time.monotonic()
        # Linux's monotonic clock stands still while the machine sleeps, the wall clock does not.
        has_slept = wall_offset - self._wall_offset > CLOCK_JUMP
        self._wall_offset = wall_offset
        if addresses == self._addresses and not has_slept:
            return
        _log.info("= network changed: %s", "the machine slept" if has_slept else "new address")
        self._addresses = addresses
        self._changed()


def source_addresses() -> tuple[str, ...]:
    """Return the address that packets to the Internet would leave from, per family, if any."""
    found = []
    for family, target in _PROBES:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((target, _PROBE_PORT))
                found.append(str(probe.getsockname()[0]))
        except OSError:  # no route, or no such family
            continue
    return tuple(found)
