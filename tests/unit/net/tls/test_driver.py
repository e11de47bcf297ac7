"""The real TLS, both ends in one process."""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from shoal.core import DeviceId
from shoal.net.errors import (
    PeerCertificateError,
    TlsError,
    TlsHandshakeError,
    TlsRefusedError,
    TlsTruncatedError,
    WrongPeerError,
)
from shoal.net.tls.driver import TlsIdentity, TlsStream
from shoal.net.tls.filter import TlsClosed, TlsEffect, TlsEstablished, TlsReceived, TlsSend
from tests.unit.net.devices import DAY, chain_of, device

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.crypto import Identity
    from shoal.identity import DeviceChain


class Pair:
    """A caller, who is the TLS server, and a callee, joined by hand."""

    def __init__(
        self,
        caller: Identity,
        callee: Identity,
        *,
        wanted: DeviceChain | None = None,
        known: DeviceChain | None = None,
    ) -> None:
        self.server = TlsIdentity(caller)(wanted or chain_of(callee), is_server=True)
        self.client = TlsIdentity(callee)(known or chain_of(caller), is_server=False)
        self.at_server: list[TlsEffect] = []
        self.at_client: list[TlsEffect] = []

    def shake_hands(self) -> None:
        """Start both and carry what they send."""
        self.carry(self.server, self.server.start())
        self.carry(self.client, self.client.start())

    def carry(self, sender: TlsStream, effects: Sequence[TlsEffect], *, cut: int = 10_000) -> None:
        """Carry what *sender* orders to the other side, in pieces, and so on until silence."""
        receiver = self.client if sender is self.server else self.server
        events = self.at_server if sender is self.server else self.at_client
        for effect in effects:
            if isinstance(effect, TlsSend):
                for start in range(0, len(effect.data), cut):
                    piece = effect.data[start : start + cut]
                    self.carry(receiver, receiver.receive(piece), cut=cut)
            else:
                events.append(effect)


def error_in(events: Sequence[TlsEffect]) -> TlsError | None:
    """Return how it ended."""
    (closed,) = [event for event in events if isinstance(event, TlsClosed)]
    return closed.error


def text_in(events: Sequence[TlsEffect]) -> bytes:
    """Return the clear text that came."""
    return b"".join(event.data for event in events if isinstance(event, TlsReceived))


def test_both_prove_their_devices_and_show_whole_chains() -> None:
    """TLS 1.3 with an AES-256 suite or better; each sees the chain as it is published."""
    caller, callee = device("alice"), device("bob")
    pair = Pair(caller, callee)
    pair.shake_hands()

    for events, shown in ((pair.at_server, callee), (pair.at_client, caller)):
        (established,) = events
        assert isinstance(established, TlsEstablished)
        assert established.description.startswith("TLSv1.3 ")
        assert established.chain == tuple(each.der for each in shown.certificate.chain())


@pytest.mark.parametrize("cut", [1, 7, 10_000])
def test_text_arrives_however_the_records_are_cut(cut: int) -> None:
    """Several records at once, and one record in many pieces."""
    pair = Pair(device("alice"), device("bob"))
    pair.shake_hands()
    text = bytes(range(256)) * 200

    pair.carry(pair.server, pair.server.send(text), cut=cut)
    pair.carry(pair.client, pair.client.send(b"back"), cut=cut)

    assert text_in(pair.at_client) == text
    assert text_in(pair.at_server) == b"back"


def test_what_many_records_hold_is_told_at_once() -> None:
    """In one piece, before whatever ends the stream: a good-bye, or a record that is damaged."""
    text = bytes(range(256)) * 400  # seven records
    for damage in (b"", b"\x17\x03\x03\x00\x20" + bytes(32)):
        pair = Pair(device("alice"), device("bob"))
        pair.shake_hands()
        (sent,) = pair.server.send(text)
        assert isinstance(sent, TlsSend)
        (bye,) = pair.server.close()
        assert isinstance(bye, TlsSend)
        effects = pair.client.receive(sent.data + (damage or bye.data))
        first, *others = [each for each in effects if not isinstance(each, TlsSend)]
        assert first == TlsReceived(text)
        assert [type(each) for each in others] == [TlsClosed]
        assert (error_in(others) is None) is (damage == b"")


def test_good_bye_closes_both_without_error() -> None:
    """The one who hears it says good-bye too and is over."""
    pair = Pair(device("alice"), device("bob"))
    pair.shake_hands()
    pair.carry(pair.client, pair.client.close())

    assert error_in(pair.at_server) is None
    assert pair.client.close() == []
    assert pair.server.send(b"late") == []
    assert pair.client.receive(b"late") == []
    assert pair.client.receive_eof() == []


def test_the_wrong_device_is_found_out() -> None:
    """Another device of the right account answers: its chain holds, its key is not the one."""
    caller, callee = device("alice"), device("bob")
    wanted = replace(chain_of(callee), device=DeviceId(bytes(32)))
    pair = Pair(caller, callee, wanted=wanted)
    pair.shake_hands()

    assert isinstance(error_in(pair.at_server), WrongPeerError)


