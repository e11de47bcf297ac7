"""A stream filter for simulations: it carries certificates, and encrypts nothing.

    record   kind (1 byte) ‖ length (4 bytes, big-endian) ‖ content
    kinds    1 certificate as PEM, 2 text, 3 good-bye, 4 alert

As in TLS the client goes first, a side that does not like what it is shown sends an alert, and an
end without a good-bye is an error. Nothing here proves that a key is held.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError
from shoal.net.errors import (
    PeerCertificateError,
    TlsError,
    TlsHandshakeError,
    TlsRefusedError,
    TlsTruncatedError,
    WrongPeerError,
)
from shoal.net.tls.filter import TlsClosed, TlsEffect, TlsEstablished, TlsReceived, TlsSend

if TYPE_CHECKING:
    from shoal.crypto.suite import Suite, SuiteIdentity
    from shoal.net.peer import Peer

_HEAD: Final = 5  # bytes of kind and length
_RECORD_MAX: Final = 1024 * 1024  # bytes of a record's content, ours


class _Kind(enum.IntEnum):
    CERTIFICATE = 1
    TEXT = 2
    GOOD_BYE = 3
    ALERT = 4


class CarryingTls:
    """A `TlsFactory` for one simulated device."""

    def __init__(self, identity: SuiteIdentity, suite: Suite) -> None:
        self._identity = identity
        self._suite = suite

    def __call__(self, peer: Peer, *, is_server: bool) -> CarryingStream:
        """Return a stream that lets in *peer* alone."""
        certificate = self._identity.certificate.to_pem().encode()
        return CarryingStream(certificate, self._suite, peer, is_server=is_server)


class CarryingStream:
    """One side of one stream."""

    def __init__(self, certificate: bytes, suite: Suite, peer: Peer, *, is_server: bool) -> None:
        self._certificate = certificate
        self._suite = suite
        self._peer = peer
        self._is_server = is_server
        self._is_established = False
        self._is_over = False
        self._buffer = bytearray()

    def start(self) -> list[TlsEffect]:
        """The client shows its certificate."""
        return [] if self._is_server else [_record(_Kind.CERTIFICATE, self._certificate)]

    def receive(self, data: bytes | memoryview) -> list[TlsEffect]:
        """Take records, or parts of them."""
        if self._is_over:
            return []
        self._buffer += data
        effects: list[TlsEffect] = []
        while len(self._buffer) >= _HEAD and not self._is_over:
            kind, length = self._buffer[0], int.from_bytes(self._buffer[1:_HEAD])
            if kind not in set(_Kind) or length > _RECORD_MAX:
                return [*effects, *self._fail(TlsHandshakeError("not a record"))]
            if len(self._buffer) < _HEAD + length:
                break
            content = bytes(self._buffer[_HEAD : _HEAD + length])
            del self._buffer[: _HEAD + length]
            effects += self._take(_Kind(kind), content)
        return effects

    def receive_eof(self) -> list[TlsEffect]:
        """Take the end of the stream below."""
        if self._is_over:
            return []
        self._is_over = True
        return [TlsClosed(TlsTruncatedError("the stream ended without a good-bye"))]

    def send(self, data: bytes) -> list[TlsEffect]:
        """Send *data*."""
        if self._is_over or not self._is_established:
            return []
        return [
            _record(_Kind.TEXT, data[start : start + _RECORD_MAX])
            for start in range(0, len(data), _RECORD_MAX)
        ]

    def close(self) -> list[TlsEffect]:
        """Say good-bye."""
        if self._is_over:
            return []
        self._is_over = True
        return [_record(_Kind.GOOD_BYE, b"")]

    def _take(self, kind: _Kind, content: bytes) -> list[TlsEffect]:
        match kind:
            case _Kind.CERTIFICATE if not self._is_established:
                return self._take_certificate(content)
            case _Kind.TEXT if self._is_established:
                return [TlsReceived(content)] if content else []
            case _Kind.GOOD_BYE:
                return [*self.close(), TlsClosed(None)]
            case _Kind.ALERT:
                self._is_over = True
                return [TlsClosed(TlsRefusedError(content.decode(errors="replace")))]
            case _:
                return self._fail(TlsHandshakeError("a record out of turn"))

    def _take_certificate(self, content: bytes) -> list[TlsEffect]:
        try:
            shown = self._suite.parse_certificate(content)
        except DecodeError as error:
            return self._fail(PeerCertificateError(str(error)))
        if shown.long_id != self._peer.device:
            return self._fail(WrongPeerError(f"device {shown.long_id} is there"))
        self._is_established = True
        established = TlsEstablished("simulated", (content,))
        if self._is_server:
            return [_record(_Kind.CERTIFICATE, self._certificate), established]
        return [established]

    def _fail(self, error: TlsError) -> list[TlsEffect]:
        self._is_over = True
        return [_record(_Kind.ALERT, type(error).__name__.encode()), TlsClosed(error)]


def _record(kind: _Kind, content: bytes) -> TlsSend:
    return TlsSend(bytes((kind,)) + len(content).to_bytes(4) + content)
