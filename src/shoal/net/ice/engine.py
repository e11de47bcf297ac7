"""One ICE session: from candidates to a path, and the bytes on it (reference 5.4 to 5.7).

The engine puts three parts together, which share a `Context`:

    Gatherer   sockets, mappings, STUN and TURN servers  ─► candidates
    Checklist  pairs, checks, roles, nomination          ─► one path per component
    paths      framing, telling STUN from data           ─► the application's bytes

A link or socket belongs to the part that ordered it. Whatever happens, each is closed at the end:
when a path has been selected all that is not part of it is closed, and at the end all the rest.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from shoal.net.ice.binding import Credentials
from shoal.net.ice.candidates import (
    DISCARD_PORT,
    Candidate,
    CandidateType,
    IceDescription,
    TcpType,
    Transport,
)
from shoal.net.ice.checklist import Checklist
from shoal.net.ice.config import Scope
from shoal.net.ice.context import Context
from shoal.net.ice.effects import Closed, CloseLink, Failed, Gathered
from shoal.net.ice.errors import IceStateError, LinkLostError, NoCandidatesError, NoPathError
from shoal.net.ice.gathering import Gatherer
from shoal.net.ice.pair import is_same_machine, is_usable
from shoal.net.ice.paths import RelayedConnect, TcpPath, UdpPath

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.core import Address, Entropy
    from shoal.net.ice.config import IceConfig
    from shoal.net.ice.context import IceStats, Socket
    from shoal.net.ice.effects import Effect
    from shoal.net.ice.pair import Pair
    from shoal.net.ice.path import PairReport
    from shoal.net.ice.relay import Relay

UFRAG_BYTES: Final = 4  # 8 hex digits, reference 5.4
PWD_BYTES: Final = 12  # 24 hex digits, reference 5.4
TIE_BREAKER_BYTES: Final = 8  # RFC 8445 section 5.2


class IceEngine:
    """An ICE agent for one session.

    `gather` → `Gathered`; `start` with the peer's description → one `Selected` per component;
    then `send` and `Received` until `Closed` or `Failed`, or `close`.
    """

    def __init__(self, config: IceConfig, entropy: Entropy, *, is_controlling: bool) -> None:
        self.ufrag = entropy.token_bytes(UFRAG_BYTES).hex()
        self.pwd = entropy.token_bytes(PWD_BYTES).hex()
        self.description: IceDescription | None = None
        self._context = Context(config, entropy)
        self._gatherer = Gatherer(self._context, self)
        self._checklist = Checklist(
            self._context,
            self.ufrag,
            self.pwd,
            int.from_bytes(entropy.token_bytes(TIE_BREAKER_BYTES)),
            is_controlling=is_controlling,
        )
        self._is_over = False
        self._is_trimmed = False  # all that is not part of the selected paths is closed
        self._gather_began: float | None = None
        self._gathered_at = inf

    @property
    def stats(self) -> IceStats:
        """What arrived and was not used."""
        return self._context.stats

    @property
    def is_controlling(self) -> bool:
        """The role, which a conflict may change until a path is selected."""
        return self._checklist.is_controlling

    @property
    def is_connected(self) -> bool:
        """Whether every component has its path, and nothing ended."""
        return self._checklist.is_complete and not self._is_over

    @property
    def is_over(self) -> bool:
        """Whether it failed or was closed."""
        return self._is_over

    @property
    def open_links(self) -> frozenset[int]:
        """The links that are open or being opened."""
        return frozenset(self._context.links)

    @property
    def open_sockets(self) -> frozenset[int]:
        """The sockets that are open or being opened."""
        sockets = self._context.sockets.values()
        return frozenset(each.number for each in sockets if each.is_open or not each.is_mapped)

    @property
    def data_links(self) -> frozenset[int]:
        """The TCP links of the selected paths."""
        paths = [pair.path for pair in self._checklist.selected.values()]
        return frozenset(path.link for path in paths if isinstance(path, TcpPath))

    def pairs(self) -> tuple[PairReport, ...]:
        """Return what was tried so far."""
        return self._checklist.reports()

    # Commands

    def gather(self, hosts: Sequence[bytes], public: Sequence[bytes], now: float) -> list[Effect]:
        """Gather candidates; `Gathered` follows within `GATHER_TIME`, or `Failed`.

        Args:
            hosts: packed IP addresses of our interfaces, best first.
            public: packed IP addresses under which DHT nodes see us.
            now: the time.

        Raises:
            IceStateError: called before, or the session is over.
        """
        if self._gather_began is not None or self._is_over:
            raise IceStateError
        self._gather_began = now
        self._gatherer.start(hosts, public, now)
        return self._finish(now)

    def start(self, remote: IceDescription, now: float) -> list[Effect]:
        """Check the pairs with the candidates of *remote*; `Selected` or `Failed` follows.

        Raises:
            IceStateError: before `Gathered`, a second time, or after the end.
        """
        if self.description is None or self._checklist.credentials is not None or self._is_over:
            raise IceStateError
        credentials = Credentials(self.ufrag, self.pwd, remote.ufrag, remote.pwd)
        config = self._context.config
        remotes = tuple(
            each
            for each in remote.candidates
            if each.transport is config.transport
            and each.component <= config.components
            and (config.scope is not Scope.LAN or each.type is CandidateType.HOST)
        )
        for relay in self._gatherer.relays:
            relay.permit(list(dict.fromkeys(each.addr for each in remotes)), now)
        assert self._gather_began is not None
        self._checklist.steps = [
            ("gather", self._gathered_at - self._gather_began),
            ("signal", now - self._gathered_at),
        ]
        self._checklist.start(credentials, remotes, self._make_pairs(remotes, now), now)
        return self._finish(now)

    def send(self, data: bytes | memoryview, now: float, component: int = 1) -> list[Effect]:
        """Send *data* on the selected path: over TCP any amount, over UDP one datagram.

        Raises:
            IceStateError: the component has no path, or the session is over.
        """
        pair = self._checklist.selected.get(component)
        if pair is None or pair.path is None or self._is_over:
            raise IceStateError
        pair.path.send_data(data, now)
        out, self._context.out = self._context.out, []
        return out

    def close(self, now: float) -> list[Effect]:
        """Close everything; no event follows. What was sent before still goes out."""
        if not self._is_over:
            self._end(now)
        out, self._context.out = self._context.out, []
        return out

    # Inputs

    def socket_opened(self, socket: int, local: Address, now: float) -> list[Effect]:
        """Learn that `Listen` succeeded, bound to *local*."""
        record = self._context.sockets.get(socket)
        if record is not None and not record.is_open:
            record.is_open = True
            record.local = local
            self._gatherer.socket_opened(record, now)
        return self._finish(now)

    def socket_failed(self, socket: int, reason: str, now: float) -> list[Effect]:
        """Learn that `Listen` failed or that *socket* broke; the driver has closed it."""
        record = self._context.sockets.pop(socket, None)
        if record is not None:
            self._context.unmap_port(record)
            self._gatherer.socket_failed(socket)
            self._base_lost(record, reason)
        return self._finish(now)

    def link_opened(self, link: int, local: Address, remote: Address, now: float) -> list[Effect]:
        """Learn that `Connect` succeeded."""
        owner = self._context.links.get(link)
        if owner is not None:
            owner.opened(local, remote, now)
        return self._finish(now)

    def link_accepted(
        self, socket: int, link: int, local: Address, remote: Address, now: float
    ) -> list[Effect]:
        """Learn that somebody connected to *socket*."""
        candidate = self._candidate_of(socket)
        if candidate is None or self._is_over or link in self._context.links:
            return [CloseLink(link)]
        self._checklist.add_accepted(candidate, link, remote, b"", now)
        return self._finish(now)

    def link_failed(self, link: int, reason: str, now: float) -> list[Effect]:
        """Learn that `Connect` failed, or that an open link broke; the driver has closed it."""
        owner = self._context.links.pop(link, None)
        if owner is not None:
            owner.lost(reason, now)
        return self._finish(now)

    def receive(self, link: int, data: bytes | memoryview, now: float) -> list[Effect]:
        """Take what arrived on a TCP link. Never raises."""
        owner = self._context.links.get(link)
        if owner is not None:
            owner.received(data, now)
        return self._finish(now)

    def receive_eof(self, link: int, now: float) -> list[Effect]:
        """Learn that the other side of *link* sends no more."""
        owner = self._context.links.get(link)
        if owner is not None:
            owner.ended(now)
        return self._finish(now)

    def receive_datagram(self, socket: int, data: bytes, addr: Address, now: float) -> list[Effect]:
        """Take one datagram from *addr*. Never raises."""
        record = self._context.sockets.get(socket)
        if record is None or self._is_over:
            return []
        if not self._gatherer.receive_datagram(record, data, addr, now):
            local = self._candidate_of(socket)
            if local is not None:
                self._checklist.datagram_received(record, local, data, addr, now)
        return self._finish(now)

    def server_resolved(
        self, host: str, port: int, addrs: Sequence[Address], now: float
    ) -> list[Effect]:
        """Learn the addresses of a server; none if it cannot be resolved."""
        if not self._is_over:
            self._gatherer.server_resolved(host, port, addrs, now)
        return self._finish(now)

    def port_mapped(self, socket: int, external: Address | None, now: float) -> list[Effect]:
        """Learn which external address the router forwards to *socket*; None if it does not."""
        record = self._context.sockets.get(socket)
        if record is not None:
            self._gatherer.port_mapped(record, external)
        return self._finish(now)

    def next_deadline(self) -> float | None:
        """When `advance` next has work."""
        if self._is_over:
            return None
        earliest = min(self._gatherer.next_deadline(), self._checklist.next_deadline())
        return None if earliest == inf else earliest

    def advance(self, now: float) -> list[Effect]:
        """Do what is due at *now*."""
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return []
        self._gatherer.wake(now)
        self._checklist.wake(now)
        return self._finish(now)

    # As the user of relays

    def allocated(self, relay: Relay, mapped: Address | None, now: float) -> None:
        """Note a relayed address."""
        self._gatherer.allocated(relay, mapped, now)

    def relay_failed(self, relay: Relay, now: float) -> None:
        """Do without a relay; its TCP links end by themselves."""
        self._gatherer.relay_failed(relay)
        self._base_lost(relay, "the TURN server gave the address up")

    def relayed_link(self, relay: Relay, link: int, peer: Address, left: bytes, now: float) -> None:
        """Check a link through a relay."""
        self._checklist.relayed_link(relay, link, peer, left, now)

    def relayed_connect_failed(self, relay: Relay, peer: Address, reason: str, now: float) -> None:
        """Give up a pair that the relay should have connected."""
        self._checklist.relayed_connect_failed(relay, peer, reason, now)

    def relayed_datagram(self, relay: Relay, data: bytes, peer: Address, now: float) -> None:
        """Take a datagram of the peer."""
        if relay.candidate is not None:
            self._checklist.datagram_received(relay, relay.candidate, data, peer, now)

    # Inside

    def _base_lost(self, base: Socket | Relay, reason: str) -> None:
        for pair in self._checklist.selected.values():
            if isinstance(pair.path, UdpPath) and pair.path.base is base:
                self._context.fail(LinkLostError(reason))

    def _make_pairs(self, remotes: Sequence[Candidate], now: float) -> list[Pair]:
        """Pair our candidates with the peer's where we open the path (RFC 6544 section 6.2)."""
        config = self._context.config
        pairs: dict[tuple[object, ...], Pair] = {}
        for remote in remotes:
            if not is_usable(remote.addr):
                continue
            if config.transport is Transport.TCP and remote.tcp_type is not TcpType.PASSIVE:
                continue
            for local, base in self._bases(remote.component):
                if local.addr.family is not remote.addr.family:
                    continue
                if is_same_machine(local.addr.ip) is not is_same_machine(remote.addr.ip):
                    continue
                pair = self._checklist.make_pair(local, remote, now)
                if base is not None and config.transport is Transport.UDP:
                    pair.path = UdpPath(self._context, base, pair, remote.addr)
                elif base is not None:
                    pair.path = RelayedConnect(base, remote.addr)  # type: ignore[arg-type]
                pairs.setdefault(pair.key, pair)
        return list(pairs.values())

    def _bases(self, component: int) -> list[tuple[Candidate, Socket | Relay | None]]:
        """Return our candidates from which a path can be opened, each with what it sends from."""
        config = self._context.config
        is_tcp = config.transport is Transport.TCP
        found: list[tuple[Candidate, Socket | Relay | None]] = []
        for socket in self._context.sockets.values():
            if socket.component != component or config.scope is Scope.RELAY_ONLY:
                continue
            addr = socket.local._replace(port=DISCARD_PORT) if is_tcp else socket.local
            candidate = self._own_candidate(component, addr)
            if candidate is not None:
                found.append((candidate, None if is_tcp else socket))
        for relay in self._gatherer.relays:
            is_wanted = not is_tcp or config.scope is Scope.RELAY_ONLY
            if relay.component == component and relay.candidate is not None and is_wanted:
                found.append((relay.candidate, relay))
        return found

    def _candidate_of(self, socket: int) -> Candidate | None:
        """Return the host candidate of *socket*, once candidates are known."""
        record = self._context.sockets.get(socket)
        return None if record is None else self._own_candidate(record.component, record.local)

    def _own_candidate(self, component: int, addr: Address) -> Candidate | None:
        for candidate in self._gatherer.candidates:
            if candidate.component == component and candidate.addr == addr:
                return candidate
        return None

    def _finish(self, now: float) -> list[Effect]:
        """Look what the input has led to, and return all effects."""
        context = self._context
        if self._is_over:
            context.out.clear()
            return []
        if not self._is_trimmed:
            self._look(now)
        if context.is_closed_by_peer and context.failure is None:
            self._end(now)
            context.out.append(Closed())
        elif context.failure is not None:
            self._end(now)
            context.out.append(Failed(context.failure))
        out, context.out = context.out, []
        return out

    def _look(self, now: float) -> None:
        """See whether gathering or checking is over."""
        if self._gather_began is not None and self.description is None:
            self._gatherer.settle(now)
            if self._gatherer.is_done:
                self._report_gathered(now)
        self._checklist.settle(now)
        if self._checklist.is_complete:
            self._trim(now)

    def _report_gathered(self, now: float) -> None:
        self._gathered_at = now
        candidates = self._gatherer.candidates
        self.description = IceDescription(self.ufrag, self.pwd, candidates)
        if candidates:
            self._context.out.append(Gathered(self.description))
        elif self._context.config.scope is Scope.RELAY_ONLY:
            self._context.fail(NoPathError("no TURN server answers, and only a relay may be used"))
        else:
            self._context.fail(NoCandidatesError())

    def _trim(self, now: float) -> None:
        """Close everything that the selected paths do not need."""
        self._is_trimmed = True
        paths = [pair.path for pair in self._checklist.selected.values() if pair.path is not None]
        relays: list[Relay] = []
        for relay in self._gatherer.relays:
            for pair in self._checklist.selected.values():
                if pair.local is relay.candidate:
                    relays.append(relay)
                    if isinstance(pair.path, UdpPath):
                        relay.bind_channel(pair.path.remote, now)
        self._gatherer.close(now, keeps=relays)

        def is_used(link: int) -> bool:
            return any(path.is_on(link=link) for path in paths)

        controls = {link for relay in relays for link in relay.trim(is_used, now)}
        for link in list(self._context.links):
            if link not in controls and not is_used(link):
                self._context.close_link(link)
        is_incoming = any(pair.is_incoming for pair in self._checklist.selected.values())
        for socket in list(self._context.sockets):
            if not any(path.is_on(socket=socket) for path in paths):
                self._context.close_socket(socket, keeps_mapping=is_incoming)

    def _end(self, now: float) -> None:
        self._is_over = True
        self._gatherer.close(now)
        self._context.close_all()
