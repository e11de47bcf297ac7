"""The laws on toy engines: good ones pass them all, and each bad one fails its law."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st

from shoal.core import Address, Entropy, SendDatagram
from tests import engine_laws
from tests.engine_laws import Case
from tests.unit.sim.toys import PEERS_MAX, SEEN_MAX, Asker, Ended, Gossip, Heard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GOSSIP = Case(
    make=lambda entropy: Gossip(entropy, engine_laws.ADDRESSES),
    commands=(),
    lasting=(lambda engine, op, addrs, now: engine.tell(b"%d" % op, now),),
    datagrams=st.binary(max_size=20).map(lambda rumour: b"R" + rumour),
    effects=(SendDatagram, Heard),
    sizes=lambda engine: {
        "peers": (len(engine.peers), PEERS_MAX),
        "seen": (len(engine.seen), SEEN_MAX),
    },
    mistakes=(lambda engine, now: engine.tell(b"", now),),
)
ASKER = Case(
    make=Asker,
    commands=(lambda engine, op, addrs, now: engine.ask(op, addrs[op % 3], now),),
    datagrams=st.binary(min_size=9, max_size=9).map(lambda tail: b"?" + tail),
    effects=(SendDatagram, Ended),
    sizes=lambda engine: {"questions": (len(engine.waiting), 64)},
    ended=lambda effect: effect.op if isinstance(effect, Ended) else None,
    patience=10.0,
)


# Find a failure, do not shrink it.
FIND = settings(
    max_examples=500, phases=[Phase.generate], report_multiple_bugs=False, database=None
)


@pytest.mark.parametrize("law", engine_laws.LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("case", [GOSSIP, ASKER], ids=["gossip", "asker"])
def test_good_engines_keep_the_laws(law: Callable[[object], None], case: object) -> None:
    """Both toys pass every law."""
    law(case)


class _Fragile(Gossip):
    def receive(self, datagram: bytes, addr: Address, now: float) -> list[object]:
        return super().receive(datagram[: 1 + datagram[0]], addr, now)


class _Chancy(Gossip):
    def advance(self, now: float) -> list[object]:
        effects = super().advance(now)
        return random.sample(effects, len(effects))


class _Hasty(Gossip):
    def advance(self, now: float) -> list[object]:
        for rumour in self._due:
            self._due[rumour] -= 0.01
        return super().advance(now)


class _Impure(Gossip):
    def next_deadline(self) -> float | None:
        for rumour in self._due:
            self._due[rumour] += 0.001
        return super().next_deadline()


class _Stuck(Gossip):
    def advance(self, now: float) -> list[object]:
        return []


class _Hoarder(Gossip):
    def receive(self, datagram: bytes, addr: Address, now: float) -> list[object]:
        effects = super().receive(datagram, addr, now)
        self.seen[b"hoard %d" % len(self.seen)] = None
        return effects


class _Chatty(Gossip):
    def receive(self, datagram: bytes, addr: Address, now: float) -> list[object]:
        return [*super().receive(datagram, addr, now), "log line"]


class _Sloppy(Gossip):
    def tell(self, rumour: bytes, now: float) -> list[object]:
        self.peers.clear()
        return super().tell(rumour, now)


class _Repeater(Gossip):
    def advance(self, now: float) -> list[object]:
        addrs: Sequence[Address] = list(self.peers)[:1]
        return [*super().advance(now), *(SendDatagram(b"R", addr) for addr in addrs)]


@pytest.mark.parametrize(
    ("bad", "law"),
    [
        (_Fragile, engine_laws.garbage_never_raises),
        (_Chancy, engine_laws.equal_inputs_give_equal_outputs),
        (_Hasty, engine_laws.advancing_early_is_harmless),
        (_Impure, engine_laws.next_deadline_is_pure),
        (_Stuck, engine_laws.deadlines_move),
        (_Hoarder, engine_laws.limits_hold),
        (_Chatty, engine_laws.effects_are_of_the_declared_types),
        (_Sloppy, engine_laws.mistakes_raise_and_change_nothing),
        (_Repeater, engine_laws.advancing_twice_is_harmless),
    ],
)
def test_each_law_catches_who_breaks_it(
    bad: Callable[[Entropy, Sequence[Address]], Gossip], law: Callable[[object], None]
) -> None:
    """An engine wrong in one way fails the law about it."""
    case = replace(GOSSIP, settings=FIND, make=lambda entropy: bad(entropy, engine_laws.ADDRESSES))
    with pytest.raises((AssertionError, IndexError, pytest.fail.Exception)):
        law(case)


class _Forgetful(Asker):
    def advance(self, now: float) -> list[object]:
        super().advance(now)
        return []


class _Doubting(Asker):
    def receive(self, datagram: bytes, addr: Address, now: float) -> list[object]:
        effects = super().receive(datagram, addr, now)
        return effects * 2 if any(isinstance(effect, Ended) for effect in effects) else effects


@pytest.mark.parametrize("bad", [_Forgetful, _Doubting])
def test_operations_that_end_never_or_twice_are_caught(
    bad: Callable[[Entropy], Asker],
) -> None:
    """Exactly once is the law."""
    with pytest.raises(AssertionError):
        engine_laws.operations_end_once(replace(ASKER, make=bad, settings=FIND))


class _Epoch(Asker):
    def next_deadline(self) -> float | None:
        return -1.0


def test_deadlines_before_time_are_caught() -> None:
    """A deadline below zero is no time."""
    with pytest.raises(AssertionError):
        engine_laws.time_may_start_anywhere(replace(ASKER, make=_Epoch, settings=FIND))
