"""Direct connections on real sockets: TCP ports that we listen on, and others' that we dial."""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from shoal.core import Address, Compute, DeviceId
from shoal.identity import check_device, parse_chain
from shoal.net.ice.driver.links import FAMILIES, WRITE_HIGH, Link, Listener
from shoal.net.multiaddr import DirectEngine, Multiaddr
from shoal.net.multiaddr.effects import (
    Came,
    CloseLink,
    DialFailed,
    Dialled,
    Effect,
    Ended,
    Greeted,
    OpenLink,
    WriteLink,
)
from shoal.net.multiaddr.hello import Hello

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shoal.crypto import Identity
    from shoal.net.errors import NetError
    from shoal.net.multiaddr.engine import DirectStats
    from shoal.net.peer import Peer

_log = logging.getLogger(__name__)


class PipeUser(Protocol):
    """Who is told of direct links; links go by their numbers."""

    def dialled(self, dial: int, link: int) -> None:
        """A dial has led to its device."""

    def dial_failed(self, dial: int, error: NetError) -> None:
        """A dial has failed."""

    def greeted(self, link: int, peer: Peer) -> None:
        """Somebody who says to be *peer* has connected to us."""

    def came(self, link: int, data: bytes | memoryview) -> None:
        """Bytes have come."""

    def ended(self, link: int) -> None:
        """A link has ended."""


