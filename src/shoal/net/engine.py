"""All connections of one device: from a device's checked chain to channels.

Theory of operation. A connection to a device carries any number of channels, opened by either side,
and is used for all of them. `connect` asks for a channel on one that is up; if there is none, it
starts attempts, and the channel is asked for on whichever connection to the device comes up first,
ours or one that the device makes meanwhile. An attempt by ICE goes

    caller  addresses → candidates → offer ⇢ answer → path → TLS server → channels
    callee  offer → addresses → candidates → answer, and at once the path → TLS client → channels

Two devices that call each other at once get two connections; both work, and of those that carry
nothing the side with the smaller device id closes the surplus, so that not both close "the other".

A connection may be dead without our knowing. One that was silent for a minute is asked for a sign
of life as it is used again, the older ones when a new one comes up, all of them when the network
changes. A channel that was asked for on a connection that dies is asked for on another, once.

What others ask for is bounded per device, per account and in all. Who may not connect is not
answered, whatever the reason: silence is all that they can tell apart from absence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.net.attempt import Open, Stage
from shoal.net.effects import ClosePipe, Way
from shoal.net.errors import (
    ChannelClosedError,
    ConnectError,
    ConnectionsClosedError,
    ConnectStep,
    SignalNotSentError,
    TooManyAttemptsError,
)
from shoal.net.establishing import Establishing
from shoal.net.mux.engine import check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from shoal.core import AccountId, DeviceId
    from shoal.net.effects import ChannelId, Effect
    from shoal.net.errors import NetError
    from shoal.net.ice import IceEngine
    from shoal.net.ice.effects import Effect as IceEffect
    from shoal.net.peer import Peer
    from shoal.net.signalling.request import PeerRequest
    from shoal.net.trace import AttemptTrace, ConnectionInfo


class ConnectionsEngine(Establishing):
    """All connections of one device of one account.

    Args:
        device: our own device.
        tls: makes TLS filters that prove our device's key.
        ice: makes ICE engines.
        policy: who may connect and open what.
        entropy: for the ids of offers.
        config: limits and times.
        treated: offers that were treated before; `Persist("treated", …)` keeps them.
    """

    # Commands

    def connect(
        self,
        op: int,
        peer: Peer,
        name: str,
        now: float,
        *,
        connection_type: str = "",
        ways: Sequence[Way] = (Way.ICE,),
        reuse: bool = True,
    ) -> list[Effect]:
        """Open a channel called *name* to a device; ends with `ChannelOpened` or `OpenFailed`.

        Args:
            op: an id of the caller's.
            peer: the device, with its checked chain.
            name: the channel's.
            now: the time.
            connection_type: what for; a hint for the offer, if there is one.
            ways: how to reach the device, all at once; the first connection serves.
            reuse: whether a connection that is up will do.

        Raises:
            ChannelNameError: no channel can be called so.
            ConnectionsClosedError: all of this is shut down.
            ConnectError: the device is our own.
            TooManyAttemptsError: too much is under way.
        """
        check_name(name, self._config.mux.name_max)
        if self._is_closed:
            raise ConnectionsClosedError
        if peer.device == self.device:
            raise ConnectError(ConnectStep.CHAIN, "this is our own device")
        device = self._registry.device(peer)
        if (
            len(device.opens) >= self._config.opens_per_device_max
            or not ways
            or op in self._registry.opens
        ):
            raise TooManyAttemptsError(f"{len(device.opens)} channels wait for this device")
        connection = device.best() if reuse else None
        begins = not reuse or any(device.outgoing(way) is None for way in ways)
        if connection is None and begins and not self._registry.has_room(device):
            raise TooManyAttemptsError(f"{len(self._registry.connections)} connections")
        wanted = Open(op, peer, name, connection_type, tuple(ways))
        self._registry.add_open(wanted, device)
        if connection is not None:
            return self._request(wanted, connection, now)
        return self._seek(wanted, device, now, is_new=not reuse)

    def cancel(self, op: int, now: float) -> list[Effect]:
        """Give up on a channel that is not open yet; no event follows. Harmless for others."""
        wanted = self._registry.take_open(op)
        if wanted is None:
            return []
        device = self._registry.devices[wanted.peer.device]
        effects: list[Effect] = []
        connection = self._registry.connections.get(wanted.connection or 0)
        if connection is not None and connection.session is not None:
            session = connection.session
            effects += self._apply(
                connection, session.from_mux(session.mux.cancel(op, now), now), now
            )
        elif not device.opens:
            for attempt in list(device.attempts.values()):
                if attempt.is_caller and attempt.stage in {Stage.GATHERING, Stage.OFFERED}:
                    error = ConnectionsClosedError("nobody waits for it any more")
                    effects += self._fail(attempt, error, now)
        self._registry.forget_idle(device)
        return effects

    def signal_received(
        self, request: PeerRequest, sender: Peer, now: float, *, route: str = ""
    ) -> list[Effect]:
        """Take an offer or an answer of a device whose chain was checked."""
        if self._is_closed or sender.device == self.device:
            return []
        if request.is_answer:
            return self._take_answer(request, sender, now)
        return self._take_offer(request, sender, now, route)

    def signal_failed(self, attempt: int, reason: str, now: float) -> list[Effect]:
        """Learn that the offer, or the answer, of *attempt* was not delivered."""
        connection = self._registry.connections.get(attempt)
        if connection is None or connection.stage not in {Stage.OFFERED, Stage.CONNECTING}:
            return []
        if connection.stage is Stage.CONNECTING and connection.is_caller:
            return []  # it was answered: another carrier has delivered it
        return self._fail(connection, SignalNotSentError(reason), now, ConnectStep.SIGNALLING)

    def write(self, channel: ChannelId, data: bytes, now: float) -> list[Effect]:
        """Send *data* on an open channel, as one packet if it has at most 65,535 bytes.

        Raises:
            ChannelClosedError: the channel is not open.
        """
        connection = self._registry.connections.get(channel[0])
        if connection is None or connection.session is None:
            raise ChannelClosedError
        session = connection.session
        effects = session.from_mux(session.mux.write(channel[1], data, now), now)
        return self._apply(connection, effects, now)

    def consumed(self, channel: ChannelId, size: int, packets: int, now: float) -> list[Effect]:
        """Note that so many packets, of *size* bytes together, were read."""
        connection = self._registry.connections.get(channel.connection)
        if connection is None or connection.session is None:
            return []
        session = connection.session
        effects = session.mux.consumed(channel.number, size, packets, now)
        return self._apply(connection, session.from_mux(effects, now), now) if effects else []

    def close_channel(self, channel: ChannelId, now: float) -> list[Effect]:
        """Close an open channel; harmless if it is closed."""
        connection = self._registry.connections.get(channel.connection)
        if connection is None or connection.session is None:
            return []
        session = connection.session
        effects = session.from_mux(session.mux.close_channel(channel.number, now), now)
        return self._apply(connection, effects, now)

    def close_connection(self, number: int, now: float) -> list[Effect]:
        """Close one connection with all its channels; harmless if it is gone."""
        connection = self._registry.connections.get(number)
        if connection is None:
            return []
        return self._drop(connection, None, now)

    def close_account(self, account: AccountId, now: float) -> list[Effect]:
        """Close everything to the devices of an account, and what is under way to them."""
        devices = [each for each in self._registry.devices.values() if each.peer.account == account]
        return [effect for each in devices for effect in self._close_device(each, now)]

    def close_device(self, device: DeviceId, now: float) -> list[Effect]:
        """Close everything to one device, and what is under way to it."""
        found = self._registry.devices.get(device)
        return [] if found is None else self._close_device(found, now)

    def network_changed(self, now: float) -> list[Effect]:
        """Ask all connections for a sign of life; attempts that fail now get another try."""
        effects: list[Effect] = []
        for connection in list(self._registry.connections.values()):
            if connection.is_up:
                effects += self._check(connection, now)
            else:
                connection.is_stale = True
        return effects

    def close(self, now: float) -> list[Effect]:
        """Close everything; what waits fails."""
        self._is_closed = True
        devices = list(self._registry.devices.values())
        return [effect for each in devices for effect in self._close_device(each, now)]

    # Input from below

    def addresses_found(
        self, attempt: int, hosts: Sequence[bytes], public: Sequence[bytes], now: float
    ) -> list[Effect]:
        """Learn the IP addresses of our interfaces, and those under which others see us."""
        connection = self._registry.connections.get(attempt)
        if connection is None or connection.stage is not Stage.GATHERING or connection.ice:
            return []
        connection.ice = self._ice(is_controlling=not connection.is_caller)
        return self._from_ice(connection, connection.ice.gather(hosts, public, now), now)

    def ice_input(
        self, attempt: int, command: Callable[[IceEngine, float], Sequence[IceEffect]], now: float
    ) -> list[Effect]:
        """Run *command* on the ICE engine of *attempt*, if it still has one."""
        connection = self._registry.connections.get(attempt)
        if connection is None or connection.ice is None:
            return []
        return self._from_ice(connection, command(connection.ice, now), now)

    def pipe_opened(self, attempt: int, pipe: Hashable, now: float) -> list[Effect]:
        """Learn that the peer was reached by another way than ICE."""
        connection = self._registry.connections.get(attempt)
        if connection is None or connection.stage is not Stage.DIALING:
            return [ClosePipe(pipe)]
        self._registry.pipes[pipe] = connection
        connection.pipe = pipe
        return self._secure(connection, now, is_server=True)

    def pipe_failed(self, attempt: int, error: NetError, now: float) -> list[Effect]:
        """Learn that another way than ICE did not lead to the peer."""
        connection = self._registry.connections.get(attempt)
        if connection is None or connection.stage is not Stage.DIALING:
            return []
        return self._fail(connection, error, now)

    def accept_pipe(self, pipe: Hashable, peer: Peer, way: Way, now: float) -> list[Effect]:
        """Take a pipe that somebody who says to be *peer* has opened to us."""
        device = self._registry.device(peer)
        if self._is_closed or not self._policy.may_connect(peer):
            self.stats.offers_refused += 1
            return [ClosePipe(pipe)]
        if not self._limits.admit(peer, now) or not self._registry.has_room(
            device, is_caller=False
        ):
            self.stats.offers_limited += 1
            return [ClosePipe(pipe)]
        connection = self._registry.begin(device, way, now, is_caller=False)
        self._registry.pipes[pipe] = connection
        connection.pipe = pipe
        return self._secure(connection, now, is_server=False)

    def pipe_received(self, pipe: Hashable, data: bytes | memoryview, now: float) -> list[Effect]:
        """Take bytes from a pipe."""
        connection = self._registry.pipes.get(pipe)
        if connection is None or connection.session is None:
            return []
        return self._apply(connection, connection.session.receive(data, now), now)

    def pipe_eof(self, pipe: Hashable, now: float) -> list[Effect]:
        """Take the end of a pipe."""
        connection = self._registry.pipes.get(pipe)
        if connection is None or connection.session is None:
            return []
        return self._apply(connection, connection.session.receive_eof(now), now)

    # Time

    def next_deadline(self) -> float | None:
        """When a connection or an attempt wants time."""
        return self._registry.next_alarm()

    def advance(self, now: float) -> list[Effect]:
        """Do what is due at *now*."""
        effects: list[Effect] = []
        while (connection := self._registry.pop_due(now)) is not None:
            effects += self._wake(connection, now)
            self._registry.set_alarm(connection)
        return effects

    # What it is

    def connections(self) -> list[ConnectionInfo]:
        """Return the connections that are up."""
        return [each.info() for each in self._registry.connections.values() if each.is_up]

    def traces(self) -> list[AttemptTrace]:
        """Return the latest attempts that have ended, and those under way after them."""
        under_way = [each.trace for each in self._registry.connections.values() if not each.is_up]
        return [*self._registry.traces, *under_way]

    def pipe_of(self, connection: int) -> Hashable | None:
        """Return the pipe that carries a connection, unless that is ICE's path."""
        found = self._registry.connections.get(connection)
        return None if found is None else found.pipe

    @property
    def sizes(self) -> dict[str, int]:
        """How much of everything there is."""
        return {
            "connections": len(self._registry.connections),
            "devices": len(self._registry.devices),
            "opens": len(self._registry.opens),
            "limits": len(self._limits),
            "treated": len(self._treated),
        }
