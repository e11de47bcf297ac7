"""UDP sockets of a DHT node: one per family, read in batches, written without waiting.

    socket ──► input queue ──► deliver(batch)       send(data, addr) ──► socket
              65,536 datagrams, 16 MiB,                ├─ would block ──► output queue ──► socket
              dropped after 650 ms                     └─ unreachable ──► unreachable(addr)

A burst is moved out of the kernel's small buffer at once and then worked off in slices, so that the
event loop stays responsive and reads on; what waited too long is dropped unread, because its
sender has already given up or will ask again.

On Linux, ICMP errors are read from the sockets' error queues. Anybody can forge those, so one
counts only if it quotes the datagram that we last sent to the address it blames.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import struct
import sys
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from shoal.core import Address, Family
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_log = logging.getLogger(__name__)

INPUT_COUNT_MAX: Final = 65_536  # OpenDHT network_utils.h: RX_QUEUE_MAX_SIZE
INPUT_BYTES_MAX: Final = 16 * 1024 * 1024  # ours: the count alone would allow 4 GiB
INPUT_AGE_MAX: Final = 0.65  # seconds; OpenDHT dhtrunner.cpp: rx queue maximum delay
OUTPUT_COUNT_MAX: Final = 1024  # ours, per socket: 1.5 MB of full datagrams
RECEIVE_BUFFER_SIZE: Final = 4 * 1024 * 1024  # ours: 2,000 answers; the system may give less
DATAGRAM_SIZE_MAX: Final = 65_536  # OpenDHT network_utils.cpp: RX_BUFFER_SIZE
READ_BATCH: Final = 256  # ours: datagrams read per wake-up, 0.4 ms
DELIVER_BATCH: Final = 64  # ours: datagrams the engine handles before the loop may turn
ADDRESSES_KEPT: Final = 8192  # ours: conversions remembered; then all are forgotten

_SO_RCVBUFFORCE: Final = 33  # Linux asm-generic/socket.h; privileged, ignores the system's limit
_IP_RECVERR: Final = 11  # Linux in.h
_IPV6_RECVERR: Final = 25  # Linux in6.h
_MSG_ERRQUEUE: Final = 0x2000  # Linux socket.h
_EXTENDED_ERROR: Final = struct.Struct("=I4B2I")  # Linux errqueue.h: sock_extended_err
_ORIGINS_ICMP: Final = (2, 3)  # Linux errqueue.h: SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6
QUOTE_KEPT: Final = 64  # ours: bytes of the last datagram that a quote is compared with
_QUOTE_SIZE_MIN: Final = 32  # ours: reaches past what a stranger can guess, into random bytes

# "Network or host unreachable, family not supported, broken pipe, not permitted" expire a node at
# once (reference section 1.12); the rest are the same fact under other names.
_UNREACHABLE: Final = frozenset(
    {
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
        errno.EHOSTDOWN,
        errno.ENETDOWN,
        errno.ECONNREFUSED,
        errno.EAFNOSUPPORT,
        errno.EPIPE,
        errno.EPERM,
        errno.EACCES,
        errno.EADDRNOTAVAIL,
        errno.EINVAL,
    }
)
_FAMILY_OF: Final = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}


@dataclass(slots=True)
class UdpStats:
    """Each increment is one datagram, or one byte where the name says so."""

    received: int = 0
    received_bytes: int = 0
    received_too_late: int = 0
    received_too_many: int = 0
    sent: int = 0
    sent_bytes: int = 0
    send_delayed: int = 0
    send_dropped: int = 0
    send_failed: int = 0
    unreachable: int = 0


class _Destination:
    """What `sendto` takes for an address, and the beginning of what we last sent there."""

    __slots__ = ("addr", "last", "sockaddr")

    def __init__(self, addr: Address, sockaddr: tuple[Any, ...]) -> None:
        self.addr = addr
        self.sockaddr = sockaddr
        self.last = b""


class UdpTransport:
    """The sockets of one node, at most one per family.

    *deliver* is called with at most `DELIVER_BATCH` datagrams; *unreachable* with the address
    behind a failed send, never from within `send`.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        deliver: Callable[[list[tuple[bytes, Address]]], None],
        unreachable: Callable[[Address], None],
    ) -> None:
        self.stats = UdpStats()
        self._loop = asyncio.get_running_loop()
        self._deliver = deliver
        self._unreachable = unreachable
        self._sockets = {len(_ip_of(sock)): sock for sock in sockets}
        self._outputs: dict[socket.socket, deque[tuple[bytes, Address]]] = {}  # none is empty
        self._input: deque[tuple[float, bytes, Address]] = deque()
        self._input_bytes = 0
        self._is_delivering = False
        self._failed: list[Address] = []
        self._sources: dict[tuple[Any, ...], Address] = {}
        self._destinations: dict[Address, _Destination] = {}
        for sock in sockets:
            self._loop.add_reader(sock, self._read, sock)

    @property
    def addresses(self) -> dict[Family, Address]:
        """Where each socket is bound."""
        bound = [Address.parse(*sock.getsockname()[:2]) for sock in self._sockets.values()]
        return {addr.family: addr for addr in bound}

    def send(self, data: bytes, addr: Address) -> None:
        """Send one datagram now, soon, or never; only *unreachable* tells, and not always."""
        sock = self._sockets.get(len(addr.ip))
        if sock is None:
            self._fail(addr)
            return
        destination = self._destinations.get(addr) or self._destination(addr)
        destination.last = data[:QUOTE_KEPT]
        if sock in self._outputs:
            self._queue(sock, data, addr)  # behind those that wait: parts keep their order
            return
        try:
            sock.sendto(data, destination.sockaddr)
        except OSError as error:
            self._send_again(sock, data, addr, error)
        else:
            self.stats.sent += 1
            self.stats.sent_bytes += len(data)

    def close(self) -> None:
        """Write what the sockets still take, then close them; what waits unread is dropped."""
        for sock in self._sockets.values():
            output = self._outputs.get(sock) or deque()
            with contextlib.suppress(OSError):
                while output:
                    data, addr = output[0]
                    sock.sendto(data, self._destination(addr).sockaddr)
                    output.popleft()
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)
            sock.close()
        self._sockets.clear()
        self._outputs.clear()
        self._input.clear()
        self._input_bytes = 0

    # Reading

    def _read(self, sock: socket.socket) -> None:
        now = self._loop.time()
        receive, queue, sources = sock.recvfrom, self._input, self._sources
        for _ in range(READ_BATCH):
            try:
                data, peer = receive(DATAGRAM_SIZE_MAX)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                self._read_errors(sock)
                continue
            queue.append((now, data, sources.get(peer) or self._source(peer)))
            self._input_bytes += len(data)
        while len(queue) > INPUT_COUNT_MAX or self._input_bytes > INPUT_BYTES_MAX:
            self._input_bytes -= len(queue.popleft()[1])  # the oldest goes first
            self.stats.received_too_many += 1
        if not self._is_delivering:
            self._deliver_slice()

    def _deliver_slice(self) -> None:
        """Hand over one batch; if more waits, go on after the loop has turned."""
        self._is_delivering = False
        queue = self._input
        oldest = self._loop.time() - INPUT_AGE_MAX
        batch: list[tuple[bytes, Address]] = []
        size = 0
        while queue and len(batch) < DELIVER_BATCH:
            arrival, data, addr = queue.popleft()
            size += len(data)
            if arrival < oldest:
                self.stats.received_too_late += 1
            else:
                batch.append((data, addr))
        self._input_bytes -= size
        self.stats.received += len(batch)
        self.stats.received_bytes += size
        if queue:
            self._is_delivering = True
            self._loop.call_soon(self._deliver_slice)
        if batch:
            self._deliver(batch)

    def _source(self, peer: tuple[Any, ...]) -> Address:
        """Convert and remember; the destination keeps the scope of a link-local address.

        Whoever writes to us is answered: both directions share one address, and one `sockaddr`.
        """
        destination = self._destination(Address.parse(peer[0], peer[1]))
        if destination.sockaddr != peer:
            destination.sockaddr = peer  # it has flow and scope as well
        if len(self._sources) >= ADDRESSES_KEPT:
            self._sources.clear()
        self._sources[destination.sockaddr] = destination.addr
        return destination.addr

    # Writing

    def _destination(self, addr: Address) -> _Destination:
        destination = self._destinations.get(addr)
        if destination is None:
            if len(self._destinations) >= ADDRESSES_KEPT:
                self._destinations.clear()
            destination = self._destinations[addr] = _Destination(addr, (addr.host, addr.port))
        return destination

    def _send_again(self, sock: socket.socket, data: bytes, addr: Address, error: OSError) -> None:
        """A send failed: wait, or try once more if the error may belong to an earlier one."""
        if not isinstance(error, BlockingIOError):
            self._read_errors(sock)
            try:
                sock.sendto(data, self._destination(addr).sockaddr)
            except BlockingIOError:
                pass
            except OSError as second:
                self._classify(addr, second)
                return
            else:
                self.stats.sent += 1
                self.stats.sent_bytes += len(data)
                return
        self._queue(sock, data, addr)

    def _queue(self, sock: socket.socket, data: bytes, addr: Address) -> None:
        output = self._outputs.get(sock)
        if output is None:
            output = self._outputs[sock] = deque()
            self._loop.add_writer(sock, self._write, sock)
        if len(output) >= OUTPUT_COUNT_MAX:
            self.stats.send_dropped += 1  # as a full network would; requests are repeated
            return
        output.append((data, addr))
        self.stats.send_delayed += 1

    def _write(self, sock: socket.socket) -> None:
        output = self._outputs[sock]
        while output:
            data, addr = output[0]
            try:
                sock.sendto(data, self._destination(addr).sockaddr)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._read_errors(sock)
                self._classify(addr, error)
            else:
                self.stats.sent += 1
                self.stats.sent_bytes += len(data)
            output.popleft()
        del self._outputs[sock]
        self._loop.remove_writer(sock)

    def _classify(self, addr: Address, error: OSError) -> None:
        self.stats.send_failed += 1
        if error.errno in _UNREACHABLE:
            self._fail(addr)
        else:  # too large, no buffers: not the node's fault
            _log.debug("! not sent to %s: %s", addr, error)

    def _fail(self, addr: Address) -> None:
        """Report soon: the engine may be in the middle of the effects that we carry out."""
        self.stats.unreachable += 1
        if not self._failed:
            self._loop.call_soon(self._report_failed)
        if len(self._failed) < OUTPUT_COUNT_MAX:
            self._failed.append(addr)

    def _report_failed(self) -> None:
        failed, self._failed = self._failed, []
        if self._sockets:
            for addr in dict.fromkeys(failed):
                self._unreachable(addr)

    def _read_errors(self, sock: socket.socket) -> None:
        for addr, quoted in _icmp_errors(sock):
            destination = self._destinations.get(addr)
            # No matching quote: forged, or about an older datagram, which costs us nothing.
            if (
                destination is not None
                and len(quoted) >= _QUOTE_SIZE_MIN
                and destination.last.startswith(quoted[:QUOTE_KEPT])
            ):
                self._fail(addr)


