"""Who carries offers and answers, and where in the DHT they are put.

There are three ways, of which the first is everybody's: the DHT; rendezvous nodes, with which a
device registers; and the route of a room. The engine knows none of them. It returns `SendSignal`
and takes what came by `signal_received`, both with a *route*: a text that says by which carrier,
and how there, a message came. An answer goes out with the route of its offer, so that each goes
back the way the other came. The route of an offer of ours is empty: the carrier chooses, and may
choose several, since receivers know offers by their ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from shoal.core import InfoHash

if TYPE_CHECKING:
    from shoal.core import PublicKeyId
    from shoal.net.effects import SendSignal

DHT_USER_TYPE: Final = "peer_request"  # Jami connectionmanager.h


def peer_key(device: PublicKeyId | InfoHash) -> InfoHash:
    """Return where in the DHT a device listens for offers and answers.

    Jami of 2023 uses the short id, Jami since 2026 the long one; whoever wants to be found by both
    listens at both, and answers at the key of the family the offer came to.
    """
    return InfoHash.of(f"peer:{device.hex()}".encode())


class Carrier(Protocol):
    """One way for offers and answers."""

    def carry(self, signal: SendSignal) -> None:
        """Set out to deliver *signal*; a failure is reported by `signal_failed`, later."""
        ...
