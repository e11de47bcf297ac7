"""Settings of connections; the defaults suit most."""

from __future__ import annotations

from dataclasses import field

from shoal.core.records import dataclass


@dataclass(frozen=True, slots=True)
class MuxConfig:
    """One multiplexed connection.

    Attributes:
        channels_max: channels of both sides together; further ones are declined.
        requests_burst: channels that the peer may ask for at once.
        requests_per_second: how many more it may ask for as time passes; above it, requests are
            left without an answer, and at ten times of both the connection is cut.
        buffer_max: bytes that a channel holds for its reader; past it that channel is closed.
        buffer_high: bytes at which a channel asks to pause reading from the network.
        buffer_total_max: bytes that all channels hold; past it the one that received is closed.
        pause_max: seconds for which a channel that nobody reads may keep the others waiting.
        accept_timeout: seconds until a channel that we asked for has failed.
        beacon_timeout: seconds that the peer has to answer a sign of life.
        frame_timeout: seconds in which a frame that has begun must be complete.
        name_max: bytes of a channel's name.
    """

    channels_max: int = 1024
    requests_burst: int = 512
    requests_per_second: float = 50.0
    buffer_max: int = 4 * 1024 * 1024
    buffer_high: int = 512 * 1024
    buffer_total_max: int = 64 * 1024 * 1024
    pause_max: float = 1.0
    accept_timeout: float = 30.0
    beacon_timeout: float = 3.0
    frame_timeout: float = 120.0
    name_max: int = 1024


@dataclass(frozen=True, slots=True)
class ConnectionsConfig:
    """All connections of one device.

    Attributes:
        mux: each connection.
        gather_timeout: seconds for finding our candidates.
        answer_timeout: seconds for the peer's answer to our offer.
        ice_timeout: seconds for finding a path; the ICE engine usually gives up before.
        dial_timeout: seconds for a transport other than ICE.
        tls_timeout: seconds for the TLS handshake.
        idle_before_beacon: seconds of silence after which a connection shows life before reuse.
        redundant_after: seconds after which one of several connections to a device is closed if
            it carries no channel; None keeps all. Only the side with the smaller device id does.
        connections_max: connections in all; then no further attempts are made or answered.
        connections_per_device_max: connections to one device.
        attempts_max: attempts under way, ours and others'.
        attempts_per_device_max: attempts of one device that we answer at once.
        requests_per_device: offers of one device that we look at, per minute.
        requests_per_account: the same for all devices of one account.
        opens_per_device_max: channels that wait for a connection to one device.
        traces_max: traces of past attempts that are kept.
    """

    mux: MuxConfig = field(default_factory=MuxConfig)
    gather_timeout: float = 10.0
    answer_timeout: float = 30.0
    ice_timeout: float = 40.0
    dial_timeout: float = 20.0
    tls_timeout: float = 40.0
    idle_before_beacon: float = 60.0
    redundant_after: float | None = 60.0
    connections_max: int = 1024
    connections_per_device_max: int = 8
    attempts_max: int = 256
    attempts_per_device_max: int = 4
    requests_per_device: int = 30
    requests_per_account: int = 120
    opens_per_device_max: int = 256
    traces_max: int = 64
