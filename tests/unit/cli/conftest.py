"""A DHT node on loopback, in a thread of its own, for commands to talk to."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from shoal.cli import main
from shoal.dht.config import DhtConfig
from shoal.dht.driver import DhtNode

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

NETWORK = 4_000_000_002  # nobody else's


class Peer:
    """A node, and its event loop in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.node = DhtNode(
            bind=["127.0.0.1"],
            network=NETWORK,
            config=DhtConfig(rate_limit_total=-1, rate_limit_per_address=-1),
        )
        self.do(self.node.start())
        self.host = f"127.0.0.1:{self.node.port}"

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run *work* on the node's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def close(self) -> None:
        """Close the node and its loop."""
        self.do(self.node.close(grace=0))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines of --json."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A node to bootstrap from."""
    peer = Peer()
    try:
        yield peer
    finally:
        peer.close()


def shoal(*words: str, peer: Peer | None = None, stdin: bytes | None = None) -> Outcome:
    """Run `shoal` with these words; with *peer*, joined by it over IPv4."""
    arguments = list(words)
    if peer is not None:
        arguments += ["--network", str(NETWORK), "--bootstrap", peer.host, "--no-ipv6"]
    result = CliRunner().invoke(main, arguments, input=stdin, prog_name="shoal")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)
