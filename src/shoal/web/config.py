"""What the web is told: where to listen, and what to grant."""

from __future__ import annotations

from dataclasses import field
from typing import Final

from shoal.core.records import dataclass

PORT: Final = 7420  # ours: free in IANA's registry


@dataclass(frozen=True, slots=True)
class WebLimits:
    """Bounds on what callers may use.

    Attributes:
        body_size: bytes of a request's body.
        file_size: bytes of a file that is sent.
        connections: TCP connections at the same time.
        sockets: WebSockets at the same time.
        calls_per_socket: calls of one WebSocket at the same time.
        requests_per_second: of one token, over longer times.
        requests_burst: of one token, at once.
        failures_per_second: requests with a wrong token or link, of all callers.
        failures_burst: the same, at once.
        call_seconds: how long a call over HTTP may take.
    """

    body_size: int = 1024 * 1024
    file_size: int = 16 * 1024**3
    connections: int = 256
    sockets: int = 32
    calls_per_socket: int = 64
    requests_per_second: float = 100.0
    requests_burst: int = 400
    failures_per_second: float = 1.0
    failures_burst: int = 20
    call_seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class WebConfig:
    """Where to listen, and what to grant.

    Attributes:
        port: TCP port on loopback; 0 takes any.
        is_port_fixed: fail if the port is taken, instead of taking any.
        limits: what callers may use.
    """

    port: int = PORT
    is_port_fixed: bool = False
    limits: WebLimits = field(default_factory=WebLimits)
