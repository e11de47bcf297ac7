"""Errors of TURN. Each docstring is what people are shown: what happened, and what to do.

TurnError
├── TurnUnreachableError    the server does not answer
├── TurnCredentialsError    the server does not know our name or password
├── TurnQuotaError          the server has no room for another allocation
├── TurnRefusedError        the server refuses, with a number
└── TurnLostError           the allocation is gone
"""

from __future__ import annotations

from shoal.net.errors import NetError


class TurnError(NetError):
    """Base of the errors of TURN."""


class TurnUnreachableError(TurnError):
    """The TURN server does not answer. Check its address, or take another one."""


class TurnCredentialsError(TurnError):
    """The TURN server does not accept our user name and password. Check them."""


class TurnQuotaError(TurnError):
    """The TURN server allows us no further allocation. Try again later, or take another one."""


class TurnRefusedError(TurnError):
    """The TURN server refuses what we ask for.

    Attributes:
        code: STUN's number for the reason.
        reason: the server's words.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the TURN server refuses: {code} {reason[:100]}")
        self.code = code
        self.reason = reason


class TurnLostError(TurnError):
    """The address on the TURN server is gone: the connection to the server broke or it expired."""
