"""A network in virtual time: one more driver of the production engines.

Theory of operation. Two heaps hold everything that will happen: datagrams in flight by arrival,
and wake-ups by moment. `run` takes the earlier head, moves the clock there and carries on; nothing
walks all hosts. A host has at most one wake-up that counts. When its engine wants time earlier, a
second entry is pushed and the first one goes stale; when it wants time later, nothing is pushed
until the entry comes up (lazy deletion). Ties are broken by the order of pushing, datagrams before
wake-ups, so one seed gives one run.

Effects other than datagrams go to the handler registered for their type. What is not UDP stands
beside this class: `shoal.sim.tcp` finds the way of a segment with `route`, and schedules its
arrival with `call_at`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from math import log
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core import Address, Engine, Family, Persist, SendDatagram
from shoal.core.records import dataclass
from shoal.sim.conditions import Conditions
from shoal.sim.entropy import SeededEntropy
from shoal.sim.errors import EngineSpinsError
from shoal.sim.hosts import (
    IPV4_LENGTH,
    NEVER,
    Endpoint,
    Gateway,
    HasWallClock,
    HearsFailures,
    Host,
    Realm,
)
from shoal.sim.nat import Nat, NatBehaviour
from shoal.sim.routing import Crossing, Dead, Route, enter, route
from shoal.sim.trace import Trace

if TYPE_CHECKING:
    from shoal.sim.latency import Place

Handler: TypeAlias = Callable[[Host, object], None]

WALL_EPOCH: Final = 1_800_000_000.0  # Unix time at moment 0: January 2027
DATAGRAM_MAX: Final = 65_507  # RFC 768 and 791: 65,535 less the headers
DEFAULT_PORT: Final = 4222  # OpenDHT's
NOTICE_DELAY: Final = 0.1  # seconds until a router's notice that a host does not exist, ours


@dataclass(slots=True)
class NetworkStats:
    """Datagrams that did not simply arrive; each field says what one increment means."""

    lost: int = 0  # dropped by chance
    duplicated: int = 0  # a second copy was put on the wire
    reordered: int = 0  # held back on purpose
    partitioned: int = 0  # dropped between the sides of a partition
    translated_away: int = 0  # dropped by a NAT
    unreachable: int = 0  # nobody listened at its target
    unsendable: int = 0  # longer than UDP can carry, or no address of the target's family


class Network:
    """Hosts, what joins them, and the clock."""

    def __init__(self, seed: int, conditions: Conditions | None = None) -> None:
        self.seed = seed
        self.now = 0.0
        self.hosts: dict[int, Host] = {}
        self.stats = NetworkStats()
        self.trace = Trace()
        self.public = Realm()
        self._handlers: dict[type, Handler] = {Persist: _write}
        self._wire: list[tuple[float, int, Endpoint | Crossing, bytes, Address]] = []
        self._wakes: list[tuple[float, int, Host | Callable[[], None]]] = []
        self._pushed = 0
        self._added = 0
        self._cuts: frozenset[tuple[int, int]] = frozenset()
        self._chance = self.entropy("network")
        self._random = self._chance.random
        self._places = self.entropy("places")
        self.conditions = conditions or Conditions()

    @property
    def conditions(self) -> Conditions:
        """What happens to datagrams sent from now on."""
        return self._conditions

    @conditions.setter
    def conditions(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self._delay = conditions.latency.delay
        self._jitter = conditions.jitter
        self._trouble = conditions.loss + conditions.duplication + conditions.reordering

    # --- Building -----------------------------------------------------------------------------

    def entropy(self, *labels: str | int) -> SeededEntropy:
        """Return a source of chance of its own for the part that *labels* name."""
        return SeededEntropy(self.seed, *labels)

    def on_effect(self, kind: type, handler: Handler) -> None:
        """Let *handler* take each effect of exactly this type, instead of `Host.events`."""
        self._handlers[kind] = handler

    def add_gateway(
        self,
        behaviour: NatBehaviour,
        *,
        behind: Gateway | None = None,
        addresses: int = 1,
        place: Place | None = None,
    ) -> Gateway:
        """Put a NAT with that many external addresses into the public realm or *behind* another."""
        outer = self.public if behind is None else behind.inner
        external = [outer.allot(Family.IPV4) for _ in range(addresses)]
        if place is None:
            place = self._conditions.latency.place(self._places) if behind is None else behind.place
        chance = self.entropy("gateway", *external[0])
        tcp_chance = self.entropy("gateway for TCP", *external[0])
        tcp = Nat(behaviour.for_tcp(), external, tcp_chance)
        return Gateway(Nat(behaviour, external, chance), tcp, outer, place)

    def add_host(
        self,
        engine: Engine,
        *,
        addresses: Sequence[Address] = (),
        families: Sequence[Family] = (Family.IPV4,),
        behind: Gateway | None = None,
        place: Place | None = None,
        wall_skew: float = 0.0,
        name: str = "",
    ) -> Host:
        """Start *engine* on a new host.

        Args:
            engine: what runs there.
            addresses: its addresses, at most one per family; none allots one per family.
            families: what to allot addresses of, when none are given.
            behind: the NAT in front of its IPv4; IPv6 is always public.
            place: where it stands; None draws a place, or takes that of the gateway.
            wall_skew: by how much its wall clock is ahead of the right time, in seconds.
            name: for people.

        Raises:
            AddressTakenError: another host has one of *addresses*.
            ScenarioError: the realm has no addresses left.
        """
        if place is None:
            place = self._conditions.latency.place(self._places) if behind is None else behind.place
        host = Host(self._added, name, engine, place, WALL_EPOCH + wall_skew)
        inside = self.public if behind is None else behind.inner
        realms = {Family.IPV4: inside, Family.IPV6: self.public}
        for address in addresses or [
            Address(realms[family].allot(family), DEFAULT_PORT) for family in families
        ]:
            endpoint = Endpoint(host, address, realms[address.family])
            endpoint.realm.bind(endpoint)
            host.attach(endpoint)
        self.hosts[host.number] = host
        self._added += 1
        self._start(host)
        return host

    # --- Running ------------------------------------------------------------------------------

    def run(self, until: float, stop: Callable[[], bool] | None = None) -> None:
        """Jump from event to event up to and including the moment *until*.

        Args:
            until: where the clock stands afterwards, unless *stop* says otherwise; infinity runs
                until nothing is left to happen.
            stop: asked after each event; True ends the run at that moment.
        """
        wire, wakes = self._wire, self._wakes
        while stop is None or not stop():
            arrival = wire[0][0] if wire else NEVER
            moment = wakes[0][0] if wakes else NEVER
            if arrival <= moment:
                if arrival > until or arrival == NEVER:
                    break
                self.now = arrival
                _, _, target, data, source = heappop(wire)
                self._arrive(target, data, source)
            elif moment > until:
                break
            else:
                self.now = max(self.now, moment)
                woken = heappop(wakes)[2]
                if isinstance(woken, Host):
                    self._wake(woken, moment)
                else:
                    woken()
        else:
            return
        if until < NEVER:
            self.now = max(self.now, until)

    def call_at(self, moment: float, action: Callable[[], None]) -> None:
        """Run *action* at *moment*, or as soon as the clock moves if that is past."""
        self._pushed += 1
        heappush(self._wakes, (max(moment, self.now), self._pushed, action))

    def apply(self, host: Host, effects: Sequence[object]) -> None:
        """Carry out *effects* of the host's engine, then look at its deadline.

        For commands: `network.apply(host, engine.get(op, key, network.now))`.
        """
        for effect in effects:
            if type(effect) is SendDatagram:
                self._send(host, effect[0], effect[1])
            elif (handler := self._handlers.get(type(effect))) is not None:
                handler(host, effect)
            else:
                host.events.append(effect)
        if not host.is_running:
            return
        deadline = host.engine.next_deadline()
        if deadline is not None and deadline < host.wake:
            host.wake = deadline
            self._pushed += 1
            heappush(self._wakes, (deadline, self._pushed, host))

    # --- Faults -------------------------------------------------------------------------------

    def crash(self, host: Host) -> None:
        """Stop the host's engine where it is: nothing more is sent, its ports are closed."""
        self._stop(host)

    def restart(self, host: Host, engine: Engine) -> None:
        """Start *engine* at the host's addresses; with what state is up to who made it."""
        self._stop(host)
        host.engine = engine
        self._start(host)

    def suspend(self, host: Host) -> None:
        """Freeze the host, as a laptop sleeps: it hears nothing, its engine is not called."""
        self._stop(host)

    def resume(self, host: Host) -> None:
        """Go on after `suspend`, with the engine as it was and the time that has passed."""
        self._start(host)

    def remove(self, host: Host) -> None:
        """Take the host away for good, and let its memory go. Its addresses are not used again."""
        self._stop(host)
        for endpoint in host.endpoints:
            del endpoint.realm.endpoints[endpoint.address]
        del self.hosts[host.number]

    def partition(self, *sides: Sequence[Host], is_one_way: bool = False) -> None:
        """Drop datagrams between *sides* until `heal`; hosts on no side talk to everybody.

        Args:
            sides: hosts that still reach one another; no host is on two.
            is_one_way: a side still reaches those named before it, but not those after it.
        """
        self.heal()
        for number, side in enumerate(sides, start=1):
            for host in side:
                host.group = number
        numbers = range(1, len(sides) + 1)
        self._cuts = frozenset(
            (a, b) for a in numbers for b in numbers if (a < b if is_one_way else a != b)
        )

    def heal(self) -> None:
        """End all partitions."""
        self._cuts = frozenset()
        for host in self.hosts.values():
            host.group = 0

    def skew_wall_clock(self, host: Host, skew: float) -> None:
        """Set by how many seconds the host's wall clock is ahead, and tell its engine."""
        host.wall_offset = WALL_EPOCH + skew
        if isinstance(host.engine, HasWallClock):
            host.engine.wall_offset = host.wall_offset

    # --- Inside -------------------------------------------------------------------------------

    def _start(self, host: Host) -> None:
        host.is_running = True
        for endpoint in host.endpoints:
            endpoint.receive = host.engine.receive
        self.apply(host, ())

    def _stop(self, host: Host) -> None:
        host.is_running = False
        host.wake = NEVER
        for endpoint in host.endpoints:
            endpoint.receive = None

    def _wake(self, host: Host, moment: float) -> None:
        """Advance the engine of *host* if this wake-up still counts and the engine is due."""
        if host.wake != moment:
            return  # stale: an earlier one was pushed later, or the host stopped
        host.wake = NEVER
        deadline = host.engine.next_deadline()
        if deadline is None or deadline > self.now:
            self.apply(host, ())  # it changed its mind: push the later deadline
            return
        self.apply(host, host.engine.advance(self.now))
        if host.wake <= self.now:
            raise EngineSpinsError(f"{host.name} at {self.now}")

    def _send(self, host: Host, data: bytes, target: Address) -> None:
        """Put *data* on the wire, or drop it where that is known already."""
        host.sent_packets += 1
        host.sent_bytes += len(data)
        if host.tap is not None:
            host.tap.sent(data, target, self.now)
        source = host.ipv4 if len(target[0]) == IPV4_LENGTH else host.ipv6
        if source is None or len(data) > DATAGRAM_MAX:
            self.stats.unsendable += 1
            return
        self.send_from(source, data, target)

    def send_from(self, source: Endpoint, data: bytes, target: Address) -> None:
        """Send one datagram of at most `DATAGRAM_MAX` bytes from *source*."""
        host = source.host
        # The common case, without a call.
        direct = self.public.endpoints.get(target) if source.realm is self.public else None
        if direct is not None:
            self._carry(host, direct, direct.host.place, data, source.address)
            return
        found = route(source, target, self.now)
        if isinstance(found, Route):
            self._carry(host, found.receiver, found.place, data, found.seen)
        elif found is Dead.TRANSLATED_AWAY:
            self.stats.translated_away += 1
        else:
            self.stats.unreachable += 1
            self._notify(host, target, NOTICE_DELAY)

    def _carry(
        self,
        host: Host,
        receiver: Endpoint | Crossing,
        place: Place | None,
        data: bytes,
        seen: Address,
    ) -> None:
        """Draw the fate of a datagram, and when it arrives. Without a *place* it stays local."""
        if self._cuts and isinstance(receiver, Endpoint) and self._is_cut(host, receiver.host):
            self.stats.partitioned += 1
            return
        if place is None:
            arrival = self.now + self._conditions.lan_delay
        else:
            delay = self._delay(host.place, place, self._chance)
            spread = delay * self._jitter
            if self._trouble and (drawn := self._random()) < self._trouble:
                conditions = self._conditions
                if drawn < conditions.loss:
                    self.stats.lost += 1
                    return
                if drawn < conditions.loss + conditions.duplication:
                    self.stats.duplicated += 1
                    copy = self.now + delay - spread * log(1.0 - self._random())
                    self._pushed += 1
                    heappush(self._wire, (copy, self._pushed, receiver, data, seen))
                else:
                    self.stats.reordered += 1
                    delay += conditions.reordering_delay * self._random()
            arrival = self.now + delay - spread * log(1.0 - self._random())
        self._pushed += 1
        heappush(self._wire, (arrival, self._pushed, receiver, data, seen))

    def _arrive(self, target: Endpoint | Crossing, data: bytes, source: Address) -> None:
        """Hand a datagram to the engine that it reaches, if any."""
        if not isinstance(target, Endpoint):
            inside = enter(target.gateway, target.target, source, self.now)
            if inside is None:
                self.stats.translated_away += 1
                return
            if self._is_cut(target.sender, inside.host):
                self.stats.partitioned += 1
                return
            target = inside
        receive, host = target.receive, target.host
        if receive is None:
            self.stats.unreachable += 1
            sender = self.public.endpoints.get(source)
            if sender is not None:
                delay = self._delay(host.place, sender.host.place, self._chance)
                self._notify(sender.host, target.address, delay)
            return
        host.received_packets += 1
        host.received_bytes += len(data)
        if host.tap is not None:
            host.tap.received(data, source, self.now)
        self.trace.add(self.now, host.number, data)
        self.apply(host, receive(data, source, self.now))

    def is_cut(self, sender: Host, receiver: Host) -> bool:
        """Tell whether a partition lies between them."""
        return bool(self._cuts) and self._is_cut(sender, receiver)

    def travel_time(self, sender: Host, place: Place | None) -> float:
        """Draw how long a packet takes from *sender* to *place*; None is inside its own network."""
        if place is None:
            return self._conditions.lan_delay
        delay = self._delay(sender.place, place, self._chance)
        return delay - delay * self._jitter * log(1.0 - self._random())

    def _is_cut(self, sender: Host, receiver: Host) -> bool:
        return (sender.group, receiver.group) in self._cuts

    def _notify(self, sender: Host, target: Address, delay: float) -> None:
        """Perhaps tell *sender*, after *delay*, that nobody listens at *target*."""
        if self._random() >= self._conditions.unreachable_notices:
            return

        def notice() -> None:
            if sender.is_running and isinstance(sender.engine, HearsFailures):
                self.apply(sender, sender.engine.send_failed(target, self.now))

        self.call_at(self.now + delay, notice)


def _write(host: Host, effect: object) -> None:
    """Handle `Persist`: simulated disks are instant and never fail."""
    assert isinstance(effect, Persist)
    host.disk[effect.name] = effect.data
