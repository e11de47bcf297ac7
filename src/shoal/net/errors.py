"""Errors of the net package.

NetError                          base, under ShoalError
├── ConnectError                  a channel could not be opened; says at which step and why
├── ConnectionsClosedError        our side has shut its connections down
├── SendBufferFullError           a writer does not wait
├── SignallingError               offers and answers
│   ├── SignalNotSentError        the carrier could not deliver
│   ├── NoAnswerError             the peer did not answer in time
│   └── TooManyAttemptsError      too many connections are being made at once
├── TlsError                      the encrypted stream
│   ├── TlsHandshakeError         no agreement on how to encrypt, or garbage
│   ├── TlsTimeoutError           the handshake took too long
│   ├── TlsRefusedError           the peer does not take our certificate
│   ├── TlsTruncatedError         the stream ended without a good-bye
│   ├── PeerCertificateError      the peer's certificate does not hold
│   └── WrongPeerError            another device answered than the one that was asked for
├── MuxError                      the channels on one connection
│   ├── MuxProtocolError          the peer does not speak our protocol
│   ├── PeerFloodsError           the peer asks for too much
│   ├── BeaconTimeoutError        the peer does not answer a sign of life
│   ├── ConnectionLostError       the connection below is gone
│   ├── ChannelNameError          a channel cannot have this name
│   ├── TooManyChannelsError      no further channel fits
│   ├── ChannelDeclinedError      the peer does not take this channel
│   ├── ChannelTimeoutError       the peer does not say whether it takes this channel
│   ├── ChannelClosedError        the channel is closed
│   └── ReceiveBufferFullError    nobody reads what the peer sends
├── MultiaddrError                an address that cannot be used (and DecodeError)
├── BundleError                   a record of addresses that is not to be believed
└── DialError                     none of the addresses connects
    └── HelloError                the greeting of a direct connection is not for us
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from shoal.core import DecodeError, ShoalError

if TYPE_CHECKING:
    from collections.abc import Sequence


class ConnectStep(enum.Enum):
    """The steps from a device id to a channel, in their order."""

    ANNOUNCEMENT = "announcement"  # which devices does the account have online
    CHAIN = "chain"  # the device's certificate chain
    SIGNALLING = "signalling"  # our offer, the peer's answer
    ICE = "ice"  # a path between the two
    TLS = "tls"  # who is there, and encryption
    MUX = "mux"  # the multiplexed connection
    CHANNEL = "channel"  # the channel on it


class NetError(ShoalError):
    """Base of the net errors."""


class ConnectError(NetError):
    """No channel to that device could be opened. The step and the reason say where it ended.

    Attributes:
        step: the step that failed.
        reason: what failed there, in words.
        cause: the error behind it, if there is one.
    """

    def __init__(self, step: ConnectStep, reason: str, cause: Exception | None = None) -> None:
        super().__init__(f"{step.value}: {reason}")
        self.step = step
        self.reason = reason
        self.cause = cause


class ConnectionsClosedError(NetError):
    """Connections are or were shut down here, by us. Start again to make new ones."""


class SendBufferFullError(NetError):
    """More is waiting to be sent than may. Wait for `drain` before writing on."""


class SignallingError(NetError):
    """Base of what goes wrong with offers and answers."""


class SignalNotSentError(SignallingError):
    """The offer could not be delivered. Check the connection to the DHT."""


class NoAnswerError(SignallingError):
    """The device did not answer the offer. It is offline, or does not want to talk to us."""


class TooManyAttemptsError(SignallingError):
    """Too many connections are being made at once. Try again shortly."""


class TlsError(NetError):
    """Base of what goes wrong with the encrypted stream."""


class TlsHandshakeError(TlsError):
    """The two sides found no common way to encrypt, or one did not speak TLS."""


class TlsTimeoutError(TlsError):
    """The handshake took too long. The path may be very slow, or the peer stuck."""


class TlsRefusedError(TlsError):
    """The peer refused the handshake, as it does when it does not take our certificate."""


class TlsTruncatedError(TlsError):
    """The stream ended without the good-bye that TLS has: the path broke, or was cut."""


class PeerCertificateError(TlsError):
    """The peer's certificate does not hold: expired, not yet valid, or of another authority."""


class WrongPeerError(TlsError):
    """Another device is at the far end than the one that was asked for."""


class MuxError(NetError):
    """Base of what goes wrong with channels and the connection that carries them."""


class MuxProtocolError(MuxError):
    """The peer sends what is no frame of a multiplexed connection."""


class PeerFloodsError(MuxError):
    """The peer asks for more channels, and faster, than anybody should. It was cut off."""


class BeaconTimeoutError(MuxError):
    """The peer did not answer a sign of life: the connection is dead."""


class ConnectionLostError(MuxError):
    """The connection that carried the channel is gone."""


class ChannelNameError(MuxError):
    """A channel cannot have this name. Give one of 1 to 1024 bytes."""


class TooManyChannelsError(MuxError):
    """No further channel fits on this connection. Close some that are not needed."""


class ChannelDeclinedError(MuxError):
    """The peer does not take a channel of this name from us."""


class ChannelTimeoutError(MuxError):
    """The peer did not say in time whether it takes the channel."""


class ChannelClosedError(MuxError):
    """The channel is closed; nothing more can be sent on it."""


class ReceiveBufferFullError(MuxError):
    """Nobody reads what arrives on the channel, so it was closed. Read on, or close it."""


class MultiaddrError(NetError, DecodeError):
    """This is not an address such as /ip4/192.0.2.1/tcp/4433."""


class BundleError(NetError, DecodeError):
    """This record of a device's addresses cannot be used.

    It is damaged, expired, older than one that is known, or signed by another device.
    """


class DialError(NetError):
    """None of the addresses connects.

    Attributes:
        tried: each address with what happened there.
    """

    def __init__(self, message: str, tried: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.tried = tuple(tried)


class HelloError(DialError, DecodeError):
    """The greeting of a direct connection is damaged, too old, or for another device."""

    def __init__(self, message: str, offset: int | None = None) -> None:
        DialError.__init__(self, message)
        self.offset = offset
