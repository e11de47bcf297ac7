"""TLS as a filter between a byte stream and the channels on it.

The engine knows only `TlsFilter`. `shoal.net.tls.driver` has the real one, over the `ssl` module;
`shoal.net.tls.testing` one that carries nothing but certificates, for simulations.
"""

from shoal.net.tls.filter import (
    TlsClosed,
    TlsEffect,
    TlsEstablished,
    TlsFactory,
    TlsFilter,
    TlsReceived,
    TlsSend,
)

__all__ = [
    "TlsClosed",
    "TlsEffect",
    "TlsEstablished",
    "TlsFactory",
    "TlsFilter",
    "TlsReceived",
    "TlsSend",
]
