"""What the connections engine sees of TLS.

A filter stands between a byte stream and clear text. Both sides prove that they hold the key of the
device that the other expects; a filter that has established itself has checked that.

    start ──► shaking hands ──TlsEstablished──► open ──TlsClosed──► over
                   └───────────────TlsClosed(error)──────────────────▲
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.net.errors import TlsError
    from shoal.net.peer import Peer


class TlsSend(NamedTuple):
    """Action: send *data* to the peer."""

    data: bytes


class TlsReceived(NamedTuple):
    """Event: the peer sent this text."""

    data: bytes


@dataclass(frozen=True, slots=True)
class TlsEstablished:
    """Event: the peer is who it should be; what is sent from now on is for it alone.

    Attributes:
        description: version and cipher suite, for people.
        chain: the certificates that the peer showed, DER, leaf first; only the leaf where the
            library does not tell.
    """

    description: str
    chain: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class TlsClosed:
    """Event: it is over; without an error the peer, or we, said good-bye."""

    error: TlsError | None


TlsEffect: TypeAlias = TlsSend | TlsReceived | TlsEstablished | TlsClosed


class TlsFilter(Protocol):
    """One encrypted stream. No method raises for what the peer does."""

    def start(self) -> list[TlsEffect]:
        """Begin to shake hands."""
        ...

    def receive(self, data: bytes | memoryview) -> list[TlsEffect]:
        """Take bytes of the stream below."""
        ...

    def receive_eof(self) -> list[TlsEffect]:
        """Take the end of the stream below."""
        ...

    def send(self, data: bytes) -> list[TlsEffect]:
        """Send *data*; only once established."""
        ...

    def close(self) -> list[TlsEffect]:
        """Say good-bye, if that is still possible. Nothing follows but what this returns."""
        ...


class TlsFactory(Protocol):
    """Makes filters that prove our device's key."""

    def __call__(self, peer: Peer, *, is_server: bool) -> TlsFilter:
        """Return a filter that lets in *peer* alone."""
        ...
