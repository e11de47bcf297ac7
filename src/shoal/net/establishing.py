"""How connections come up and go down: the inner half of the connections engine.

Effects that were made are emitted in the order in which they were made, since TLS numbers its
records. So a reaction that sends something, such as accepting a channel, waits until the list is
done in which its cause stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from shoal.core import DecodeError, Persist
from shoal.identity import TreatedIds
from shoal.net.attempt import STEPS, Connection, Device, Open, Stage, is_due, timeout_of, words_of
from shoal.net.config import ConnectionsConfig
from shoal.net.effects import (
    AttemptEnded,
    ChannelAccepted,
    ChannelClosed,
    ChannelId,
    ChannelOpened,
    ChannelReceived,
    ClosePipe,
    ConnectionDown,
    ConnectionUp,
    Effect,
    FindAddresses,
    IceAction,
    OpenFailed,
    OpenPipe,
    SendPipe,
    SendSignal,
    SetReading,
    Way,
)
from shoal.net.errors import (
    ChannelDeclinedError,
    ConnectError,
    ConnectionsClosedError,
    ConnectStep,
    MuxError,
    NetError,
    TlsError,
    TlsTimeoutError,
    TlsTruncatedError,
)
from shoal.net.ice import IceDescription
from shoal.net.ice.effects import Closed as IceClosed
from shoal.net.ice.effects import Failed, Gathered, Received, Selected
from shoal.net.limits import OfferLimits
from shoal.net.mux.effects import Asked, Closed, MuxReading, Opened, Packet, Unopened
from shoal.net.registry import Registry
from shoal.net.session import Down, Send, Session, Up
from shoal.net.signalling.request import REQUEST_ID_MAX, PeerRequest
from shoal.net.trace import ConnectionsStats

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shoal.core import DeviceId, Entropy
    from shoal.net.ice import IceEngine
    from shoal.net.ice.effects import Effect as IceEffect
    from shoal.net.peer import ChannelPolicy, Peer
    from shoal.net.session import SessionEffect
    from shoal.net.tls.filter import TlsFactory


class IceFactory(Protocol):
    """Makes ICE engines."""

    def __call__(self, *, is_controlling: bool) -> IceEngine:
        """Return an engine for one connection."""
        ...


class Establishing:
    """Connections of one device of one account, without the commands.

    Args:
        device: our own device.
        tls: makes TLS filters that prove our device's key.
        ice: makes ICE engines.
        policy: who may connect and open what.
        entropy: for the ids of offers.
        config: limits and times.
        treated: offers that were treated before; `Persist("treated", …)` keeps them.
    """

    def __init__(
        self,
        device: DeviceId,
        *,
        tls: TlsFactory,
        ice: IceFactory,
        policy: ChannelPolicy,
        entropy: Entropy,
        config: ConnectionsConfig | None = None,
        treated: TreatedIds | None = None,
    ) -> None:
        self.stats = ConnectionsStats()
        self.device = device
        self._config = config or ConnectionsConfig()
        self._tls, self._ice, self._policy = tls, ice, policy
        self._entropy = entropy
        self._treated = treated or TreatedIds()
        self._limits = OfferLimits(self._config)
        self._registry = Registry(device, self._config)
        self._is_closed = False

    # Offers and answers

    def _take_offer(
        self, request: PeerRequest, sender: Peer, now: float, route: str
    ) -> list[Effect]:
        """A device wants to connect."""
        stats = self.stats
        if not self._policy.may_connect(sender):
            stats.offers_refused += 1
            return []
        if request.id in self._treated:
            stats.offers_repeated += 1
            return []
        device = self._registry.device(sender)
        if not self._limits.admit(sender, now) or not self._registry.has_room(
            device, is_caller=False
        ):
            stats.offers_limited += 1
            return [
                effect for each in list(device.up.values()) for effect in self._check(each, now)
            ]
        try:
            remote = IceDescription.parse(request.ice_message)
        except DecodeError:
            stats.offers_malformed += 1
            return []
        self._treated.add(request.id)
        connection = self._registry.begin(device, Way.ICE, now, is_caller=False)
        connection.request_id, connection.route, connection.remote = request.id, route, remote
        connection.connection_type = request.connection_type
        connection.trace.remote_candidates = request.ice_message
        return [Persist("treated", self._treated.pack()), FindAddresses(connection.number)]

    def _take_answer(self, request: PeerRequest, sender: Peer, now: float) -> list[Effect]:
        """A device answers an offer of ours, or so it says."""
        connection = self._registry.requests.get(request.id)
        if (
            connection is None
            or connection.peer.device != sender.device
            or connection.stage is not Stage.OFFERED
            or connection.ice is None
        ):
            self.stats.answers_ignored += 1
            return []
        connection.trace.note("answered", now)
        connection.trace.remote_candidates = request.ice_message
        try:
            remote = IceDescription.parse(request.ice_message)
        except DecodeError as error:
            return self._fail(connection, error, now)
        connection.move(Stage.CONNECTING, now + self._config.ice_timeout)
        return self._from_ice(connection, connection.ice.start(remote, now), now)

    # From the first step to a connection

    def _call(
        self, device: Device, way: Way, now: float, connection_type: str
    ) -> tuple[Connection, Effect]:
        """Start an attempt of ours."""
        connection = self._registry.begin(device, way, now, is_caller=True)
        device.errors.pop(way, None)
        connection.connection_type = connection_type
        if way is Way.ICE:
            return connection, FindAddresses(connection.number)
        return connection, OpenPipe(connection.number, connection.peer, way)

    def _seek(self, wanted: Open, device: Device, now: float, *, is_new: bool) -> list[Effect]:
        """See to it that a connection for *wanted* is being made."""
        effects: list[Effect] = []
        only: set[int] = set()
        for way in wanted.ways:
            attempt = None if is_new else device.outgoing(way)
            if attempt is None:
                attempt, effect = self._call(device, way, now, wanted.connection_type)
                effects.append(effect)
            only.add(attempt.number)
        wanted.only = only if is_new else None
        return effects

    def _gathered(
        self, connection: Connection, description: IceDescription, now: float
    ) -> list[Effect]:
        """Our candidates are known: offer them, or answer."""
        text = description.to_text()
        connection.trace.local_candidates = text
        connection.trace.note("gathered", now)
        if connection.is_caller:
            connection.request_id = 1 + self._entropy.below(REQUEST_ID_MAX)
            self._registry.requests[connection.request_id] = connection
            connection.move(Stage.OFFERED, now + self._config.answer_timeout)
            self.stats.offers_sent += 1
        else:
            connection.move(Stage.CONNECTING, now + self._config.ice_timeout)
            self.stats.answers_sent += 1
        signal = PeerRequest(
            connection.request_id,
            text,
            not connection.is_caller,
            connection.connection_type if connection.is_caller else "",
        )
        effects: list[Effect] = [
            SendSignal(connection.number, connection.peer, signal, connection.route)
        ]
        if connection.remote is not None and connection.ice is not None:
            effects += self._from_ice(connection, connection.ice.start(connection.remote, now), now)
        return effects

    def _secure(self, connection: Connection, now: float, *, is_server: bool) -> list[Effect]:
        """There is a path: shake hands on it."""
        connection.trace.note("path", now)
        connection.move(Stage.SECURING, now + self._config.tls_timeout)
        try:
            tls = self._tls(connection.peer, is_server=is_server)
        except TlsError as error:
            return self._fail(connection, error, now)
        session = connection.session = Session(tls, self._config.mux, is_server=is_server)
        return self._apply(connection, session.start(now), now)

    def _came_up(self, connection: Connection, now: float) -> list[Effect]:
        """The peer has proven who it is: use the connection for all that waits."""
        if not connection.is_up:
            return []  # it went down in the same breath
        device = self._registry.device_of(connection)
        effects: list[Effect] = []
        for older in list(device.up.values()):
            if older is not connection:
                effects += self._check(older, now)
        for wanted in list(device.opens.values()):
            if wanted.connection is None and (
                wanted.only is None or connection.number in wanted.only
            ):
                effects += self._request(wanted, connection, now)
        for each in device.up.values():
            self._registry.set_alarm(each)
        return effects

    def _noted_up(self, connection: Connection, tls: str, now: float) -> list[Effect]:
        """Take note that a connection is up."""
        connection.trace.tls = tls
        connection.trace.note("tls", now)
        self._registry.set_up(connection, now)
        self.stats.connections_made += 1
        return [ConnectionUp(connection.info()), AttemptEnded(connection.trace)]

    # Channels

    def _request(self, wanted: Open, connection: Connection, now: float) -> list[Effect]:
        """Ask for a channel on a connection that is up."""
        session = connection.session
        assert session is not None, "a connection that is up has one"
        wanted.connection = connection.number
        wanted.tries += 1
        is_doubtful = now - session.mux.last_heard >= self._config.idle_before_beacon
        try:
            effects = session.mux.open(wanted.op, wanted.name, now)
        except MuxError as error:
            return self._end_open(wanted, ConnectStep.CHANNEL, error)
        if is_doubtful:
            effects += session.mux.check(now)
        return self._apply(connection, session.from_mux(effects, now), now)

    def _check(self, connection: Connection, now: float) -> list[Effect]:
        """Ask a connection for a sign of life."""
        session = connection.session
        if session is None:
            return []
        return self._apply(connection, session.from_mux(session.mux.check(now), now), now)

    def _unopened(
        self, connection: Connection, op: int, error: MuxError, now: float
    ) -> list[Effect]:
        """A channel was not opened: if that says nothing about the peer's will, try once more."""
        wanted = self._registry.opens.get(op)
        if wanted is None:
            return []
        wanted.connection = None
        if self._is_closed or isinstance(error, ChannelDeclinedError) or wanted.tries > 1:
            return self._end_open(wanted, ConnectStep.CHANNEL, error)
        device = self._registry.devices[wanted.peer.device]
        other = device.best(but=connection)
        if other is None and not self._registry.has_room(device):
            return self._end_open(wanted, ConnectStep.CHANNEL, error)
        self.stats.opens_repeated += 1
        if other is not None:
            return self._request(wanted, other, now)
        return self._seek(wanted, device, now, is_new=False)

    def _end_open(self, wanted: Open, step: ConnectStep, error: Exception) -> list[Effect]:
        """Tell that a channel could not be opened."""
        device = self._registry.devices[wanted.peer.device]
        self._registry.take_open(wanted.op)
        self._registry.forget_idle(device)
        self.stats.opens_failed += 1
        if isinstance(error, ConnectError):
            return [OpenFailed(wanted.op, error)]
        return [OpenFailed(wanted.op, ConnectError(step, words_of(error), error))]

    def _opened(self, connection: Connection, effect: Opened, now: float) -> list[Effect]:
        channel = ChannelId(connection.number, effect.number)
        self._registry.take_open(effect.op)
        self.stats.channels_opened += 1
        return [ChannelOpened(effect.op, channel, connection.peer, effect.name)]

    def _answer(self, connection: Connection, asked: Asked, now: float) -> list[Effect]:
        """Let the policy decide on a channel that the peer wants."""
        session, channel = connection.session, ChannelId(connection.number, asked.number)
        if session is None or session.mux.is_over:
            return []
        if not self._policy.accepts(connection.peer, asked.name):
            self.stats.channels_declined += 1
            declined = session.from_mux(session.mux.decline(asked.number, now), now)
            return self._apply(connection, declined, now)
        accepted = session.mux.accept(asked.number, now)
        if not accepted:
            return []  # the peer has closed it already
        self.stats.channels_accepted += 1
        return [
            *self._apply(connection, session.from_mux(accepted, now), now),
            ChannelAccepted(channel, connection.peer, asked.name),
        ]

    # Translation

    def _from_ice(
        self, connection: Connection, effects: Iterable[IceEffect], now: float
    ) -> list[Effect]:
        """Carry out what the ICE engine of a connection reports, pass on what it orders."""
        out: list[Effect] = []
        for effect in effects:
            match effect:
                case Received(data, _):
                    if connection.session is not None:
                        out += self._apply(connection, connection.session.receive(data, now), now)
                case Gathered(description):
                    out += self._gathered(connection, description, now)
                case Selected(path):
                    connection.path = connection.trace.path = path
                    ice = connection.ice
                    assert ice is not None, "its effects are being read"
                    out += self._secure(connection, now, is_server=not ice.is_controlling)
                case IceClosed() | Failed():
                    out += self._path_ended(connection, effect, now)
                case _:
                    out.append(IceAction(connection.number, effect))
        self._registry.set_alarm(connection)
        return out

    def _path_ended(
        self, connection: Connection, effect: IceClosed | Failed, now: float
    ) -> list[Effect]:
        """The ICE engine is through, and has closed everything."""
        session = connection.session
        connection.ice = None
        if isinstance(effect, Failed):
            if session is None:
                return self._fail(connection, effect.error, now)
            return self._apply(connection, session.close(effect.error, now), now)
        if session is None:
            return self._fail(connection, TlsTruncatedError("the peer closed the path"), now)
        return self._apply(connection, session.receive_eof(now), now)

    def _apply(
        self, connection: Connection, effects: Iterable[SessionEffect], now: float
    ) -> list[Effect]:
        """Carry out what a session orders and reports; reactions to it come last."""
        out: list[Effect] = []
        reactions: list[Asked | Up | Down] = []
        number = connection.number
        for effect in effects:
            match effect:
                case Packet(channel, data):
                    out.append(ChannelReceived(ChannelId(number, channel), data))
                case Send(data):
                    out += self._send(connection, data, now)
                case Asked() | Down():
                    reactions.append(effect)
                case Up(tls):
                    out += self._noted_up(connection, tls, now)
                    reactions.append(effect)
                case _:
                    out += self._tell(connection, effect, now)
        if not connection.channels:
            connection.quiet_since = max(connection.quiet_since, now)
        for reaction in reactions:
            out += self._react(connection, reaction, now)
        self._registry.set_alarm(connection)
        return out

    def _tell(
        self, connection: Connection, effect: Opened | Unopened | Closed | MuxReading, now: float
    ) -> list[Effect]:
        """Report what happened to a channel."""
        match effect:
            case Opened():
                return self._opened(connection, effect, now)
            case Unopened(op, error):
                return self._unopened(connection, op, error, now)
            case Closed(number, reason):
                return [ChannelClosed(ChannelId(connection.number, number), reason)]
            case MuxReading(is_paused):
                return [SetReading(connection.number, is_paused)]

    def _react(self, connection: Connection, effect: Asked | Up | Down, now: float) -> list[Effect]:
        match effect:
            case Asked():
                return self._answer(connection, effect, now)
            case Up():
                if connection.is_caller or self._policy.may_connect(connection.peer):
                    return self._came_up(connection, now)
                self.stats.offers_refused += 1  # it was blocked while it connected
                return self._drop(connection, None, now)
            case Down(error):
                return self._went_down(connection, error, now)

    def _send(self, connection: Connection, data: bytes, now: float) -> list[Effect]:
        """Send on whatever carries the connection."""
        if connection.ice is not None:
            return self._from_ice(connection, connection.ice.send(data, now), now)
        if connection.pipe is not None:
            return [SendPipe(connection.pipe, data)]
        return []  # the path ended before

    # The end

    def _drop(self, connection: Connection, error: NetError | None, now: float) -> list[Effect]:
        """Close a connection, or stop making it."""
        if connection.session is None:
            return self._fail(connection, error or ConnectionsClosedError("closed here"), now)
        return self._apply(connection, connection.session.close(error, now), now)

    def _close_device(self, device: Device, now: float) -> list[Effect]:
        """Close everything about a device, what waits first."""
        effects: list[Effect] = []
        for wanted in list(device.opens.values()):
            error = ConnectionsClosedError("closed here")
            effects += self._end_open(wanted, ConnectStep.CHANNEL, error)
        for connection in [*device.attempts.values(), *device.up.values()]:
            effects += self._drop(connection, None, now)
        return effects

    def _went_down(
        self, connection: Connection, error: NetError | None, now: float
    ) -> list[Effect]:
        """A session is over."""
        if connection.stage is Stage.SECURING:
            ended = error or TlsTruncatedError("the peer closed the connection")
            return self._fail(connection, ended, now)
        if connection.stage is not Stage.UP:
            return []
        if error is not None:
            self.stats.connections_lost += 1
        device = self._registry.device_of(connection)
        effects = self._release(connection, now)
        self._registry.forget_idle(device)
        return [*effects, ConnectionDown(connection.number, connection.peer, error)]

    def _fail(
        self,
        connection: Connection,
        error: Exception,
        now: float,
        step: ConnectStep | None = None,
    ) -> list[Effect]:
        """An attempt has failed: with it those channels for which there is no other."""
        if connection.stage is Stage.OVER:
            return []
        step = step or STEPS[connection.stage]
        device, trace = self._registry.device_of(connection), connection.trace
        trace.failed_step, trace.error = step, error
        trace.note("failed", now)
        self._registry.keep_trace(trace)
        self.stats.attempts_failed += 1
        effects = [*self._release(connection, now), AttemptEnded(trace)]
        if connection.is_caller:
            device.errors[connection.way] = step, error
        waiting = [each for each in device.opens.values() if each.connection is None]
        if connection.is_stale and connection.is_caller and waiting and not self._is_closed:
            again, effect = self._call(device, connection.way, now, connection.connection_type)
            for wanted in waiting:
                if wanted.only is not None and connection.number in wanted.only:
                    wanted.only.add(again.number)
            effects.append(effect)
        for wanted in waiting:
            effects += self._without(wanted, device, connection, (step, error))
        self._registry.forget_idle(device)
        return effects

    def _without(
        self,
        wanted: Open,
        device: Device,
        failed: Connection,
        failure: tuple[ConnectStep, Exception],
    ) -> list[Effect]:
        """Fail *wanted*, unless another attempt may still serve it."""
        if wanted.only is not None:
            wanted.only.discard(failed.number)
            if wanted.only:
                return []
        elif device.attempts:
            return []
        # What went wrong with ICE says most: everybody has it.
        known = device.errors.get(Way.ICE) or next(iter(device.errors.values()), None)
        step, error = known or failure
        return self._end_open(wanted, step, error)

    def _release(self, connection: Connection, now: float) -> list[Effect]:
        """Close what is below a connection, and forget it."""
        number = connection.number
        self._registry.take_out(connection)
        effects: list[Effect] = []
        if connection.ice is not None:
            ice, connection.ice = connection.ice, None
            effects += [
                IceAction(number, each)
                for each in ice.close(now)
                if not isinstance(each, Gathered | Selected | Received | IceClosed | Failed)
            ]
        if connection.pipe is not None:
            effects.append(ClosePipe(connection.pipe))
        return effects

    # Time

    def _wake(self, connection: Connection, now: float) -> list[Effect]:
        """Do what is due for one connection."""
        effects: list[Effect] = []
        ice, session = connection.ice, connection.session
        if ice is not None and is_due(ice.next_deadline(), now):
            effects += self._from_ice(connection, ice.advance(now), now)
        if session is not None and is_due(session.next_deadline(), now):
            effects += self._apply(connection, session.advance(now), now)
        if connection.stage is Stage.UP:
            limit = self._registry.quiet_limit(connection)
            is_surplus = limit is not None and not connection.channels
            if is_surplus and is_due(connection.quiet_since + (limit or 0.0), now):
                self.stats.surplus_closed += 1
                effects += self._drop(connection, None, now)
        elif connection.stage is not Stage.OVER and connection.deadline <= now:
            if session is not None:
                timeout = TlsTimeoutError("the handshake takes too long")
                effects += self._apply(connection, session.close(timeout, now), now)
            else:
                effects += self._fail(connection, timeout_of(connection.stage), now)
        return effects
