"""Connectivity checks and nomination (reference 5.6; RFC 8445 sections 6 to 8, RFC 6544).

Theory of operation. A TCP pair of ours waits for its turn, connects, is checked, and succeeds or
fails; one that the peer opened is idle until the peer has shown that it knows our password. A UDP
pair has no connection to make. The controlling side waits until the pair it likes best has
succeeded, or for a moment after the first success, and repeats that pair's check with
USE-CANDIDATE; both sides use the pair of which that check succeeds.

    WAITING ──► CONNECTING ──► CHECKING ──► SUCCEEDED ──► (nominated) ──► selected
       ▲            │ refused      │ no answer, link lost
       └────────────┘              ▼
    IDLE ───── a check came ──► CHECKING, and everything may end as FAILED
"""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError
from shoal.net import stun
from shoal.net.ice import binding
from shoal.net.ice.candidates import (
    PRIORITY_MAX,
    Candidate,
    CandidateType,
    TcpType,
    Transport,
    peer_reflexive,
    priority,
)
from shoal.net.ice.config import Scope
from shoal.net.ice.effects import Selected
from shoal.net.ice.errors import (
    IceTimeoutError,
    LinkLostError,
    NominationTimeoutError,
    NoPathError,
)
from shoal.net.ice.nomination import Nomination, Patience, next_nomination, patience
from shoal.net.ice.pair import Pair, PairState, pair_priority
from shoal.net.ice.path import Outcome
from shoal.net.ice.paths import Allowance, RelayedConnect, TcpPath, UdpPath
from shoal.net.stun import Class, Message, Method
from shoal.net.transactions import Transaction

if TYPE_CHECKING:
    from shoal.core import Address
    from shoal.net.ice.binding import Credentials
    from shoal.net.ice.context import Context, Socket
    from shoal.net.ice.path import PairReport
    from shoal.net.ice.relay import Relay

PACE: Final = 0.02  # seconds between two pairs' beginnings; reference 5.6: 20 to 50 ms
CONNECT_TIME: Final = 15.0  # seconds; reference 5.6
RETRY_WAIT: Final = 0.5  # seconds after a refused connection; reference 5.6
SHUT_OUT_WAIT: Final = 0.05  # seconds, ours, doubled each time: 0.1, 0.2 … until a relay lets us in
RETRIES_MAX: Final = 8  # reference 5.6
SILENCE_MAX: Final = 10.0  # seconds for an accepted link to show the password, ours
KEEP_ALIVE: Final = (20.0, 24.0)  # seconds between indications; reference 5.6

# Bounds, ours. 31 candidates of the peer and 4 of ours make 124 pairs; the best half is plenty.
PAIRS_MAX: Final = 64
ACCEPTED_MAX: Final = 32  # links of strangers at once; then the oldest silent one is closed
INCOMING_MAX: Final = 64  # pairs that the peer makes us add


