"""Sockets for one ICE engine: carries out its actions, tells it what happens.

The engine may be anybody's child: inputs are handed over as commands, functions of the engine and
the time that return effects, for its owner to run and to interpret.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from shoal.net.ice.effects import Action, Effect
from shoal.net.ice.engine import IceEngine

Command: TypeAlias = Callable[[IceEngine, float], Sequence[Effect]]


class IceSockets:
    """The sockets, links, lookups and port mappings of one engine.

    `feed(command)` must run `command(engine, now)`, hand the actions among the effects to
    `carry_out`, and deal with the events itself. It is called from the event loop, never from
    within `carry_out`.
    """

    def __init__(self, feed: Callable[[Command], None]) -> None:
        raise NotImplementedError

    def carry_out(self, action: Action) -> None:
        """Do what the engine orders."""
        raise NotImplementedError

    def pause_reading(self) -> None:
        """Read no more from links, so that the peer has to wait."""
        raise NotImplementedError

    def resume_reading(self) -> None:
        """Read on."""
        raise NotImplementedError

    async def drain(self) -> None:
        """Wait until what was written has mostly left."""
        raise NotImplementedError

    def close(self) -> None:
        """Close every socket; what was written is given a moment to leave."""
        raise NotImplementedError

    async def wait_closed(self) -> None:
        """Wait until no socket is left."""
        raise NotImplementedError


def local_addresses() -> list[bytes]:
    """Return the addresses of this machine's interfaces that a peer could reach, IPv4 first."""
    raise NotImplementedError
