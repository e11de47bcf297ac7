"""A name server that kills itself, without warning, at one of the points where it matters.

    python -m tests.peers.names_worker DATA CHAIN POINT [REGISTRY KEY VICTIM]

Points are numbered in the order in which a registration comes by: before and after everything that
writes to a disk, to the chain or to the client. They count from the line `arm` on the standard
input on; POINT 0 kills nobody. What is reached is printed. With VICTIM, a process id, it kills that
process instead: its chain.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.chain import ChainAddress
from shoal.chain.config import TransactionConfig
from shoal.chain.driver import embedded, rpc, sender, store
from shoal.names import NameServerConfig, NameServerLimits
from shoal.names.driver import http, index, journal
from shoal.names.driver.opening import open_name_server

if TYPE_CHECKING:
    from collections.abc import Callable

_OWNERS: list[tuple[type, str]] = [
    (journal.Journal, "write"),
    (sender._IntentFile, "save"),  # noqa: SLF001 - a point like the others
    (embedded.EmbeddedChain, "send"),
    (rpc.RpcChain, "send"),
    (store.ChainStore, "append"),
    (index.Index, "add"),
    (http.Slot, "fill"),
]


def say(**fields: object) -> None:
    """Write a line, whole or not at all."""
    os.write(sys.stdout.fileno(), json.dumps(fields).encode() + b"\n")


class Points:
    """Counts, and kills at one."""

    def __init__(self, fatal: int, victim: int) -> None:
        self._fatal = fatal
        self._victim = victim
        self._count = 0
        self._lock = threading.Lock()
        self.is_armed = False

    def reach(self, name: str) -> None:
        """Reach a point."""
        if not self.is_armed:
            return
        with self._lock:  # points are in several threads
            self._count += 1
            say(point=self._count, at=name)
            if self._count == self._fatal:
                os.kill(self._victim, signal.SIGKILL)

    def watch(self, owner: type, method: str) -> None:
        """Make a method pass by two points."""
        honest: Callable[..., Any] = getattr(owner, method)
        name = f"{owner.__name__}.{method}"
        if asyncio.iscoroutinefunction(honest):

            @functools.wraps(honest)
            async def watched(*asked: Any, **wishes: Any) -> Any:
                self.reach(f"before {name}")
                result = await honest(*asked, **wishes)
                self.reach(f"after {name}")
                return result
        else:

            @functools.wraps(honest)
            def watched(*asked: Any, **wishes: Any) -> Any:
                self.reach(f"before {name}")
                result = honest(*asked, **wishes)
                self.reach(f"after {name}")
                return result

        setattr(owner, method, watched)


async def main(
    data: str, chain: str, fatal: str, registry: str = "", key: str = "", victim: str = ""
) -> None:
    """Serve until the standard input ends."""
    points = Points(int(fatal), int(victim or os.getpid()))
    for owner, method in _OWNERS:
        points.watch(owner, method)
    config = NameServerConfig(port=0, limits=NameServerLimits(registrations_burst=1000))
    # As on the embedded chain: a test that waits for blocks of a real one would take minutes.
    transactions = TransactionConfig(
        confirmations=1, poll_interval=0.2, retry_interval=0.2, resend_interval=1.0
    )
    async with open_name_server(
        data,
        config,
        chain=chain,
        registry=ChainAddress.parse(registry) if registry else None,
        key=Path(key) if key else None,
        transactions=transactions,
    ) as server:
        say(event="started", url=server.url)
        while line := await asyncio.to_thread(sys.stdin.readline):
            points.is_armed = line.strip() == "arm"
            say(event="armed")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
