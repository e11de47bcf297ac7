"""Errors of port mapping. Each docstring is what people are shown: what happened, what to do.

MappingError
├── NoRouterError         no router here maps ports
├── MappingRefusedError   the router refuses
├── NotPublicError        the router's own address is private
└── TooManyMappingsError  as many mappings as we ask for are in force
"""

from __future__ import annotations

from shoal.net.errors import NetError


class MappingError(NetError):
    """Base of the errors of port mapping."""


class NoRouterError(MappingError):
    """No router here forwards ports on demand. Switch UPnP or NAT-PMP on in its settings."""


class MappingRefusedError(MappingError):
    """The router does not forward the port.

    Attributes:
        code: the number that its protocol has for the reason.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"the router refuses to forward the port: {code}")
        self.code = code


class NotPublicError(MappingError):
    """The router itself has a private address: there is another one before it."""


class TooManyMappingsError(MappingError):
    """As many ports as we ask a router for are being forwarded."""
