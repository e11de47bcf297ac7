"""Errors of ICE. Each docstring is what people are shown: what happened, and what to do.

IceError
├── NoCandidatesError       this machine has no address to offer
├── NoPathError             every pair of addresses failed
├── NominationTimeoutError  the controlling peer never chose a pair
├── IceTimeoutError         no path within the time limit
├── LinkLostError           the chosen path broke
├── PeerFloodError          the peer sent too much before a path was chosen
└── IceStateError           a call that does not fit the engine's state
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.net.errors import NetError

if TYPE_CHECKING:
    from shoal.net.ice.path import PairReport


class IceError(NetError):
    """Base of the errors of ICE.

    Attributes:
        pairs: what was tried and how it ended.
    """

    def __init__(self, message: str = "", pairs: tuple[PairReport, ...] = ()) -> None:
        super().__init__(message or (type(self).__doc__ or "").split(".", maxsplit=1)[0])
        self.pairs = pairs


class NoCandidatesError(IceError):
    """This machine has no address to offer to a peer. Connect it to a network."""


class NoPathError(IceError):
    """No pair of addresses connects the two devices. A TURN server would carry their data."""


class NominationTimeoutError(IceError):
    """The peer reached us and then chose no path. Try again."""


class IceTimeoutError(IceError):
    """No path to the peer was found in time. Try again; a TURN server may help."""


class LinkLostError(IceError):
    """The connection to the peer broke. Connect again."""


class PeerFloodError(IceError):
    """The peer sent too much before the connection was chosen; it was closed."""


class IceStateError(IceError):
    """The call does not fit the state of the connection: too early, twice, or after its end."""
