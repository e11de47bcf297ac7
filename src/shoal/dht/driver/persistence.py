"""Keeps a node's state on disk: loaded once, saved now and then, and at the end."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from shoal.core import Family
from shoal.dht.driver.files import read_ports, read_state, write_atomic, write_ports
from shoal.dht.errors import StateFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from shoal.dht.state import NodeState

_log = logging.getLogger(__name__)

SAVE_INTERVAL: Final = 300.0  # seconds; ours: half the time in which a node counts as heard of


class Persistence:
    """The state file of one node."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[None] | None = None

    async def load(self) -> tuple[NodeState | None, dict[Family, int]]:
        """Return the state and the ports of the last run, as far as there was one.

        Raises:
            StateFileError: the file exists and cannot be read.
        """
        return await asyncio.to_thread(self._load)

    def save_ports(self, ports: Mapping[Family, int]) -> None:
        """Write the ports beside the state: at once, so that a bad path shows at the start.

        Raises:
            StateFileError: it cannot be written.
        """
        write_ports(self._path, ports.get(Family.IPV4, 0), ports.get(Family.IPV6, 0))

    def save_regularly(self, export: Callable[[], Iterable[bytes]]) -> None:
        """Save what *export* returns every `SAVE_INTERVAL`, until `close`.

        *export* is called on the event loop; its chunks are drawn, and written, in a thread.
        """

        def save() -> None:
            self._timer = loop.call_later(SAVE_INTERVAL, save)
            if self._writing is None:
                data = export()
                self._writing = loop.run_in_executor(None, write_atomic, self._path, data)
                self._writing.add_done_callback(self._written)

        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(SAVE_INTERVAL, save)

    async def close(self, data: Iterable[bytes]) -> None:
        """Save once more, and no more.

        Raises:
            StateFileError: it cannot be written.
        """
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is not None:
            await asyncio.wait([self._writing])
        await asyncio.to_thread(write_atomic, self._path, data)

    def _load(self) -> tuple[NodeState | None, dict[Family, int]]:
        ipv4, ipv6 = read_ports(self._path)
        return read_state(self._path), {Family.IPV4: ipv4, Family.IPV6: ipv6}

    def _written(self, writing: asyncio.Future[None]) -> None:
        self._writing = None
        error = None if writing.cancelled() else writing.exception()
        if isinstance(error, StateFileError):
            _log.warning("the state was not saved: %s", error)
        elif error is not None:
            raise error
