"""Settings of the two ends of the HTTP proxy. Sizes are bytes, times are seconds."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.core import InfoHash


@dataclass(frozen=True, slots=True)
class ProxyLimits:
    """What a proxy server grants; beyond it requests are refused with 429 or 503.

    A client is an IPv4 address or an IPv6 /64.

    Attributes:
        body_max: bytes of a request body. A value of 64 KiB is 87 KiB of base64, and a signed one
            has its key and signature on top.
        connections: TCP connections of all clients.
        connections_per_client: TCP connections of one client.
        streams: listen streams of all clients.
        streams_per_client: listen streams of one client.
        operations_per_client: gets and puts of one client under way at a time.
        puts: permanent puts of all clients.
        puts_per_client: permanent puts of one client.
        puts_size: bytes of all permanently put values.
        subscriptions: push subscriptions of all clients.
        subscriptions_per_client: push subscriptions of one client.
        stream_backlog: bytes that wait for a slow reader before its stream is closed.
        pushes_waiting: notifications that wait for a gateway; later ones are dropped and counted.
    """

    body_max: int = 128 * 1024
    connections: int = 16_384
    connections_per_client: int = 1024
    streams: int = 8192
    streams_per_client: int = 512
    operations_per_client: int = 128
    puts: int = 16_384
    puts_per_client: int = 1024
    puts_size: int = 64 * 1024 * 1024
    subscriptions: int = 65_536
    subscriptions_per_client: int = 4096
    stream_backlog: int = 1024 * 1024
    pushes_waiting: int = 4096


@dataclass(frozen=True, slots=True)
class ProxyServerConfig:
    """How a proxy server behaves.

    Attributes:
        host: address to bind to; the default serves this machine only.
        port: 0 takes any free one.
        push_gateway: base URL of a gorush server for Android and iOS, or None.
        bundle_id: topic of notifications whose subscription names none.
        is_unified_push: whether clients may name endpoints of their own to be notified at.
        is_private_push: whether such an endpoint may be on a private or loopback address. Off, so
            that strangers cannot make the server speak to what only it can reach.
        trusted_proxies: addresses whose X-Forwarded-For names the client.
        heartbeat_interval: silence after which a stream carries an empty line of JSON, by which
            each side learns that the other is gone.
        request_timeout: time that a client has for a request, and for each piece of an answer.
        get_timeout: time after which a get ends with what it has found.
        limits: what is granted to whom.
    """

    host: str = "127.0.0.1"
    port: int = 0
    push_gateway: str | None = None
    bundle_id: str = ""
    is_unified_push: bool = True
    is_private_push: bool = False
    trusted_proxies: tuple[str, ...] = ()
    heartbeat_interval: float = 60.0
    request_timeout: float = 60.0
    get_timeout: float = 120.0
    limits: ProxyLimits = field(default_factory=ProxyLimits)


@dataclass(frozen=True, slots=True)
class PushRegistration:
    """How push notifications reach this device.

    Attributes:
        token: what the push service calls the device; for UnifiedPush the endpoint URL.
        client_id: names this application on the device.
        platform: android, ios or unifiedpush.
        topic: the application's bundle; for UnifiedPush `p256dh|auth` in base64, or nothing.
    """

    token: str
    client_id: str = ""
    platform: str = ""
    topic: str = ""


@dataclass(frozen=True, slots=True)
class ProxyClientConfig:
    """How a proxy client behaves.

    Attributes:
        push: registered for notifications: listening subscribes instead of holding a stream.
        node_id: what to be called before the proxy has told its own id.
    """

    push: PushRegistration | None = None
    node_id: InfoHash | None = None
