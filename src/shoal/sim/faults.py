"""Faults planned from a seed: what breaks, when, and when it is well again.

A plan is data, so that a failing run can be printed, cut down and replayed. Hosts are named by
their place in the list that the plan was drawn for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

from shoal.core import Engine
from shoal.core.records import dataclass
from shoal.sim.hosts import Host

if TYPE_CHECKING:
    from shoal.sim.entropy import SeededEntropy
    from shoal.sim.network import Network

SKEW_MAX: Final = 3600.0  # seconds, ours: an hour, as a wrong daylight-saving setting gives
LOSS_MAX: Final = 0.5  # of a burst, ours: beyond it nothing but retransmission is tested
FAULTS_MAX: Final = 10_000  # per plan, ours


@dataclass(frozen=True, slots=True)
class Crash:
    """A host stops at `start` and restarts at `end`, perhaps knowing what it had exported."""

    start: float
    end: float
    host: int
    keeps_state: bool


@dataclass(frozen=True, slots=True)
class Sleep:
    """A host is frozen from `start` to `end`."""

    start: float
    end: float
    host: int


@dataclass(frozen=True, slots=True)
class Split:
    """The hosts of `side` and all others do not reach each other from `start` to `end`.

    If `is_one_way`, those of `side` still hear the others.
    """

    start: float
    end: float
    side: tuple[int, ...]
    is_one_way: bool


@dataclass(frozen=True, slots=True)
class LossBurst:
    """A fraction `loss` of all datagrams vanishes from `start` to `end`."""

    start: float
    end: float
    loss: float


@dataclass(frozen=True, slots=True)
class ClockStep:
    """From `start` to `end` a host's wall clock is `skew` seconds ahead."""

    start: float
    end: float
    host: int
    skew: float


Fault: TypeAlias = Crash | Sleep | Split | LossBurst | ClockStep
Restart: TypeAlias = Callable[[Host, bool], Engine]


def draw_faults(
    chance: SeededEntropy, hosts: int, *, start: float, end: float, mean_gap: float
) -> tuple[Fault, ...]:
    """Draw faults for *hosts* hosts, one every *mean_gap* seconds on average.

    Each is over by *end*. Faults of one kind do not overlap where they would undo each other: a
    host crashes or sleeps once at a time, and there is one split and one burst at a time.
    """
    faults: list[Fault] = []
    free_from: dict[object, float] = {}
    moment = start + chance.exponential(mean_gap)
    while moment < end and len(faults) < FAULTS_MAX:
        over = min(end, moment + chance.exponential(2 * mean_gap))
        fault = _draw(chance, hosts, moment, over)
        subject = _subject(fault)
        if free_from.get(subject, start) <= moment:
            free_from[subject] = over
            faults.append(fault)
        moment += chance.exponential(mean_gap)
    return tuple(faults)


def schedule(
    network: Network, hosts: Sequence[Host], faults: Sequence[Fault], restart: Restart
) -> None:
    """Let *faults* happen to *hosts* at their times.

    *restart* makes the engine of a crashed host anew, given whether it keeps its state; what was
    exported it finds on `Host.disk`, or in `Host.engine`, which is the old one then.
    """
    for fault in faults:
        begin, finish = _actions(network, hosts, fault, restart)
        network.call_at(fault.start, begin)
        network.call_at(fault.end, finish)


def _draw(chance: SeededEntropy, hosts: int, start: float, end: float) -> Fault:
    host = chance.below(hosts)
    match chance.below(5):
        case 0:
            return Crash(start, end, host, keeps_state=bool(chance.below(2)))
        case 1:
            return Sleep(start, end, host)
        case 2:
            side = chance.sample(range(hosts), 1 + chance.below(max(1, hosts // 2)))
            return Split(start, end, tuple(sorted(side)), is_one_way=not chance.below(4))
        case 3:
            return LossBurst(start, end, chance.uniform(0.05, LOSS_MAX))
        case _:
            return ClockStep(start, end, host, chance.uniform(-SKEW_MAX, SKEW_MAX))


def _subject(fault: Fault) -> object:
    """Return what only one fault at a time may touch."""
    match fault:
        case Crash(host=host) | Sleep(host=host):
            return "engine", host
        case ClockStep(host=host):
            return "clock", host
        case Split():
            return "split"
        case LossBurst():
            return "loss"
        case _:
            assert_never(fault)


def _actions(
    network: Network, hosts: Sequence[Host], fault: Fault, restart: Restart
) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return what begins and what ends *fault*."""
    match fault:
        case Crash(host=number, keeps_state=keeps_state):
            host = hosts[number]

            def start_again() -> None:
                network.restart(host, restart(host, keeps_state))

            return partial(network.crash, host), start_again
        case Sleep(host=number):
            return partial(network.suspend, hosts[number]), partial(network.resume, hosts[number])
        case Split(side=side, is_one_way=is_one_way):
            inside = [hosts[number] for number in side]
            outside = [host for number, host in enumerate(hosts) if number not in side]
            begin = partial(network.partition, inside, outside, is_one_way=is_one_way)
            return begin, network.heal
        case LossBurst(loss=loss):
            return partial(_lose, network, loss), partial(_lose, network, network.conditions.loss)
        case ClockStep(host=number, skew=skew):
            host = hosts[number]
            return (
                partial(network.skew_wall_clock, host, skew),
                partial(network.skew_wall_clock, host, 0.0),
            )
        case _:
            assert_never(fault)


def _lose(network: Network, loss: float) -> None:
    network.conditions = replace(network.conditions, loss=loss)