def test_another_account_is_found_out() -> None:
    """The caller wants bob and carol answers; carol is told, bob's root being the only anchor."""
    pair = Pair(device("alice"), device("carol"), wanted=chain_of(device("bob")))
    pair.shake_hands()

    assert isinstance(error_in(pair.at_server), PeerCertificateError)
    assert isinstance(error_in(pair.at_client), TlsRefusedError)


def test_an_expired_certificate_is_refused_with_its_reason() -> None:
    """OpenSSL looks at the clock; the reason is in the error."""
    old = device("old", age=4 * DAY, validity=2 * DAY)
    chain = replace(chain_of(device("old", age=4 * DAY)), certificate=old.certificate)
    pair = Pair(device("alice"), old, wanted=chain)
    pair.shake_hands()

    error = error_in(pair.at_server)
    assert isinstance(error, PeerCertificateError)
    assert "expired" in str(error)


def test_garbage_is_no_handshake() -> None:
    """What does not speak TLS ends the handshake, and is not read further."""
    stream = TlsIdentity(device("alice"))(chain_of(device("bob")), is_server=True)

    assert stream.start() == []
    assert isinstance(error_in(stream.receive(b"GET / HTTP/1.1\r\n\r\n")), TlsHandshakeError)
    assert stream.receive(b"more") == []


def test_an_end_in_the_middle_is_an_error() -> None:
    """Before the handshake is done, and after it without a good-bye."""
    stream = TlsIdentity(device("alice"))(chain_of(device("bob")), is_server=True)
    stream.start()
    assert isinstance(error_in(stream.receive_eof()), TlsTruncatedError)

    pair = Pair(device("alice"), device("bob"))
    pair.shake_hands()
    assert isinstance(error_in(pair.client.receive_eof()), TlsTruncatedError)


def test_damaged_records_end_the_stream() -> None:
    """A flipped bit is no text."""
    pair = Pair(device("alice"), device("bob"))
    pair.shake_hands()
    (sent,) = pair.server.send(b"text")
    assert isinstance(sent, TlsSend)
    damaged = sent.data[:-1] + bytes([sent.data[-1] ^ 1])

    assert isinstance(error_in(pair.client.receive(damaged)), TlsHandshakeError)


def plain_client(*, certificate: Identity | None, version: ssl.TLSVersion) -> ssl.SSLContext:
    """Return a client of another library's making."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_without_certificate_is_refused(version: ssl.TLSVersion) -> None:
    """The server asks for one, and insists."""
    stream = TlsIdentity(device("alice"))(chain_of(device("bob")), is_server=True)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = plain_client(certificate=None, version=version).wrap_bio(incoming, outgoing)
    events: list[TlsEffect] = list(stream.start())

    for _ in range(4):
        with contextlib.suppress(ssl.SSLError):
            client.do_handshake()
        events += stream.receive(outgoing.read())
        incoming.write(b"".join(each.data for each in events if isinstance(each, TlsSend)))
        events = [each for each in events if not isinstance(each, TlsSend)]

    assert isinstance(error_in(events), TlsHandshakeError)
    assert not [each for each in events if isinstance(each, TlsEstablished)]


def test_tls_1_2_is_taken_with_one_suite() -> None:
    """A peer that knows no TLS 1.3 gets ECDHE-RSA-AES256-GCM-SHA384."""
    identity = device("bob")
    server = TlsIdentity(device("alice"))(chain_of(identity), is_server=True)
    root = device("alice").certificate.chain()[-1].to_pem()
    context = TlsIdentity(identity)._context(root, is_server=False)  # noqa: SLF001
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    pair = Pair(device("alice"), identity)
    pair.server, pair.client = (
        server,
        TlsStream(context, chain_of(device("alice")), is_server=False),
    )
    pair.shake_hands()

    (established,) = pair.at_server
    assert isinstance(established, TlsEstablished)
    assert established.description == "TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384"


def test_a_flood_instead_of_a_handshake_is_bounded() -> None:
    """A record of handshake that never ends is not kept for ever."""
    stream = TlsIdentity(device("alice"))(chain_of(device("bob")), is_server=True)
    stream.start()
    record = b"\x16\x03\x01\x40\x00" + b"\x01\xff\xff\xff" + bytes(0x4000 - 4)
    events: list[TlsEffect] = []
    for _ in range(100):
        events += stream.receive(record)
    assert isinstance(error_in(events), TlsHandshakeError)


def test_contexts_are_kept_for_the_next_connection() -> None:
    """Per anchor and role, and not without end."""
    identity = TlsIdentity(device("alice"))
    bob = chain_of(device("bob"))
    for is_server in (True, True, False):
        identity(bob, is_server=is_server)
    kept = identity._contexts  # noqa: SLF001
    assert len(kept) == 2
    kept.update({(f"{number}", True): next(iter(kept.values())) for number in range(70)})
    identity(chain_of(device("carol")), is_server=True)
    assert len(kept) == 64


def test_a_certificate_that_tls_cannot_use() -> None:
    """Is an error of ours, before anything is sent."""
    bob = chain_of(device("bob"))
    broken = replace(bob, certificate=Broken())
    with pytest.raises(TlsError):
        TlsIdentity(device("alice"))(broken, is_server=True)


class Broken:
    """A certificate that is none."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def to_pem(self) -> str:
        """Return nonsense."""
        return "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
