"""UDP sockets of a node, on loopback: batches, queues, errors."""

# ruff: noqa: ASYNC110 - what a test waits for is a counter, and only the loop's turning moves it

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from shoal.core import Address, Family
from shoal.dht.driver import udp
from shoal.dht.driver.udp import DELIVER_BATCH, UdpTransport, open_socket

if TYPE_CHECKING:
    from collections.abc import Iterator


class Recorder:
    """What a transport reported, and events to wait on."""

    def __init__(self, *hosts: str) -> None:
        self.batches: list[list[tuple[bytes, Address]]] = []
        self.failed: list[Address] = []
        self.changed = asyncio.Event()
        families = [Address.parse(host, 0).family for host in hosts]
        self.sockets = [open_socket(f, h, 0) for f, h in zip(families, hosts, strict=True)]
        self.transport = UdpTransport(self.sockets, self._deliver, self._unreachable)

    def _deliver(self, batch: list[tuple[bytes, Address]]) -> None:
        self.batches.append(batch)
        self.changed.set()

    def _unreachable(self, addr: Address) -> None:
        self.failed.append(addr)
        self.changed.set()

    async def until(self, count: int) -> list[tuple[bytes, Address]]:
        """Wait for *count* datagrams."""
        while len(got := [item for batch in self.batches for item in batch]) < count:
            self.changed.clear()
            await self.changed.wait()
        return got

    async def until_failed(self) -> None:
        """Wait for the first failed send."""
        while not self.failed:
            self.changed.clear()
            await self.changed.wait()


@contextlib.contextmanager
def transport(*hosts: str) -> Iterator[Recorder]:
    """A transport that is closed afterwards."""
    recorder = Recorder(*hosts)
    try:
        yield recorder
    finally:
        recorder.transport.close()


def free_port() -> int:
    """A UDP port that nobody listens on any more."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


async def test_datagrams_cross_both_families() -> None:
    """Each goes by the socket of its family and arrives with its source."""
    with transport("127.0.0.1", "::1") as alice, transport("127.0.0.1", "::1") as bob:
        for family, addr in bob.transport.addresses.items():
            alice.transport.send(family.name.encode(), addr)

        got = await bob.until(2)

        ours = alice.transport.addresses
        assert dict(got) == {b"IPV4": ours[Family.IPV4], b"IPV6": ours[Family.IPV6]}
        assert alice.transport.stats.sent == 2
        assert bob.transport.stats.received_bytes == 8


async def test_a_burst_is_delivered_in_slices_and_in_order() -> None:
    """More than one batch: the loop turns in between, nothing is lost."""
    with transport("127.0.0.1") as alice, transport("127.0.0.1") as bob:
        target = bob.transport.addresses[Family.IPV4]
        for number in range(3 * DELIVER_BATCH):
            alice.transport.send(number.to_bytes(2), target)

        got = await bob.until(3 * DELIVER_BATCH)

        assert [int.from_bytes(data) for data, _ in got] == list(range(3 * DELIVER_BATCH))
        assert max(map(len, bob.batches)) == DELIVER_BATCH


async def test_what_waited_too_long_is_dropped_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sender has given up; it is counted."""
    with transport("127.0.0.1") as alice, transport("127.0.0.1") as bob:
        monkeypatch.setattr(udp, "INPUT_AGE_MAX", -1.0)  # everything is older than that
        alice.transport.send(b"late", bob.transport.addresses[Family.IPV4])
        while not bob.transport.stats.received_too_late:
            await asyncio.sleep(0)

        assert bob.batches == []
        assert bob.transport.stats.received == 0


async def test_a_full_input_queue_loses_its_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    """By number and by bytes."""
    monkeypatch.setattr(udp, "INPUT_COUNT_MAX", 5)
    monkeypatch.setattr(udp, "INPUT_BYTES_MAX", 30)
    with transport("127.0.0.1") as alice, transport("127.0.0.1") as bob:
        for number in range(8):
            alice.transport.send(bytes([number]) * 10, bob.transport.addresses[Family.IPV4])

        got = await bob.until(3)

        assert [data[0] for data, _ in got] == [5, 6, 7]
        assert bob.transport.stats.received_too_many == 5


async def test_a_family_without_a_socket_is_unreachable() -> None:
    """Reported after `send` has returned, once."""
    with transport("127.0.0.1") as alice:
        target = Address.parse("::1", 1)
        alice.transport.send(b"one", target)
        alice.transport.send(b"two", target)
        assert alice.failed == []

        await alice.until_failed()

        assert alice.failed == [target]
        assert alice.transport.stats.unreachable == 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports ICMP errors to us")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_closed_port_is_reported_by_icmp(host: str) -> None:
    """The error quotes what we sent, so it is believed."""
    with transport(host) as alice, transport(host) as bob:
        (target,) = bob.transport.addresses.values()
        bob.transport.close()
        alice.transport.send(b"a request that is long enough to be told from another", target)

        await alice.until_failed()

        assert alice.failed == [target]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports ICMP errors to us")
