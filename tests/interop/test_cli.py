"""The commands of the README against real peers: what they put, others get, and back."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.peers.peer import key_of, shown
from tests.peers.pool import REAL_KINDS, address_of, connected

if TYPE_CHECKING:
    from tests.peers.peer import Peer
    from tests.peers.pool import PeerPool


def shoal(peer: Peer, *arguments: str) -> list[dict[str, object]]:
    """Run `shoal dht …` in the network of *peer*; return its JSON lines."""
    command, *rest = arguments
    network = str(peer.options.network)
    done = subprocess.run(  # noqa: S603 - our own program
        [
            *(sys.executable, "-m", "shoal", "dht", command, *rest, "--json"),
            *("--bootstrap", address_of(peer), "--network", network, "--timeout", "20"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("kind", REAL_KINDS)
def test_put_and_get(pool: PeerPool, kind: str) -> None:
    """`shoal dht put` and `shoal dht get`, with a key given as text."""
    first = pool.start(kind)
    second = pool.start(kind, bootstrap=first)
    connected(first, second)
    shoal(first, "put", "a room", "hello from the shell")
    assert shown(second.get(key_of("a room"))) == [b"hello from the shell"]
    assert second.put(key_of("another"), b"hello-from-elsewhere").ok
    value, done = shoal(first, "get", "another")
    assert value["text"] == "hello-from-elsewhere"
    assert (done["event"], done["values"]) == ("done", 1)