class Checklist:
    """All pairs of one session."""

    def __init__(
        self, context: Context, ufrag: str, pwd: str, tie_breaker: int, *, is_controlling: bool
    ) -> None:
        self.is_controlling = is_controlling
        self.pairs: list[Pair] = []
        self.selected: dict[int, Pair] = {}
        self.credentials: Credentials | None = None  # once the peer's are known
        self.started = inf
        self.steps: list[tuple[str, float]] = []
        self._context = context
        self._ufrag = ufrag
        self._pwd = pwd
        self._tie_breaker = tie_breaker
        self._remotes: tuple[Candidate, ...] = ()
        self._may_be_direct = True
        self._next_turn = -inf
        self._keep_alive = inf

    @property
    def is_complete(self) -> bool:
        """Whether every component has its path."""
        return len(self.selected) == self._context.config.components

    def reports(self) -> tuple[PairReport, ...]:
        """Return the story of every pair."""
        return tuple(pair.report(self.started) for pair in self.pairs)

    # Building

    def start(
        self,
        credentials: Credentials,
        remotes: tuple[Candidate, ...],
        pairs: list[Pair],
        now: float,
    ) -> None:
        """Begin: *pairs* are those that we open. What the peer has opened already is joined."""
        self.credentials = credentials
        self._remotes = remotes
        self._may_be_direct = self._context.config.scope is not Scope.RELAY_ONLY and any(
            each.type is not CandidateType.RELAY for each in remotes
        )
        self.started = now
        for pair in self.pairs:
            self._identify(pair)
        pairs.sort(key=lambda pair: pair.priority, reverse=True)
        del pairs[PAIRS_MAX:]
        self.pairs += pairs
        for pair in list(self.pairs):
            if pair.is_authenticated and pair.state is PairState.IDLE:
                self._check(pair, now)
        self.wake(now)

    def make_pair(self, local: Candidate, remote: Candidate, now: float) -> Pair:
        """Return a new pair, not yet in the list."""
        rank = pair_priority(local, remote, is_controlling=self.is_controlling)
        return Pair(local, remote, rank, now)

    def add_accepted(
        self, local: Candidate, link: int, peer: Address, left: bytes, now: float
    ) -> None:
        """Take a link that *peer* opened, to a socket or to a relay; *left* already came."""
        if local.component in self.selected:
            self._context.refuse_link(link)
            return
        silent = [pair for pair in self.pairs if pair.state is PairState.IDLE]
        incoming = sum(pair.is_incoming for pair in self.pairs)
        if len(silent) >= ACCEPTED_MAX or (silent and incoming >= INCOMING_MAX):
            self._context.stats.refused_links += 1
            self._drop(silent[0])
        elif incoming >= INCOMING_MAX:
            self._context.refuse_link(link)
            return
        remote = peer_reflexive(peer, local.component, Transport.TCP)
        pair = self.make_pair(local, remote, now)
        pair.is_incoming = True
        pair.state = PairState.IDLE
        pair.connected = now
        pair.deadline = now + SILENCE_MAX
        pair.note(Outcome.CHECKING, now)
        path = TcpPath(self._context, self, pair, link)
        pair.path = path
        self._context.links[link] = path
        self.pairs.append(pair)
        self._identify(pair)
        if left:
            path.received(left, now)

    def relayed_link(self, relay: Relay, link: int, peer: Address, left: bytes, now: float) -> None:
        """Take a link through *relay*: one of ours that it connected, or one of the peer's."""
        for pair in self.pairs:
            route = pair.retry_path
            if (
                isinstance(route, RelayedConnect)
                and (route.relay, route.remote) == (relay, peer)
                and pair.is_unheard
                and pair.component not in self.selected
            ):
                if pair.path is not None:
                    pair.path.close()
                pair.path = TcpPath(self._context, self, pair, link)
                self._context.links[link] = pair.path
                self.path_opened(pair, now)
                if left:
                    pair.path.received(left, now)
                return
        assert relay.candidate is not None, "no link without an address"
        self.add_accepted(relay.candidate, link, peer, left, now)

    def relayed_connect_failed(self, relay: Relay, peer: Address, reason: str, now: float) -> None:
        """Learn that *relay* could not connect."""
        for pair in self.pairs:
            path = pair.path
            if isinstance(path, RelayedConnect) and (path.relay, path.remote) == (relay, peer):
                self.path_lost(pair, reason, now, is_end=False)

    # Paths

    def path_opened(self, pair: Pair, now: float) -> None:
        """Check a pair that has its link."""
        pair.connected = now
        pair.deadline = inf
        self._check(pair, now)

    def path_lost(self, pair: Pair, reason: str, now: float, *, is_end: bool) -> None:
        """Give up a pair, or try it again, or end the session if it was chosen."""
        if self.selected.get(pair.component) is pair:
            if is_end:
                self._context.is_closed_by_peer = True
            else:
                self._context.fail(LinkLostError(reason))
            return
        was_connecting = pair.state is PairState.CONNECTING
        # A relay accepts and hangs up until the peer, whose it is, knows of us and lets us in.
        is_shut_out = (
            pair.state is PairState.CHECKING
            and pair.remote.type is CandidateType.RELAY
            and not (pair.is_incoming or pair.is_authenticated)
        )
        if (was_connecting or is_shut_out) and pair.retries < RETRIES_MAX:
            pair.transaction = None
            pair.retries += 1
            pair.state = PairState.WAITING
            pair.path = None if pair.retry_path is None else pair.retry_path
            wait = SHUT_OUT_WAIT * 2**pair.retries if is_shut_out else RETRY_WAIT
            pair.deadline = now + wait
            pair.note(Outcome.REFUSED, now, reason)
            return
        self._fail_pair(pair, Outcome.REFUSED if was_connecting else Outcome.LOST, now, reason)

    def flooded(self, pair: Pair, now: float) -> None:
        """Close the link of somebody who sends data without being asked."""
        self._fail_pair(pair, Outcome.LOST, now, "sent data too early")

    def stun_received(self, pair: Pair, message: bytes, source: Address, now: float) -> None:
        """Take a STUN message on the link of *pair*."""
        try:
            decoded = stun.decode(message)
        except DecodeError:
            self._context.stats.malformed += 1
            return
        if decoded.method is not Method.BINDING or decoded.kind is Class.INDICATION:
            return
        if decoded.kind is Class.REQUEST:
            if not self._is_authentic(decoded):
                self._context.stats.unauthenticated += 1
                if not pair.is_authenticated and pair.is_incoming:
                    self._drop(pair)
            elif self._has_allowance(pair, now):
                self._answer(pair, decoded, source, now)
        else:
            self._answered(pair, decoded, now)

    def datagram_received(
        self, base: Socket | Relay, local: Candidate, data: bytes, addr: Address, now: float
    ) -> None:
        """Take a datagram from *addr* on a socket or relay."""
        pair = self._find_udp(base, addr)
        if not stun.is_stun(data[: stun.HEADER_LENGTH], len(data)):
            if pair is not None and isinstance(pair.path, UdpPath):
                pair.path.received(data)
            else:
                self._context.stats.unwanted_data += 1
            return
        if pair is None:
            pair = self._peer_reflexive(base, local, data, addr, now)
            if pair is None:
                return
        self.stun_received(pair, data, addr, now)

    def _find_udp(self, base: Socket | Relay, addr: Address) -> Pair | None:
        for pair in (*self.selected.values(), *self.pairs):
            path = pair.path
            if isinstance(path, UdpPath) and path.base is base and path.remote == addr:
                return pair
        return None

    def _peer_reflexive(
        self, base: Socket | Relay, local: Candidate, data: bytes, addr: Address, now: float
    ) -> Pair | None:
        """Make a pair for a check from an address that the peer did not list."""
        try:
            message = stun.decode(data)
        except DecodeError:
            self._context.stats.malformed += 1
            return None
        if message.kind is not Class.REQUEST or not self._is_authentic(message):
            self._context.stats.unauthenticated += 1
            return None
        if sum(pair.is_incoming for pair in self.pairs) >= INCOMING_MAX:
            return None
        remote = peer_reflexive(addr, local.component, Transport.UDP)
        pair = self.make_pair(local, remote, now)
        pair.is_incoming = True
        pair.state = PairState.IDLE
        pair.path = UdpPath(self._context, base, pair, addr)
        pair.note(Outcome.CHECKING, now)
        self.pairs.append(pair)
        return pair

    # Checks of the peer

    def _is_authentic(self, request: Message) -> bool:
        return binding.is_authentic(request, self._ufrag, self._pwd)

    def _has_allowance(self, pair: Pair, now: float) -> bool:
        if pair.allowance is None:
            pair.allowance = Allowance(now)
        if pair.allowance.take(now):
            return True
        self._context.stats.ignored_checks += 1
        return False

    def _answer(self, pair: Pair, request: Message, source: Address, now: float) -> None:
        assert pair.path is not None
        if request.unknown:
            code, reason = binding.UNKNOWN_ATTRIBUTE, "Unknown Attribute"
            pair.path.send(binding.failure(request.transaction, code, reason, self._pwd), now)
            return
        if not self._settles_roles(request, now):
            code, reason = binding.ROLE_CONFLICT, "Role Conflict"
            pair.path.send(binding.failure(request.transaction, code, reason, self._pwd), now)
            return
        is_first = not pair.is_authenticated
        pair.is_authenticated = True
        pair.path.send(binding.success(request.transaction, source, self._pwd), now)
        if is_first and pair.transaction is not None and isinstance(pair.path, UdpPath):
            # RFC 8445 section 7.3.1.4: the way is open now, while our own check may have been
            # dropped by the peer's NAT. Not to wait for its repetition saves up to 500 ms.
            pair.path.send(pair.transaction.data, now)
        if self.selected.get(pair.component) is not None:
            return
        if pair.is_incoming and pair.remote.type is CandidateType.PRFLX:
            claimed = request.attributes["PRIORITY"]
            pair.remote = replace(pair.remote, priority=claimed & PRIORITY_MAX)
            self._rank(pair)
        if "USE-CANDIDATE" in request.attributes and not self.is_controlling:
            pair.is_nominated_by_peer = True
            if pair.state is PairState.SUCCEEDED:
                self._select(pair, now)
                return
            if pair.state is PairState.CHECKING and isinstance(pair.path, UdpPath):
                self._check(pair, now)  # anew: its repetitions may be seconds apart by now
                return
        is_new = pair.state in {PairState.IDLE, PairState.WAITING}
        if self.credentials is not None and (
            is_new or (pair.state is PairState.FAILED and isinstance(pair.path, UdpPath))
        ):
            self._check(pair, now)  # RFC 8445 section 7.3.1.4: a triggered check

    def _settles_roles(self, request: Message, now: float) -> bool:
        """Change our role if the peer has it by right; False if the peer has to (RFC 8445 7.3.1.1).

        Once a path is selected the roles stay.
        """
        theirs = request.attributes.get(
            "ICE-CONTROLLING" if self.is_controlling else "ICE-CONTROLLED"
        )
        if theirs is None or self.selected:
            return True
        has_greater = self._tie_breaker >= theirs
        if has_greater is self.is_controlling:
            return False
        self._switch_role(now)
        return True

    def _switch_role(self, now: float) -> None:
        self.is_controlling = not self.is_controlling
        for pair in self.pairs:
            self._rank(pair)

    # Our checks

    def _check(self, pair: Pair, now: float, *, nominates: bool = False) -> None:
        """Send a check, a nominating one if asked."""
        assert self.credentials is not None, "the peer's password is known"
        assert pair.path is not None, "there is a path to check"
        pair.transaction = None
        own = priority(CandidateType.PRFLX, pair.local.priority >> 8 & 0xFFFF, pair.local.component)
        transaction_id = self._context.draw_transaction_id()
        data = binding.request(
            transaction_id,
            self.credentials,
            priority=own,
            is_controlling=self.is_controlling,
            tie_breaker=self._tie_breaker,
            nominates=nominates,
            software=self._context.config.software,
        )
        pair.transaction = Transaction(transaction_id, data, now)
        pair.asked_as_controlling = self.is_controlling
        pair.nominates = nominates
        pair.deadline = inf
        if not nominates:
            pair.state = PairState.CHECKING
            pair.note(Outcome.CHECKING, now)
        pair.path.send(data, now)

    def _answered(self, pair: Pair, response: Message, now: float) -> None:
        transaction = pair.transaction
        if (
            self.credentials is None
            or transaction is None
            or response.transaction != transaction.id
            or not response.is_signed_with(self.credentials.remote_pwd.encode())
        ):
            self._context.stats.unsolicited += 1
            return
        pair.transaction = None
        pair.is_authenticated = True
        if response.kind is Class.SUCCESS:
            self._succeeded(pair, transaction, now)
        elif response.error[0] == binding.ROLE_CONFLICT:
            if self.is_controlling is pair.asked_as_controlling and not self.selected:
                self._switch_role(now)
            self._check(pair, now)
        else:
            self._fail_pair(pair, Outcome.CHECK_FAILED, now, f"{response.error[0]}")

    def _succeeded(self, pair: Pair, transaction: Transaction, now: float) -> None:
        if pair.nominates:
            self._select(pair, now)
            return
        pair.rtt = transaction.rtt(now) or now - transaction.first_sent
        pair.state = PairState.SUCCEEDED
        pair.succeeded = now
        pair.note(Outcome.SUCCEEDED, now)
        if pair.is_nominated_by_peer and not self.is_controlling:
            self._select(pair, now)

    # Ends

    def _select(self, pair: Pair, now: float) -> None:
        """Use *pair* for its component; the other pairs of it are over."""
        if pair.component in self.selected:
            return
        assert pair.path is not None
        self.selected[pair.component] = pair
        pair.transaction = None
        for other in self.pairs:
            if other.component == pair.component and other is not pair:
                other.transaction = None
                other.deadline = inf
                if other.path is not None:
                    other.path.close()
        pair.note(Outcome.SELECTED, now)
        self._keep_alive = min(self._keep_alive, now + self._context.entropy.uniform(*KEEP_ALIVE))
        path = pair.chosen(self.started, self.steps, self.reports(), now)
        self._context.out.append(Selected(path))
        pair.path.accept_data()

    def _fail_pair(self, pair: Pair, outcome: Outcome, now: float, detail: str = "") -> None:
        pair.transaction = None
        pair.state = PairState.FAILED
        pair.deadline = inf
        pair.note(outcome, now, detail)
        if pair.path is not None:
            pair.path.close()

    def _drop(self, pair: Pair) -> None:
        """Forget a link of a stranger."""
        if pair.path is not None:
            pair.path.close()
        if pair in self.pairs:
            self.pairs.remove(pair)
        pair.transaction = None

    def _rank(self, pair: Pair) -> None:
        pair.priority = pair_priority(pair.local, pair.remote, is_controlling=self.is_controlling)

    def _identify(self, pair: Pair) -> None:
        """Give an accepted link the candidate that the peer announced for its address."""
        for remote in self._remotes:
            if (
                remote.addr.ip == pair.remote.addr.ip
                and remote.component == pair.component
                and remote.transport is Transport.TCP
                and (remote.tcp_type is TcpType.ACTIVE or remote.type is CandidateType.RELAY)
            ):
                pair.remote = replace(remote, addr=pair.remote.addr, tcp_type=TcpType.ACTIVE)
                self._rank(pair)
                return

    # Time

    def next_deadline(self) -> float:
        """When `wake` has something to do; infinity if never."""
        if self.is_complete:
            return self._keep_alive
        earliest = self._keep_alive
        has_waiting = False
        for pair in self.pairs:
            if pair.transaction is not None:
                earliest = min(earliest, pair.transaction.deadline)
            earliest = min(earliest, pair.deadline)
            has_waiting = has_waiting or pair.is_in_line
        if self.credentials is None:
            return earliest
        if has_waiting:
            earliest = min(earliest, self._next_turn)
        for component in self._open_components():
            if (nomination := self._nomination(component)) is not None:
                earliest = min(earliest, nomination.moment)
            earliest = min(earliest, self._patience(component).moment)
        return min(earliest, self.started + self._context.config.time_limit)

    def wake(self, now: float) -> None:
        """Do what is due."""
        self._send_keep_alives(now)
        if self.is_complete:
            return
        for pair in list(self.pairs):
            self._wake_pair(pair, now)
        if self.credentials is None:
            return
        self._take_turns(now)
        self._settle(now)

    def settle(self, now: float) -> None:
        """Look after each input whether something is decided."""
        if self.credentials is not None and not self.is_complete:
            self._settle(now)

    def _settle(self, now: float) -> None:
        for component in self._open_components():
            nomination = self._nomination(component)
            if nomination is not None and now >= nomination.moment:
                self._check(nomination.pair, now, nominates=True)
                continue
            limit = self._patience(component)
            if now >= limit.moment:
                kind = NominationTimeoutError if limit.is_for_nomination else NoPathError
                self._context.fail(kind(pairs=self.reports()))
        if not self.is_complete and now >= self.started + self._context.config.time_limit:
            self._context.fail(IceTimeoutError(pairs=self.reports()))

    def _open_components(self) -> list[int]:
        components = range(1, self._context.config.components + 1)
        return [number for number in components if number not in self.selected]

    def _wake_pair(self, pair: Pair, now: float) -> None:
        if pair.component in self.selected:
            return
        transaction = pair.transaction
        if transaction is not None and transaction.deadline <= now:
            if transaction.advance(now):
                assert pair.path is not None
                pair.path.send(transaction.data, now)
            elif transaction.is_expired:
                self._fail_pair(pair, Outcome.CHECK_FAILED, now, "no answer")
        if pair.deadline > now:
            return
        pair.deadline = inf
        if pair.state is PairState.CONNECTING:
            self._fail_pair(pair, Outcome.CONNECT_TIMEOUT, now)
        elif pair.state is PairState.IDLE and not pair.is_authenticated:
            self._drop(pair)
        # A refused pair that waits simply has its turn again.

    def _take_turns(self, now: float) -> None:
        """Begin with the best pair that waits, if it is time for the next one."""
        if now < self._next_turn:
            return
        open_pairs = (pair for pair in self.pairs if pair.component not in self.selected)
        waiting = [pair for pair in open_pairs if pair.is_in_line]
        if not waiting:
            return
        self._next_turn = now + PACE
        self._begin(max(waiting, key=lambda pair: (pair.is_likely, pair.priority)), now)

    def _begin(self, pair: Pair, now: float) -> None:
        path = pair.path
        if isinstance(path, RelayedConnect):
            pair.retry_path = path
        if isinstance(path, UdpPath):
            pair.connected = now
            self._check(pair, now)
            return
        pair.state = PairState.CONNECTING
        pair.deadline = now + CONNECT_TIME
        pair.note(Outcome.CONNECTING, now, pair.detail)
        if isinstance(path, RelayedConnect):
            path.relay.connect(path.remote, now)
            return
        opening = TcpPath(self._context, self, pair)
        pair.path = opening
        local = pair.local.addr._replace(port=0)
        opening.link = self._context.connect(opening, local, pair.remote.addr)

    def _nomination(self, component: int) -> Nomination | None:
        if not self.is_controlling:
            return None
        return next_nomination(self._of(component), may_be_direct=self._may_be_direct)

    def _patience(self, component: int) -> Patience:
        return patience(self._of(component), self.started, is_controlling=self.is_controlling)

    def _of(self, component: int) -> list[Pair]:
        return [pair for pair in self.pairs if pair.component == component]

    def _send_keep_alives(self, now: float) -> None:
        if now < self._keep_alive:
            return
        for pair in self.selected.values():
            assert pair.path is not None
            pair.path.send(binding.keep_alive(self._context.draw_transaction_id()), now)
        self._keep_alive = now + self._context.entropy.uniform(*KEEP_ALIVE)
