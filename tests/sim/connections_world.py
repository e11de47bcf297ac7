"""Devices that call each other on a bad network, for as long as a seed says."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from shoal.net.effects import (
    ChannelAccepted,
    ChannelClosed,
    ChannelOpened,
    OpenFailed,
)
from shoal.net.errors import (
    ChannelClosedError,
    ConnectError,
    NetError,
    TooManyAttemptsError,
)
from shoal.sim import Conditions, Uniform
from tests.unit.net.world import Device, World

if TYPE_CHECKING:
    from shoal.sim import SeededEntropy

_NAMES: Final = (("a1", "a"), ("a2", "a"), ("b1", "b"), ("c1", "c"), ("c2", "c"))
_STEPS: Final = 120  # things that happen
_QUIET: Final = 150.0  # seconds after which every attempt and every dead connection has ended


def connections(seed: int) -> None:
    """Whatever the network does, each open ends once, data arrive whole, and nothing leaks."""
    conditions = Conditions(latency=Uniform(0.01, 0.12), jitter=0.3, loss=0.02 * (seed % 4))
    world = World(seed, conditions)
    chance = world.network.entropy("script")
    devices = [world.add(name, account=account) for name, account in _NAMES]
    canceled: Counter[tuple[str, int]] = Counter()
    asked: list[tuple[Device, int]] = []
    for _ in range(_STEPS):
        world.run(chance.uniform(0.0, 8.0))
        _happen(world, devices, chance, asked, canceled)
    _calm(world, devices)
    _check_ends(asked, canceled)
    _check_data(devices)
    _check_reach(world, devices)
    for device in devices:
        device.run(device.engine.close)
    world.run(_QUIET)
    for device in devices:
        assert device.open_sockets() == 0, device.host.name
        assert device.engine.next_deadline() is None, device.host.name
        left = {name: size for name, size in device.engine.sizes.items() if size}
        assert not {"connections", "devices", "opens"} & set(left), (device.host.name, left)


def _happen(
    world: World,
    devices: list[Device],
    chance: SeededEntropy,
    asked: list[tuple[Device, int]],
    canceled: Counter[tuple[str, int]],
) -> None:
    """Let one thing happen; most of it is what people do."""
    one, other = chance.sample(devices, 2)
    if not one.host.is_running:
        if chance.below(2):
            world.network.resume(one.host)
        return

    def give_up() -> None:
        waiting = [op for device, op in asked if device is one and not one.ends()[op]]
        if waiting:
            op = chance.choice(waiting)
            one.run(lambda now: one.engine.cancel(op, now))
            canceled[one.host.name, op] += 1

    def cut_off() -> None:
        world.network.partition([one.host], [each.host for each in devices if each is not one])
        one.run(one.engine.network_changed)

    def heal() -> None:
        world.network.heal()
        one.run(one.engine.network_changed)

    def hang_up() -> None:
        one.run(lambda now: one.engine.close_account(other.peer.account, now))

    def block() -> None:
        account, blocked = other.peer.account, one.policy.blocked
        one.policy.blocked = set() if account in blocked else {*blocked, account}

    asking = [lambda: _ask(one, other, chance, asked)] * 11
    talking = [lambda: _talk(one, chance)] * 2
    falling = [lambda: world.network.suspend(one.host)]
    rest = [give_up, cut_off, heal, heal, hang_up, block]
    chance.choice([*asking, *talking, *falling, *rest])()


def _ask(
    one: Device, other: Device, chance: SeededEntropy, asked: list[tuple[Device, int]]
) -> None:
    """Ask for a channel, now and then for one that is declined, or on a new connection."""
    name = chance.choice(["sip", "sip", "data", "no"])
    try:
        asked.append((one, one.connect(other, name, reuse=chance.random() < 0.8)))
    except TooManyAttemptsError:
        return


def _talk(one: Device, chance: SeededEntropy) -> None:
    """Write on a channel, or close it."""
    closed = {event.channel for event in one.of(ChannelClosed)}
    channels = [
        event.channel
        for event in one.events
        if isinstance(event, ChannelOpened | ChannelAccepted) and event.channel not in closed
    ]
    if not channels:
        return
    channel = chance.choice(channels)
    if chance.random() < 0.3:
        one.run(lambda now: one.engine.close_channel(channel, now))
        return
    try:
        one.write(channel, bytes([len(one.events) % 251]) * chance.choice([1, 500, 70_000]))
    except ChannelClosedError as error:
        raise AssertionError("a channel that did not close takes data") from error


def _calm(world: World, devices: list[Device]) -> None:
    """Let everybody be there, and all that was begun end."""
    world.network.heal()
    for device in devices:
        device.policy.blocked.clear()
        if not device.host.is_running:
            world.network.resume(device.host)
    world.run(_QUIET)
    for device in devices:
        device.run(device.engine.network_changed)
    world.run(_QUIET)


def _check_ends(asked: list[tuple[Device, int]], canceled: Counter[tuple[str, int]]) -> None:
    """Each open ended exactly once, those that were given up not at all, and with typed errors."""
    for device, op in asked:
        wanted = 0 if canceled[device.host.name, op] else 1
        assert device.ends()[op] == wanted, (device.host.name, op)
        for event in device.of(OpenFailed):
            assert isinstance(event.error, ConnectError)
            assert isinstance(event.error.cause, NetError)


def _check_data(devices: list[Device]) -> None:
    """No channel that somebody was told of is unknown, and each closes once."""
    for device in devices:
        known = Counter(
            event.channel
            for event in device.events
            if isinstance(event, ChannelOpened | ChannelAccepted)
        )
        closed = Counter(event.channel for event in device.of(ChannelClosed))
        assert set(known.values()) <= {1}
        assert set(closed.values()) <= {1}
        assert set(closed) <= set(known)
        assert set(device.said) <= set(known)


def _check_reach(world: World, devices: list[Device]) -> None:
    """On a network that is whole again everybody reaches everybody."""
    world.network.conditions = Conditions(latency=Uniform(0.01, 0.05))
    ops = [(one, one.connect(other)) for one in devices for other in devices if one is not other]
    world.run(_QUIET)
    for device, op in ops:
        assert device.opened(op), (device.host.name, op)
