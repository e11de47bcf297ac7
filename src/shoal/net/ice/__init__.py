"""ICE (RFC 8445) over TCP (RFC 6544) and UDP: the way to a peer behind NATs, as Jami walks it.

The engine and its values. `shoal.net.ice.driver` runs it on real sockets; errors are in
`shoal.net.ice.errors`, effects in `shoal.net.ice.effects`.
"""

from shoal.net.ice.candidates import Candidate, CandidateType, IceDescription, TcpType, Transport
from shoal.net.ice.config import IceConfig, Scope, StunServer, TurnServer
from shoal.net.ice.engine import IceEngine
from shoal.net.ice.path import IcePath, Outcome, PairReport, PathKind

__all__ = [
    "Candidate",
    "CandidateType",
    "IceConfig",
    "IceDescription",
    "IceEngine",
    "IcePath",
    "Outcome",
    "PairReport",
    "PathKind",
    "Scope",
    "StunServer",
    "TcpType",
    "Transport",
    "TurnServer",
]