class DirectLinks:
    """The direct links of one device."""

    def __init__(self, identity: Identity, user: PipeUser) -> None:
        self._engine = DirectEngine(partial(_seal, identity), partial(_unseal, identity))
        self._user = user
        self._loop = asyncio.get_running_loop()
        self._listeners: list[Listener] = []
        self._links: dict[int, Link] = {}
        self._closing: set[Link] = set()
        self._drained: dict[int, list[asyncio.Future[None]]] = {}
        self._gone: list[asyncio.Future[None]] = []
        self._accepted = itertools.count(-1, -1)
        self._effects: deque[Effect] = deque()
        self._is_applying = False
        self._is_closed = False
        self._timer: asyncio.TimerHandle | None = None

    def listen(self, local: Address) -> Address:
        """Let others dial *local*; return where exactly, since port 0 is any.

        Raises:
            OSError: the address cannot be listened on.
        """
        listener = Listener(local, self._accept)
        self._listeners.append(listener)
        return listener.local

    def dial(self, dial: int, peer: Peer, addresses: Sequence[Multiaddr]) -> None:
        """Reach a device at one of its addresses."""
        self._run(partial(self._engine.dial, dial, peer, addresses))

    def cancel(self, dial: int) -> None:
        """Stop dialling."""
        self._run(partial(self._engine.cancel, dial))

    def send(self, link: int, data: bytes) -> None:
        """Send on a link."""
        self._run(partial(self._engine.send, link, data))

    def close_link(self, link: int) -> None:
        """Close a link once what was sent is out."""
        self._run(partial(self._engine.close_link, link))

    def set_reading(self, link: int, is_paused: bool) -> None:
        """Stop reading from a link, or go on."""
        if (found := self._links.get(link)) is not None:
            (found.pause_reading if is_paused else found.resume_reading)()

    def buffered(self, link: int) -> int:
        """Return how many bytes wait to be sent on a link."""
        found = self._links.get(link)
        return 0 if found is None else found.buffered

    async def drain(self, link: int) -> None:
        """Wait until the network takes more of a link."""
        if self.buffered(link) > WRITE_HIGH:
            waiter = self._loop.create_future()
            self._drained.setdefault(link, []).append(waiter)
            await waiter

    def close(self) -> None:
        """Close everything."""
        self._is_closed = True
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        self._run(self._engine.close)
        if self._timer is not None:
            self._timer.cancel()

    async def wait_closed(self) -> None:
        """Wait until no socket is left."""
        while self._closing:
            waiter = self._loop.create_future()
            self._gone.append(waiter)
            await waiter

    @property
    def open_count(self) -> int:
        """How many sockets are open."""
        return len(self._links) + len(self._closing) + len(self._listeners)

    @property
    def stats(self) -> DirectStats:
        """Counters."""
        return self._engine.stats

    # As the user of links

    def link_opened(self, link: Link) -> None:
        """Tell the engine."""
        self._run(partial(self._engine.link_opened, link.number))

    def link_received(self, link: Link, data: bytes) -> None:
        """Tell the engine."""
        self._run(partial(self._engine.receive, link.number, data))

    def link_ended(self, link: Link) -> None:
        """Tell the engine."""
        self._run(partial(self._engine.receive_eof, link.number))

    def link_broken(self, link: Link, reason: str) -> None:
        """Tell the engine."""
        self._run(partial(self._engine.link_failed, link.number, reason.lower()))

    def link_drained(self, link: Link) -> None:
        """Let those go on who wait."""
        for waiter in self._drained.pop(link.number, []):
            if not waiter.done():
                waiter.set_result(None)

    def link_gone(self, link: Link) -> None:
        """Forget it."""
        self._closing.discard(link)
        if self._links.get(link.number) is link:
            del self._links[link.number]
        self.link_drained(link)
        gone, self._gone = self._gone, []
        for waiter in gone:
            if not waiter.done():
                waiter.set_result(None)

    # Inside

    def _accept(self, sock: socket.socket) -> None:
        link = Link(next(self._accepted), self, sock)
        try:
            remote = link.remote
        except OSError:  # it was closed before we looked
            link.abort()
            return
        self._links[link.number] = link
        self._run(partial(self._engine.link_accepted, link.number, remote))
        if self._links.get(link.number) is link:
            link.start()

    def _run(self, command: Callable[[float], Sequence[Effect]]) -> None:
        self._effects += command(self._loop.time())
        if self._is_applying:
            return
        self._is_applying = True
        try:
            while self._effects:
                self._apply(self._effects.popleft())
        finally:
            self._is_applying = False
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._engine.next_deadline()
        if deadline is not None and not self._is_closed:
            self._timer = self._loop.call_at(deadline, self._run, self._engine.advance)

    def _apply(self, effect: Effect) -> None:
        match effect:
            case Came(link, data):
                self._user.came(link, data)
            case WriteLink(link, data):
                if (found := self._links.get(link)) is not None:
                    found.write(data)
            case OpenLink(link, remote):
                self._open(link, remote)
            case CloseLink(link):
                if (found := self._links.pop(link, None)) is not None:
                    self._closing.add(found)
                    found.close()
            case Compute(link, job):
                future = self._loop.run_in_executor(None, job)
                future.add_done_callback(partial(self._computed, link))
            case Dialled(dial, link, address):
                _log.debug("= dial %d reached its device at %s", dial, address)
                self._user.dialled(dial, link)
            case _:
                self._report(effect)

    def _report(self, effect: DialFailed | Greeted | Ended) -> None:
        match effect:
            case DialFailed(dial, error):
                self._user.dial_failed(dial, error)
            case Greeted(link, peer):
                self._user.greeted(link, peer)
            case Ended(link):
                self._user.ended(link)

    def _open(self, number: int, remote: Address) -> None:
        try:
            sock = socket.socket(FAMILIES[remote.family], socket.SOCK_STREAM)
        except OSError as error:
            reason = (error.strerror or "no socket").lower()
            self._loop.call_soon(self._run, partial(self._engine.link_failed, number, reason))
            return
        link = self._links[number] = Link(number, self, sock)
        link.connect(None, remote)

    def _computed(self, link: int, future: asyncio.Future[Any]) -> None:
        if not self._is_closed and not future.cancelled():
            self._run(partial(self._engine.computed, link, future.result()))


def _seal(identity: Identity, peer: Peer) -> bytes:
    """Return our greeting for *peer*."""
    chain = identity.certificate.to_pem().encode()
    hello = Hello(chain, time.time(), peer.device)
    return peer.certificate.public_key.encrypt(hello.packed())


def _unseal(identity: Identity, sealed: bytes) -> Peer:
    """Return who greets.

    Raises:
        ShoalError: the greeting is damaged, not for us, old, or its chain does not hold.
    """
    wall_now = time.time()
    own = DeviceId(identity.certificate.long_id)
    hello = Hello.unpack(identity.private_key.decrypt(sealed), own, wall_now)
    return check_device(parse_chain(hello.chain), wall_now)
