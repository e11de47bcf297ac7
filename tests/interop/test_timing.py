"""When nodes repeat themselves: all kinds are watched at once, since each takes seconds.

Case numbers are those of the table in docs/protocol/interop.md.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from tests.peers.peer import key_of
from tests.peers.pool import KINDS, PeerPool, connected, need
from tests.peers.waiting import until

if TYPE_CHECKING:
    from tests.peers.wire_peer import Arrival, WirePeer

KEY = key_of("timing")
RAW_KEY = bytes.fromhex(KEY)


def gets(wire: WirePeer) -> list[Arrival]:
    """Return the gets of the test's key."""
    return [a for a in wire.arrivals if a.kind == "get" and a.body["h"] == RAW_KEY]


def first_attempts(wire: WirePeer) -> list[Arrival]:
    """Return the first ping of each transaction."""
    seen: dict[int, Arrival] = {}
    for arrival in list(wire.arrivals):
        if arrival.kind == "ping":
            seen.setdefault(arrival.tid, arrival)
    return list(seen.values())


def test_requests_are_repeated() -> None:
    """Case 18: three attempts, the same bytes, after about one and then two seconds."""
    need(*KINDS)
    with contextlib.ExitStack() as stack:
        wires: dict[str, WirePeer] = {}
        for kind in KINDS:
            pool = stack.enter_context(PeerPool())
            wires[kind] = wire = pool.wire()
            node = pool.start(kind, bootstrap=f"127.0.0.1:{wire.port}")
            connected(node)
            wire.mute |= {"get", "find", "ping"}

            def ask(node=node) -> None:  # type: ignore[no-untyped-def]
                with contextlib.suppress(AssertionError, TimeoutError, OSError):
                    node.get(KEY)  # outlives the node

            threading.Thread(target=ask, daemon=True).start()
        for kind, wire in wires.items():
            until(lambda wire=wire: len(gets(wire)) >= 3, f"{kind}: three attempts", 8.0)  # type: ignore[misc]
            first, second, third = gets(wire)[:3]
            assert first.raw == second.raw == third.raw, kind
            assert 0.95 < second.at - first.at < 1.5, kind
            assert 1.95 < third.at - second.at < 3.0, kind


def test_bootstrap_goes_on() -> None:
    """Case 19: a bootstrap node that is silent is pinged again after ten seconds."""
    need(*KINDS)
    with PeerPool() as pool:
        wires = {kind: pool.wire(answers=False) for kind in KINDS}
        for kind, wire in wires.items():
            pool.start(kind, bootstrap=f"127.0.0.1:{wire.port}")
        for kind, wire in wires.items():
            until(lambda wire=wire: len(first_attempts(wire)) >= 2, f"{kind}: again", 15.0)  # type: ignore[misc]
            first, second = first_attempts(wire)[:2]
            assert 9.0 < second.at - first.at < 13.0, kind