def open_socket(family: Family, host: str, port: int) -> socket.socket:
    """Return a bound, non-blocking UDP socket with a large receive buffer.

    Raises:
        OSError: the family is not supported, or the address cannot be bound.
    """
    sock = socket.socket(_FAMILY_OF[family], socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if family is Family.IPV6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _enlarge(sock)
        if sys.platform == "linux":
            if family is Family.IPV6:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    return sock


def _enlarge(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_SIZE)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # only the superuser may
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_SIZE)


def _ip_of(sock: socket.socket) -> bytes:
    return Address.parse(sock.getsockname()[0], 0).ip


def _icmp_errors(sock: socket.socket) -> Iterator[tuple[Address, bytes]]:
    """Yield what the error queue of *sock* holds: whom each error is about, and its quote."""
    if sys.platform != "linux":
        return
    for _ in range(READ_BATCH):
        try:
            quoted, ancillary, _flags, peer = sock.recvmsg(DATAGRAM_SIZE_MAX, 512, _MSG_ERRQUEUE)
        except OSError:
            return
        for level, kind, data in ancillary:
            is_extended = (level, kind) in {
                (socket.IPPROTO_IP, _IP_RECVERR),
                (socket.IPPROTO_IPV6, _IPV6_RECVERR),
            }
            if not is_extended or len(data) < _EXTENDED_ERROR.size:
                continue
            code, origin, *_rest = _EXTENDED_ERROR.unpack_from(data)
            if origin in _ORIGINS_ICMP and code in _UNREACHABLE:
                yield Address.parse(peer[0], peer[1]), quoted
