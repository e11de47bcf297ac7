"""What the connections engine keeps: connections, devices, wanted channels, and when to look where.

Only bookkeeping. Moments are in a heap, from which stale ones are dropped as they come up: a
connection counts at the moment that its `wake` says, and nowhere else.
"""

from __future__ import annotations

from heapq import heappop, heappush
from math import inf
from typing import TYPE_CHECKING

from shoal.net.attempt import Connection, Device, Open, Stage
from shoal.net.effects import Way
from shoal.net.trace import AttemptTrace

if TYPE_CHECKING:
    from collections.abc import Hashable

    from shoal.core import DeviceId
    from shoal.net.config import ConnectionsConfig
    from shoal.net.peer import Peer


class Registry:
    """Everything that one engine has under way."""

    def __init__(self, own_device: DeviceId, config: ConnectionsConfig) -> None:
        self.connections: dict[int, Connection] = {}
        self.devices: dict[DeviceId, Device] = {}
        self.opens: dict[int, Open] = {}
        self.pipes: dict[Hashable, Connection] = {}
        self.requests: dict[int, Connection] = {}  # attempts of ours, by the id of the offer
        self.traces: list[AttemptTrace] = []
        self._own_device = own_device
        self._config = config
        self._alarms: list[tuple[float, int]] = []
        self._count = 0
        self._attempts = 0  # connections that are not up

    # Devices

    def device(self, peer: Peer) -> Device:
        """Return what is known of a device, or a new entry that is not kept yet."""
        return self.devices.get(peer.device) or Device(peer)

    def device_of(self, connection: Connection) -> Device:
        """Return the device at the far end."""
        return self.devices[connection.peer.device]

    def forget_idle(self, device: Device) -> None:
        """Forget a device about which there is nothing to know."""
        if device.is_idle:
            self.devices.pop(device.peer.device, None)

    def has_room(self, device: Device, *, is_caller: bool = True) -> bool:
        """Whether a further attempt is allowed."""
        config = self._config
        incoming = sum(not each.is_caller for each in device.attempts.values())
        return (
            len(self.connections) < config.connections_max
            and self._attempts < config.attempts_max
            and len(device.up) < config.connections_per_device_max
            and (is_caller or incoming < config.attempts_per_device_max)
        )

    # Connections

    def begin(self, device: Device, way: Way, now: float, *, is_caller: bool) -> Connection:
        """Enter a new attempt."""
        self._count += 1
        self._attempts += 1
        peer, config, is_ice = device.peer, self._config, way is Way.ICE
        self.devices[peer.device] = device
        connection = Connection(
            number=self._count,
            peer=peer,
            is_caller=is_caller,
            way=way,
            trace=AttemptTrace(self._count, peer.device, peer.account, is_caller, way, now),
            stage=Stage.GATHERING if is_ice else Stage.DIALING,
            deadline=now + (config.gather_timeout if is_ice else config.dial_timeout),
        )
        self.connections[connection.number] = device.attempts[connection.number] = connection
        self.set_alarm(connection)
        return connection

    def set_up(self, connection: Connection, now: float) -> None:
        """Note that a connection is up."""
        device = self.device_of(connection)
        connection.stage, connection.deadline = Stage.UP, inf
        connection.since = connection.quiet_since = now
        self._attempts -= 1
        self.requests.pop(connection.request_id, None)
        del device.attempts[connection.number]
        device.up[connection.number] = connection
        device.errors.clear()
        self.keep_trace(connection.trace)

    def take_out(self, connection: Connection) -> None:
        """Remove a connection, however far it has come."""
        device = self.device_of(connection)
        if connection.stage is Stage.UP:
            del device.up[connection.number]
        else:
            del device.attempts[connection.number]
            self._attempts -= 1
        connection.stage = Stage.OVER
        del self.connections[connection.number]
        self.requests.pop(connection.request_id, None)
        if connection.pipe is not None:
            self.pipes.pop(connection.pipe, None)

    def keep_trace(self, trace: AttemptTrace) -> None:
        """Keep a trace for those who ask later."""
        self.traces.append(trace)
        del self.traces[: -self._config.traces_max]

    # Wanted channels

    def add_open(self, wanted: Open, device: Device) -> None:
        """Enter a channel that is wanted."""
        self.devices[wanted.peer.device] = device
        self.opens[wanted.op] = device.opens[wanted.op] = wanted

    def take_open(self, op: int) -> Open | None:
        """Remove a channel that is wanted, if it still is."""
        wanted = self.opens.pop(op, None)
        if wanted is not None:
            del self.devices[wanted.peer.device].opens[op]
        return wanted

    # Time

    def quiet_limit(self, connection: Connection) -> float | None:
        """How long a connection may be without channels: for ever, unless it is a surplus one."""
        device = self.devices.get(connection.peer.device)
        if device is None or len(device.up) < 2:  # noqa: PLR2004 - one is never too many
            return None
        return self._config.redundant_after if self._own_device < device.peer.device else None

    def set_alarm(self, connection: Connection) -> None:
        """Look at *connection* again when it wants time."""
        if connection.stage is Stage.OVER:
            return
        deadline = connection.next_deadline(self.quiet_limit(connection))
        if deadline is not None and deadline < connection.wake:
            connection.wake = deadline
            heappush(self._alarms, (deadline, connection.number))

    def next_alarm(self) -> float | None:
        """Return when a connection is to be looked at next."""
        alarms = self._alarms
        while alarms:
            moment, number = alarms[0]
            connection = self.connections.get(number)
            if connection is not None and connection.wake == moment:
                return moment
            heappop(alarms)
        return None

    def pop_due(self, now: float) -> Connection | None:
        """Return a connection whose moment has come; its alarm is to be set again."""
        moment = self.next_alarm()
        if moment is None or moment > now:
            return None
        connection = self.connections[heappop(self._alarms)[1]]
        connection.wake = inf
        return connection
