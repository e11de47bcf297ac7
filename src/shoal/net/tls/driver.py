"""TLS over the `ssl` module, between two memory buffers.

What both sides offer follows Jami: TLS 1.3, or 1.2 with ECDHE-RSA-AES256-GCM-SHA384 only; the
peer's certificate is always required; no tickets, no renegotiation, no compression. We send the
chain of our device whole, byte for byte as it is published, since Jami 13.7 compares it with that.

The anchor is the topmost certificate of the chain that the peer is known by, and nothing else; then
the key of the leaf must be that of the device which was asked for. A name is not checked: there is
none.

With TLS 1.3 the client has shaken hands before the server has judged the client's certificate. A
refusal then comes as the first thing that is read, and ends the stream with `TlsRefusedError`.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shoal.core import DecodeError
from shoal.crypto import Certificate, CryptoError
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
    from collections.abc import Iterator

    from shoal.crypto import Identity
    from shoal.net.peer import Peer

CIPHERS: Final = "ECDHE-RSA-AES256-GCM-SHA384"  # for TLS 1.2; those of 1.3 are all sound
CONTEXTS_MAX: Final = 64  # kept for the next connection, ours: making one takes 5 ms
_READ_SIZE: Final = 16 * 1024  # bytes: one record, which is all that is returned at a time
_PENDING_MAX: Final = 256 * 1024  # bytes of handshake that may wait; ours
# The alerts by which a peer says that our certificate does not please it, as OpenSSL names them.
_REFUSALS: Final = (
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNSUPPORTED_CERTIFICATE",
    "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_CERTIFICATE_REVOKED",
    "ALERT_CERTIFICATE_UNKNOWN",
    "ALERT_UNKNOWN_CA",
    "ALERT_ACCESS_DENIED",
    "ALERT_CERTIFICATE_REQUIRED",
    "ALERT_HANDSHAKE_FAILURE",
    "ALERT_DECRYPT_ERROR",
)


class TlsIdentity:
    """A `TlsFactory`: makes streams that prove the key of one device."""

    def __init__(self, identity: Identity) -> None:
        self._chain = identity.certificate.to_pem()
        self._key = identity.private_key.export()
        self._contexts: dict[tuple[str, bool], ssl.SSLContext] = {}  # by anchor and role

    def __call__(self, peer: Peer, *, is_server: bool) -> TlsStream:
        """Return a stream that lets in *peer* alone.

        Raises:
            TlsError: the certificates cannot be used.
        """
        root = _root_of(peer)
        context = self._contexts.pop((root, is_server), None)
        if context is None:
            context = self._context(root, is_server=is_server)
        self._contexts[root, is_server] = context  # the latest last
        while len(self._contexts) > CONTEXTS_MAX:
            del self._contexts[next(iter(self._contexts))]
        return TlsStream(context, peer, is_server=is_server)

    def _context(self, root: str, *, is_server: bool) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
        if is_server:
            context.num_tickets = 0
        context.set_ciphers(CIPHERS)
        try:
            context.load_verify_locations(cadata=root)
            with _as_file(self._chain + self._key) as path:
                context.load_cert_chain(path)
        except (ssl.SSLError, ValueError) as error:
            raise TlsError(f"a certificate that TLS cannot use: {error}") from error
        return context


class TlsStream:
    """One side of one stream."""

    def __init__(self, context: ssl.SSLContext, peer: Peer, *, is_server: bool) -> None:
        self._peer = peer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=is_server)
        self._is_established = False
        self._is_over = False

    def start(self) -> list[TlsEffect]:
        """Begin to shake hands."""
        return self._proceed()

    def receive(self, data: bytes | memoryview) -> list[TlsEffect]:
        """Take records, or parts of them."""
        if self._is_over:
            return []
        self._incoming.write(data)
        if not self._is_established and self._incoming.pending > _PENDING_MAX:
            return self._end(TlsHandshakeError("a handshake without end"))
        return self._proceed()

    def receive_eof(self) -> list[TlsEffect]:
        """Take the end of the stream below."""
        if self._is_over:
            return []
        self._incoming.write_eof()
        return self._proceed()

    def send(self, data: bytes) -> list[TlsEffect]:
        """Send *data* in records of 16 KiB."""
        if self._is_over or not self._is_established:
            return []
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._tls.write(rest) :]
        except ssl.SSLError as error:  # the stream broke while we read
            return self._end(_translate(error))
        return self._flush()

    def close(self) -> list[TlsEffect]:
        """Say good-bye; the peer's good-bye is not awaited."""
        if self._is_over:
            return []
        self._is_over = True
        if self._is_established:
            with suppress(ssl.SSLError):  # that ours is out, and the peer's has not come
                self._tls.unwrap()
        return self._flush()

    def _proceed(self) -> list[TlsEffect]:
        """Shake hands and read, as far as what has come allows."""
        effects: list[TlsEffect] = []
        try:
            if not self._is_established:
                self._tls.do_handshake()
                effects.append(self._established())
                self._is_established = True
            self._read(effects)
        except ssl.SSLWantReadError:
            return [*self._flush(), *effects]
        except ssl.SSLZeroReturnError:
            return [*effects, *self.close(), TlsClosed(None)]
        except ssl.SSLError as error:
            return [*effects, *self._end(_translate(error))]
        except TlsError as error:
            return [*effects, *self._end(error)]
        return [*self._flush(), *effects, *self.close(), TlsClosed(None)]

    def _read(self, effects: list[TlsEffect]) -> None:
        """Read clear text until there is none; the end of the stream ends it without an error.

        What many records hold is told at once: whoever takes it has less to do.
        """
        pieces: list[bytes] = []
        try:
            while data := self._tls.read(_READ_SIZE):
                pieces.append(data)
        finally:
            if pieces:
                effects.append(TlsReceived(pieces[0] if len(pieces) == 1 else b"".join(pieces)))

    def _established(self) -> TlsEstablished:
        """Make sure of the device, now that its certificate has been verified.

        Raises:
            TlsError: it is another one.
        """
        leaf = self._tls.getpeercert(binary_form=True)
        if leaf is None:
            raise PeerCertificateError("the peer shows no certificate")
        try:
            shown = Certificate.parse(leaf).long_id
        except (DecodeError, CryptoError) as error:
            raise PeerCertificateError(f"the peer's certificate: {error}") from error
        if shown != self._peer.device:
            raise WrongPeerError(f"device {shown} is there, not {self._peer.device}")
        name, version, _ = self._tls.cipher() or ("", "", 0)
        return TlsEstablished(f"{self._tls.version() or version} {name}", self._shown(leaf))

    def _shown(self, leaf: bytes) -> tuple[bytes, ...]:
        """Return all certificates that the peer sent, if this Python tells."""
        tls: Any = self._tls
        if hasattr(tls, "get_unverified_chain"):  # Python 3.13
            return tuple(tls.get_unverified_chain())
        get_chain = getattr(getattr(tls, "_sslobj", None), "get_unverified_chain", None)
        if get_chain is None:
            return (leaf,)
        encoding_der = 2  # _ssl.ENCODING_DER
        return tuple(each.public_bytes(encoding_der) for each in get_chain() or ())

    def _flush(self) -> list[TlsEffect]:
        """Return what is to be sent."""
        data = self._outgoing.read()
        return [TlsSend(data)] if data else []

    def _end(self, error: TlsError) -> list[TlsEffect]:
        """Send the alert that is waiting, and be over."""
        self._is_over = True
        return [*self._flush(), TlsClosed(error)]


def _translate(error: ssl.SSLError) -> TlsError:
    """Return what an error of the library means."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return PeerCertificateError(f"the peer's certificate: {error.verify_message}")
    if isinstance(error, ssl.SSLEOFError):
        return TlsTruncatedError("the stream ended without a good-bye")
    reason = error.reason or str(error)
    if any(refusal in reason for refusal in _REFUSALS):
        return TlsRefusedError(reason.lower().replace("_", " "))
    return TlsHandshakeError(reason.lower().replace("_", " "))


def _root_of(peer: Peer) -> str:
    """Return the topmost certificate of the chain that *peer* is known by, in PEM."""
    blocks = peer.certificate.to_pem().split("-----BEGIN CERTIFICATE-----")
    return "-----BEGIN CERTIFICATE-----" + blocks[-1]


@contextmanager
def _as_file(text: str) -> Iterator[str]:
    """Show *text* to a library that reads only files, outside the file system if possible."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("shoal", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, text.encode())
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.TemporaryDirectory(prefix="shoal-") as folder:  # 0700
        path = Path(folder) / "identity.pem"
        path.touch(mode=0o600)
        path.write_text(text)
        yield str(path)