async def test_an_icmp_error_about_something_else_is_not_believed() -> None:
    """A stranger can forge an error, but not what we said last."""
    target = Address.parse("127.0.0.1", free_port())
    with transport("127.0.0.1") as alice, transport("127.0.0.1") as bob:
        alice.transport.send(b"first " * 10, target)
        alice.transport.send(b"second " * 10, target)  # the error about the first is now stale
        bob.transport.send(b"x", alice.transport.addresses[Family.IPV4])
        await alice.until(1)

        assert alice.failed in ([], [target])  # at most the second is reported
        assert alice.transport.stats.unreachable <= 1


class ScriptedSocket:
    """A socket whose sends do what a test says, one after the other."""

    def __init__(self, sock: socket.socket, script: list[OSError | None]) -> None:
        self.sock = sock
        self.script = script
        self.sent: list[bytes] = []

    def sendto(self, data: bytes, target: object) -> int:
        """Fail as scripted, else note the datagram."""
        error = self.script.pop(0) if self.script else None
        if error is not None:
            raise error
        self.sent.append(data)
        return len(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)


def scripted(recorder: Recorder, *script: OSError | None) -> ScriptedSocket:
    """Put a scripted socket in place of the transport's."""
    sock = ScriptedSocket(recorder.sockets[0], list(script))
    transport = recorder.transport
    transport._sockets = {4: sock}  # type: ignore[dict-item]  # noqa: SLF001
    return sock


async def test_what_would_block_waits_and_keeps_its_order() -> None:
    """Later datagrams queue behind it, because the parts of a value must follow their header."""
    with transport("127.0.0.1") as alice:
        sock = scripted(alice, BlockingIOError())
        target = Address.parse("127.0.0.1", 9)
        for data in (b"1", b"2", b"3"):
            alice.transport.send(data, target)
        assert sock.sent == []
        while len(sock.sent) < 3:
            await asyncio.sleep(0)

        assert sock.sent == [b"1", b"2", b"3"]
        assert alice.transport.stats.send_delayed == 3
        assert alice.transport.stats.sent == 3


async def test_a_full_output_queue_drops_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a full network would; requests are repeated."""
    monkeypatch.setattr(udp, "OUTPUT_COUNT_MAX", 2)
    with transport("127.0.0.1") as alice:
        sock = scripted(alice, BlockingIOError())
        for data in (b"1", b"2", b"3"):
            alice.transport.send(data, Address.parse("127.0.0.1", 9))

        alice.transport.close()

        assert sock.sent == [b"1", b"2"]  # written at the last moment
        assert alice.transport.stats.send_dropped == 1


async def test_an_error_of_an_earlier_datagram_is_not_blamed_on_this_one() -> None:
    """The system reports such errors at the next call; the second try shows whose it is."""
    with transport("127.0.0.1") as alice:
        refused = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
        sock = scripted(alice, refused, None)
        alice.transport.send(b"fine", Address.parse("127.0.0.1", 9))
        await asyncio.sleep(0)

        assert sock.sent == [b"fine"]
        assert alice.failed == []


@pytest.mark.parametrize(
    ("code", "is_unreachable"),
    [(errno.ENETUNREACH, True), (errno.EPERM, True), (errno.EMSGSIZE, False)],
)
async def test_send_errors_are_classified(code: int, is_unreachable: bool) -> None:
    """Only those that speak about the node are passed on."""
    with transport("127.0.0.1") as alice:
        scripted(alice, OSError(code, "no"), OSError(code, "no"))
        target = Address.parse("127.0.0.1", 9)
        alice.transport.send(b"x", target)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

        assert alice.failed == ([target] if is_unreachable else [])
        assert alice.transport.stats.send_failed == 1


async def test_addresses_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep over the address space must not fill the memory."""
    monkeypatch.setattr(udp, "ADDRESSES_KEPT", 3)
    with transport("127.0.0.1") as alice:
        scripted(alice)
        for port in range(1, 9):
            alice.transport.send(b"x", Address.parse("127.0.0.1", port))
            alice.transport._source(("127.0.0.1", port))  # noqa: SLF001

        assert len(alice.transport._destinations) <= 3  # noqa: SLF001
        assert len(alice.transport._sources) <= 3  # noqa: SLF001


async def test_both_directions_share_one_address() -> None:
    """Whichever came first: a node knows thousands, and each object counts."""
    with transport("127.0.0.1") as alice:
        addr = Address.parse("127.0.0.1", 4222)
        alice.transport._destination(addr)  # noqa: SLF001
        peer = ("127.0.0.1", 4222)
        assert alice.transport._source(peer) is addr  # noqa: SLF001
        assert alice.transport._sources == {peer: addr}  # noqa: SLF001


async def test_a_link_local_source_can_be_answered() -> None:
    """Its scope, which the wire has no room for, is kept beside the address."""
    with transport("127.0.0.1") as alice:
        addr = alice.transport._source(("fe80::1%eth0", 4222, 0, 7))  # noqa: SLF001

        assert addr == Address.parse("fe80::1", 4222)
        assert alice.transport._destination(addr).sockaddr[3] == 7  # noqa: SLF001
