"""One TCP connection on a non-blocking socket: read in large pieces, written without copies."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from shoal.core import Address, Family

if TYPE_CHECKING:
    from collections.abc import Callable

READ_SIZE: Final = 256 * 1024  # ours: fewer wake-ups per megabyte; asyncio's own size
WRITE_BUFFERS_MAX: Final = 64  # handed to the system at once, ours: far below IOV_MAX
WRITE_HIGH: Final = 1024 * 1024  # bytes waiting from which `drain` waits, ours
WRITE_LOW: Final = 256 * 1024  # bytes waiting at which it goes on, ours
LINGER_TIME: Final = 3.0  # seconds for the last bytes of a link that is closed, ours
ACCEPT_PAUSE: Final = 0.5  # seconds when the process has no file left, ours
BACKLOG: Final = 32  # connections not yet accepted, ours

FAMILIES: Final = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}


class LinkUser(Protocol):
    """Who wants to know what happens on links."""

    def link_opened(self, link: Link) -> None:
        """It is connected."""

    def link_received(self, link: Link, data: bytes) -> None:
        """Bytes came."""

    def link_ended(self, link: Link) -> None:
        """The other side sends no more."""

    def link_broken(self, link: Link, reason: str) -> None:
        """It could not be opened or it broke; it is closed."""

    def link_drained(self, link: Link) -> None:
        """What waits to be written is little again."""

    def link_gone(self, link: Link) -> None:
        """Its socket is closed."""


class Link:
    """One connection. After `close` or `link_broken` nothing more is reported but `link_gone`."""

    def __init__(self, number: int, user: LinkUser, sock: socket.socket) -> None:
        self.number = number
        self.buffered = 0  # bytes that the system has not taken yet
        self._user = user
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[memoryview] = deque()
        self._is_open = False
        self._is_closing = False
        self._is_paused = False
        self._is_at_end = False
        self._is_gone = False
        self._linger: asyncio.TimerHandle | None = None
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def local(self) -> Address:
        """Our end."""
        return address_of(self._socket.getsockname())

    @property
    def remote(self) -> Address:
        """The other end."""
        return address_of(self._socket.getpeername())

    def connect(self, local: Address | None, remote: Address) -> None:
        """Begin to connect; `link_opened` or `link_broken` follows, never from within."""
        try:
            if local is not None:
                self._socket.bind((local.host, local.port))
            code = self._socket.connect_ex((remote.host, remote.port))
        except OSError as error:
            code = error.errno or errno.EIO
        if code in {0, errno.EINPROGRESS}:
            self._loop.add_writer(self._socket, self._connected)
        else:
            self._loop.call_soon(self._broken, os.strerror(code))

    def start(self) -> None:
        """Read from a connection that is there already."""
        self._is_open = True
        if not self._is_paused:
            self._loop.add_reader(self._socket, self._read)

    def write(self, data: bytes) -> None:
        """Write *data* now or when there is room."""
        if self._is_gone or self._is_closing or not data:
            return
        view = memoryview(data)
        if self._is_open and not self._waiting:
            try:
                view = view[self._socket.send(view) :]
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as error:
                self._loop.call_soon(self._broken, error.strerror or "broken")
                return
            if not view:
                return
            self._loop.add_writer(self._socket, self._flush)
        self._waiting.append(view)
        self.buffered += len(view)

    def pause_reading(self) -> None:
        """Leave what comes to the system, until its buffer is full and the peer has to wait."""
        if not self._is_paused:
            self._is_paused = True
            if self._is_open and not self._is_gone:
                self._loop.remove_reader(self._socket)

    def resume_reading(self) -> None:
        """Read on."""
        if self._is_paused:
            self._is_paused = False
            if self._is_open and not self._is_gone and not self._is_at_end:
                self._loop.add_reader(self._socket, self._read)

    def close(self) -> None:
        """Close once what was written is out, or after a moment."""
        if self._is_gone or self._is_closing:
            return
        self._is_closing = True
        if not self._waiting or not self._is_open:
            self.abort()
            return
        self._loop.remove_reader(self._socket)
        self._linger = self._loop.call_later(LINGER_TIME, self.abort)

    def abort(self) -> None:
        """Close at once."""
        if self._is_gone:
            return
        self._is_gone = True
        self._is_closing = True
        if self._linger is not None:
            self._linger.cancel()
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._waiting.clear()
        self.buffered = 0
        self._user.link_gone(self)

    def _connected(self) -> None:
        self._loop.remove_writer(self._socket)
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._broken(os.strerror(code))
            return
        self.start()
        self._user.link_opened(self)

    def _read(self) -> None:
        try:
            data = self._socket.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._broken(error.strerror or "broken")
            return
        if data:
            self._user.link_received(self, data)
            return
        self._is_at_end = True
        self._loop.remove_reader(self._socket)
        self._user.link_ended(self)

    def _flush(self) -> None:
        try:
            sent = self._socket.sendmsg(
                [view for view, _ in zip(self._waiting, range(WRITE_BUFFERS_MAX), strict=False)]
            )
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._broken(error.strerror or "broken")
            return
        was_high = self.buffered > WRITE_LOW
        self.buffered -= sent
        while sent:
            first = self._waiting[0]
            if sent < len(first):
                self._waiting[0] = first[sent:]
                break
            sent -= len(first)
            self._waiting.popleft()
        if not self._waiting:
            self._loop.remove_writer(self._socket)
            if self._is_closing:
                self.abort()
        if was_high and self.buffered <= WRITE_LOW and not self._is_closing:
            self._user.link_drained(self)

    def _broken(self, reason: str) -> None:
        if self._is_gone:
            return
        is_reported = not self._is_closing
        self.abort()
        if is_reported:
            self._user.link_broken(self, reason)


class Listener:
    """A listening TCP socket."""

    def __init__(self, local: Address, accepted: Callable[[socket.socket], None]) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be listened on.
        """
        self._loop = asyncio.get_running_loop()
        self._accepted = accepted
        self._pause: asyncio.TimerHandle | None = None
        self._socket = open_socket(local, socket.SOCK_STREAM)
        try:
            self._socket.listen(BACKLOG)
            self.local = address_of(self._socket.getsockname())
            self._loop.add_reader(self._socket, self._accept)
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """Accept no more."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        if self._pause is not None:
            self._pause.cancel()

    def _accept(self) -> None:
        try:
            sock, _ = self._socket.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):  # it is gone already
            return
        except OSError:  # too many files are open: it would be reported again and again
            self._loop.remove_reader(self._socket)
            self._pause = self._loop.call_later(ACCEPT_PAUSE, self._resume)
            return
        self._accepted(sock)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._socket, self._accept)


def open_socket(local: Address, kind: socket.SocketKind) -> socket.socket:
    """Return a non-blocking socket bound to *local*.

    Raises:
        OSError: it cannot be bound.
    """
    sock = socket.socket(FAMILIES[local.family], kind)
    try:
        sock.setblocking(False)
        if local.family is Family.IPV6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((local.host, local.port))
    except BaseException:
        sock.close()
        raise
    return sock


def address_of(sockaddr: tuple[str, int] | tuple[str, int, int, int]) -> Address:
    """Convert what the socket library says."""
    return Address.parse(sockaddr[0], sockaddr[1])
